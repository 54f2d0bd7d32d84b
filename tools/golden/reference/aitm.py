"""AITM (Xi et al., KDD 2021): knowledge handed on along a funnel, weighed against a task's own by attention."""

import math

import torch
from torch import nn

from .layers import ACTIVATIONS, Embeddings, Stack, per_name, towers, width_of


class Attention(nn.Module):
    """sum over u of softmax_u(<h1(u), h2(u)> / sqrt(k)) h3(u), for what was handed on and the task's own: [B, k]."""

    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, transfer, own):
        u = torch.stack([transfer, own], dim=1)
        logits = (self.query(u) * self.key(u)).sum(-1, keepdim=True) / self.scale(u.shape[-1])
        return (torch.softmax(logits, dim=1) * self.value(u)).sum(1)

    def scale(self, width):
        return math.sqrt(width)


class AITM(nn.Module):
    """z_1 = q_1;  z_t = attention_t(g_t(z_(t-1)), q_t);  y_t = t_t(z_t)."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.pairs = self.calibrated = list(zip(model["funnel"], model["funnel"][1:]))
        self.calibrator = model["calibrator"]
        activation = model.get("activation", "relu")
        self.activation = ACTIVATIONS[activation]
        self.embeddings = Embeddings(features)
        widths = {t: per_name(model["bottom"], t) for t in self.tasks}
        self.bottoms = nn.ModuleDict({t: Stack(width_of(features), widths[t], activation) for t in self.tasks})
        self.transfers = nn.ModuleDict({t: nn.Linear(widths[b][-1], widths[t][-1]) for b, t in self.pairs})
        self.attention = nn.ModuleDict({t: Attention(widths[t][-1]) for _, t in self.pairs})
        self.towers = nn.ModuleDict()
        for task in tasks:
            self.towers.update(towers(widths[task.name][-1], [task], model))

    def forward(self, batch):
        x = self.embeddings(batch)
        own = {t: self.bottoms[t](x) for t in self.tasks}
        known = dict(own)
        for before, task in self.pairs:
            transfer = self.activation(self.transfers[task](self.handed_on(own[before], known[before])))
            known[task] = self.attention[task](transfer, own[task])
        return {t: self.towers[t](known[t]) for t in self.tasks}

    def handed_on(self, own, known):
        return known
