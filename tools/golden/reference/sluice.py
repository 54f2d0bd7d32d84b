"""Sluice networks (Ruder et al. 2017): cross-stitch on halves of layers, and towers over all layers.

A layer is computed whole and then split, though its two halves have tensors of their own.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .layers import ACTIVATIONS, Combination, Embeddings, towers, width_of

HALVES = 2


class Sluice(nn.Module):
    """h_(k,l) = f(W_(k,l) m_(k,l-1) + b_(k,l)) in halves;  m_l = A_l h_l;  y_k = t_k(sum_l beta_(k,l) m_(k,l))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.activation = ACTIVATIONS[model.get("activation", "relu")]
        self.embeddings = Embeddings(features)
        widths = model["bottom"]
        inputs = [width_of(features), *widths]

        def halves(i, o):
            return nn.ModuleList(nn.Linear(i, o // HALVES) for _ in range(HALVES))

        def stitches():
            return nn.ModuleList(Combination(HALVES * len(tasks)) for _ in range(HALVES))

        self.bottoms = nn.ModuleDict(
            {t: nn.ModuleList(halves(i, o) for i, o in zip(inputs, widths)) for t in self.tasks}
        )
        self.stitches = nn.ModuleList(nn.ModuleDict({t: stitches() for t in self.tasks}) for _ in widths)
        self.betas = nn.ModuleDict({t: Combination(len(widths)) for t in self.tasks})
        self.towers = towers(widths[-1], tasks, model)

    def forward(self, batch):
        mixed = {t: self.embeddings(batch) for t in self.tasks}
        layers = {t: [] for t in self.tasks}
        for l in range(len(self.stitches)):
            outputs = {t: self.layer(self.bottoms[t][l], mixed[t]) for t in self.tasks}
            halves = torch.stack([half for t in self.tasks for half in outputs[t].chunk(HALVES, dim=1)])
            halves = torch.einsum("pq,qbw->pbw", self.matrix(l), halves)
            mixed = {t: torch.cat(list(h), dim=1) for t, h in zip(self.tasks, halves.split(HALVES))}
            for t in self.tasks:
                layers[t].append(self.read_by_tower(outputs[t], mixed[t]))
        return {t: self.towers[t](self.betas[t](layers[t])) for t in self.tasks}

    def layer(self, halves, x):
        weight, bias = torch.cat([h.weight for h in halves]), torch.cat([h.bias for h in halves])
        return self.activation(F.linear(x, weight, bias))

    def matrix(self, l):
        """A_l [2K, 2K]: rows and columns by task, then half."""
        return torch.stack([half.weight for t in self.tasks for half in self.stitches[l][t]])

    def read_by_tower(self, output, mixed):
        return mixed
