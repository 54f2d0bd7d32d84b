"""Asymmetric sharing: a bottom per task, and towers that also read the bottoms of tasks that they borrow from."""

import torch
from torch import nn

from .layers import Embeddings, Stack, per_name, towers, width_of

FUSIONS = {
    "concat": lambda bottoms: torch.cat(bottoms, dim=1),
    "sum": lambda bottoms: torch.stack(bottoms).sum(0),
    "mean": lambda bottoms: torch.stack(bottoms).mean(0),
}


class AsymmetricSharing(nn.Module):
    """y_k = t_k(fuse(bottom_k(x), bottom_j(x) for each j that k borrows from))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.borrow, self.fusion = model.get("borrow", {}), model.get("fusion", "concat")
        self.embeddings = Embeddings(features)
        widths = {t: per_name(model["bottom"], t) for t in self.tasks}
        activation = model.get("activation", "relu")
        self.bottoms = nn.ModuleDict({t: Stack(width_of(features), widths[t], activation) for t in self.tasks})
        self.towers = nn.ModuleDict()
        for task in tasks:
            read = [widths[t][-1] for t in self.read_by(task.name)]
            self.towers.update(towers(sum(read) if self.fusion == "concat" else read[0], [task], model))

    def read_by(self, task):
        """The tasks whose bottoms a tower reads: its own first."""
        return [task, *self.borrow.get(task, [])]

    def forward(self, batch):
        x = self.embeddings(batch)
        bottoms = {t: self.bottoms[t](x) for t in self.tasks}
        fuse = FUSIONS[self.fusion]
        return {t: self.towers[t](fuse([bottoms[b] for b in self.read_by(t)])) for t in self.tasks}
