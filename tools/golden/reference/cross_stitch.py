"""Cross-stitch networks (Misra et al., CVPR 2016): a network per task, mixed after every layer by learned numbers."""

import torch
from torch import nn

from .layers import Combination, Embeddings, Stack, towers, width_of


class CrossStitch(nn.Module):
    """h_(k,l) = f(W_(k,l) m_(k,l-1) + b_(k,l));  m_l = S_l h_l;  y_k = t_k(m_(k,L))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        self.bottoms = nn.ModuleDict(
            {t: Stack(width_of(features), model["bottom"], model.get("activation", "relu")) for t in self.tasks}
        )
        self.stitches = nn.ModuleList(
            nn.ModuleDict({t: Combination(len(tasks)) for t in self.tasks}) for _ in model["bottom"]
        )
        self.towers = towers(model["bottom"][-1], tasks, model)

    def forward(self, batch):
        x = self.embeddings(batch)
        mixed = torch.stack([x] * len(self.tasks))
        for l in range(len(self.stitches)):
            stacks = [self.bottoms[t] for t in self.tasks]
            outputs = torch.stack([s.activation(s[l](m)) for s, m in zip(stacks, mixed)])
            mixed = torch.einsum("kj,jbw->kbw", self.matrix(l), outputs)
        return {t: self.towers[t](m) for t, m in zip(self.tasks, mixed)}

    def matrix(self, l):
        """S_l: row k weighs what task k reads."""
        return torch.stack([self.stitches[l][t].weight for t in self.tasks])
