"""What the structures share: the input representation, layer stacks, towers, gates and mixtures."""

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


class Stack(nn.ModuleList):
    """Linear layers with the activation after every one; [B, in] -> [B, widths[-1]]."""

    def __init__(self, width, widths, activation="relu"):
        super().__init__(nn.Linear(i, o) for i, o in zip([width, *widths], widths))
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        for layer in self:
            x = self.activation(layer(x))
        return x


class Tower(nn.ModuleList):
    """A stack whose last layer, of one output, has no activation: the logit or the value; [B, in] -> [B]."""

    def __init__(self, width, widths, activation="relu"):
        super().__init__(nn.Linear(i, o) for i, o in zip([width, *widths], [*widths, 1]))
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        *hidden, last = self
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)[:, 0]


def gate_weights(gate, selector):
    """softmax(W selector) over the experts: [B, D] -> [B, E]."""
    return torch.softmax(gate(selector), dim=1)


def mixture(weights, experts):
    """sum_e weights[:, e] * experts[e]: [B, E] and E times [B, W] -> [B, W]."""
    return torch.einsum("be,bew->bw", weights, torch.stack(experts, dim=1))


class Embeddings(nn.ModuleDict):
    """Tables by feature name; forward gives the input representation x, every feature's vector in order, [B, D]."""

    def __init__(self, features):
        super().__init__({f.name: nn.Embedding(f.rows, f.dim) for f in features if f.categorical})
        self.features = features

    def forward(self, batch):
        return torch.cat([self.vector(f, batch[f.name]) for f in self.features], dim=1)

    def vector(self, feature, values):
        if not feature.categorical:
            return values[:, None]
        table = self[feature.name].weight
        if feature.pooling is None:
            return F.embedding(values, table)
        ids, offsets = values
        return F.embedding_bag(ids, table, offsets, mode=feature.pooling, include_last_offset=True)


class Combination(nn.Module):
    """sum_i w_i x_i with learned w: n times [B, W] -> [B, W]."""

    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n))

    def forward(self, inputs):
        return torch.einsum("n,nbw->bw", self.weight, torch.stack(inputs))


def width_of(features):
    """Width D of the input representation."""
    return sum(f.dim if f.categorical else 1 for f in features) + getattr(features, "crosses", 0)


def per_name(value, name):
    """A key of the configuration that is one value for all, or a table by name with a `default`."""
    if isinstance(value, dict):
        return value[name] if name in value else value["default"]
    return value


def towers(width, tasks, model):
    """A tower per task; `width` is that of its input."""
    activation = model.get("activation", "relu")
    return nn.ModuleDict({t.name: Tower(width, per_name(model["tower"], t.name), activation) for t in tasks})
