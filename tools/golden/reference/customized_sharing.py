"""Customized sharing: towers over a bottom that all tasks share and one of their own."""

import torch
from torch import nn

from .layers import Embeddings, Stack, per_name, towers, width_of


class CustomizedSharing(nn.Module):
    """y_k = t_k([bottom(x), bottom_k(x)])."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        width, activation = width_of(features), model.get("activation", "relu")
        widths = {m: per_name(model["bottom"], m) for m in [*self.tasks, "shared"]}
        self.bottom = Stack(width, widths["shared"], activation)
        self.bottoms = nn.ModuleDict({t: Stack(width, widths[t], activation) for t in self.tasks})
        self.towers = nn.ModuleDict()
        for task in tasks:
            self.towers.update(towers(widths["shared"][-1] + widths[task.name][-1], [task], model))

    def forward(self, batch):
        x = self.embeddings(batch)
        shared = self.bottom(x)
        return {t: self.towers[t](self.fused(shared, self.bottoms[t](x))) for t in self.tasks}

    def fused(self, shared, own):
        return torch.cat([shared, own], dim=1)
