"""PLE as a careful user would write it by hand for speed: experts merged into wide or batched products.

The same maths as the reference (its weights are copied; outputs or gradients are compared before anything is timed).
Needs numeric features first, embeddings of one width, as many experts in every module of a level above the first, their
layers and the towers alike.
"""

import torch
from torch import nn
from torch.nn import functional as F

from reference.ple import SHARED


def stacked(tensors):
    return nn.Parameter(torch.stack([t.detach() for t in tensors]).contiguous())


class Deeper(nn.Module):
    """Second and later layers of E experts, batched: [E, B, W] -> [E, B, W']."""

    def __init__(self, experts):
        super().__init__()
        layers = list(zip(*experts))[1:]
        self.weights = nn.ParameterList(stacked([e.weight.T for e in layer]) for layer in layers)
        self.biases = nn.ParameterList(stacked([e.bias[None] for e in layer]) for layer in layers)

    def forward(self, h):
        for weight, bias in zip(self.weights, self.biases):
            h = torch.relu(torch.baddbmm(bias, h, weight))
        return h

    def __len__(self):
        return len(self.weights)


class FirstLevel(nn.Module):
    """All experts and all gates read x: one product. x [B, D] -> [M, B, W], M modules (T at the top, else T + 1)."""

    def __init__(self, level):
        super().__init__()
        modules = list(level)
        self.gated = level.tasks if level.top else modules
        stacks = [stack for m in modules for stack in level[m].experts]
        experts = [stack[0] for stack in stacks]
        self.experts, self.width = len(experts), len(experts[0].bias)
        self.deeper = Deeper(stacks)
        gates = [level[m].gate.weight for m in self.gated]
        weight = torch.cat([e.weight for e in experts] + gates)
        bias = torch.cat([e.bias for e in experts])
        self.weight, self.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
        self.sizes = [len(g) for g in gates]
        # Experts that each gate selects from, by their position in the wide product.
        position, own = 0, {}
        for m in modules:
            own[m] = list(range(position, position + len(level[m].experts)))
            position += len(own[m])
        self.selected = [list(range(position)) if m == SHARED else own[m] + own[SHARED] for m in self.gated]

    def forward(self, x):
        wide = self.experts * self.width
        experts = torch.relu(F.linear(x, self.weight[:wide], self.bias)).view(-1, self.experts, self.width)
        if self.deeper:
            experts = self.deeper(experts.transpose(0, 1)).transpose(0, 1)
        logits = F.linear(x, self.weight[wide:]).split(self.sizes, dim=1)
        fused = [
            torch.bmm(torch.softmax(gate, dim=1)[:, None], experts if len(s) == self.experts else experts[:, s])[:, 0]
            for gate, s in zip(logits, self.selected)
        ]
        return torch.stack(fused)


class UpperLevel(nn.Module):
    """Every module reads its own input: batched products. [T + 1, B, D] -> [M, B, W]."""

    def __init__(self, level):
        super().__init__()
        modules = list(level)
        self.tasks, self.top = len(level.tasks), level.top
        self.count = len(level[SHARED].experts)
        assert all(len(level[m].experts) == self.count for m in modules)

        self.weight = stacked([torch.cat([s[0].weight for s in level[m].experts]).T for m in modules])
        self.bias = stacked([torch.cat([s[0].bias for s in level[m].experts])[None] for m in modules])
        self.deeper = Deeper([stack for m in modules for stack in level[m].experts])
        self.gate = stacked([level[m].gate.weight.T for m in level.tasks])
        if not level.top:
            self.shared_gate = nn.Parameter(level[SHARED].gate.weight.detach().clone())

    def forward(self, inputs):
        rows = inputs.shape[1]
        experts = torch.relu(torch.baddbmm(self.bias, inputs, self.weight))
        experts = experts.view(self.tasks + 1, rows, self.count, -1)
        if self.deeper:
            experts = self.deeper(experts.transpose(1, 2).flatten(0, 1))
            experts = experts.unflatten(0, (self.tasks + 1, self.count)).transpose(1, 2)
        shared = experts[-1:].expand(self.tasks, -1, -1, -1)
        selected = torch.cat([experts[: self.tasks], shared], dim=2)
        gates = torch.softmax(torch.bmm(inputs[: self.tasks], self.gate), dim=2)
        fused = (gates[..., None] * selected).sum(2)
        if self.top:
            return fused
        gate = torch.softmax(F.linear(inputs[-1], self.shared_gate), dim=1)
        everything = experts.transpose(0, 1).reshape(rows, -1, experts.shape[-1])
        return torch.cat([fused, torch.bmm(gate[:, None], everything).transpose(0, 1)])


class Towers(nn.Module):
    """[T, B, D] -> [B, T]."""

    def __init__(self, towers):
        super().__init__()
        layers = list(zip(*towers.values()))
        self.weights = nn.ParameterList(stacked([t.weight.T for t in layer]) for layer in layers)
        self.biases = nn.ParameterList(stacked([t.bias[None] for t in layer]) for layer in layers)

    def forward(self, h):
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            h = torch.baddbmm(bias, h, weight)
            h = torch.relu(h) if i < last else h
        return h[:, :, 0].T


class StackedPLE(nn.Module):
    """(numeric [B, N], ids [B, C]) -> [B, T]."""

    def __init__(self, reference, features, sparse=False):
        super().__init__()
        self.sparse = sparse
        categorical = [f.categorical for f in features]
        assert categorical == sorted(categorical), "numeric features first"
        tables = [f for f in features if f.categorical]
        if tables:
            self.table = nn.Parameter(torch.cat([reference.embeddings[f.name].weight.detach() for f in tables]))
        offsets = torch.tensor([0, *(f.rows for f in tables[:-1])]).cumsum(0)
        self.register_buffer("offsets", offsets)
        first, *upper = reference.levels
        self.levels = nn.Sequential(FirstLevel(first), *(UpperLevel(level) for level in upper))
        self.towers = Towers(reference.towers)

    def forward(self, numeric, ids):
        parts = [numeric] if numeric.shape[1] else []
        if ids.shape[1]:
            parts.append(F.embedding(ids + self.offsets, self.table, sparse=self.sparse).flatten(1))
        return self.towers(self.levels(torch.cat(parts, dim=1)))
