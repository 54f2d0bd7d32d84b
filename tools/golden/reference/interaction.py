"""Crosses of features below a structure: factorization-machine crosses as a vector, and the cross network of DCN v2."""

import torch
from torch import nn

from .layers import Embeddings, width_of


class FM(nn.Module):
    """(x_0, ((sum_f v_f)^2 - sum_f v_f^2) / 2) over the embeddings v_f (bi-interaction pooling)."""

    def __init__(self, features, interaction):
        super().__init__()
        self.is_field = [f.categorical for f in features]

    def forward(self, vectors):
        fields = torch.stack([v for v, is_field in zip(vectors, self.is_field) if is_field])
        return torch.cat([*vectors, (fields.sum(0) ** 2 - (fields**2).sum(0)) / 2], dim=1)


class LowRank(nn.Module):
    """U (V^T x) + b; `v.weight` is V^T."""

    def __init__(self, width, rank):
        super().__init__()
        self.v, self.u = nn.Linear(width, rank, bias=False), nn.Linear(rank, width)

    def forward(self, x):
        return self.u(self.v(x))


class Cross(nn.ModuleList):
    """x_(l+1) = x_0 * (W_l x_l + b_l) + x_l; the last takes the place of x_0."""

    def __init__(self, features, interaction):
        width, rank = width_of(features), interaction.get("rank")
        layer = (lambda: nn.Linear(width, width)) if rank is None else (lambda: LowRank(width, rank))
        super().__init__(layer() for _ in range(interaction.get("layers", 2)))

    def forward(self, vectors):
        first = x = torch.cat(vectors, dim=1)
        for layer in self:
            x = self.crossed(first, x, layer)
        return x

    def crossed(self, first, x, layer):
        return first * layer(x) + x


KINDS = {"fm": FM, "cross": Cross}


class Features(list):
    """Features whose input representation is wider by `crosses` numbers than their vectors."""

    crosses = 0


class CrossedEmbeddings(Embeddings):
    """An input representation with crosses; their module is the structure's own, for its name."""

    def forward(self, batch):
        return self.outer[0]([self.vector(f, batch[f.name]) for f in self.features])


def widened(features, interaction):
    """What a structure over these crosses takes for the features."""
    features = Features(features)
    if interaction["kind"] == "fm":
        features.crosses = next(f.dim for f in features if f.categorical)
    return features


def cross(model, features, interaction):
    """Puts crosses below a structure: `interaction`, or `interaction.<owner>` where embeddings have owners."""
    kind = KINDS[interaction["kind"]]
    if isinstance(model.embeddings, Embeddings):
        model.interaction = kind(features, interaction)
        pairs = [(model.embeddings, model.interaction)]
    else:
        model.interaction = nn.ModuleDict({owner: kind(features, interaction) for owner in model.embeddings})
        pairs = [(model.embeddings[owner], model.interaction[owner]) for owner in model.embeddings]
    for embeddings, crosses in pairs:
        embeddings.__class__ = CrossedEmbeddings
        # In a list, so that it is no module of the embeddings as well.
        embeddings.outer = [crosses]
    return model
