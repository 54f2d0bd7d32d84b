"""Multi-gate mixture of experts (Ma et al., KDD 2018): experts that all tasks share, a gate per task that reads x."""

from torch import nn

from .layers import Embeddings, Stack, gate_weights, mixture, towers, width_of


class MMoE(nn.Module):
    """y_k = t_k(sum_e softmax(W_k x)_e f_e(x))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        width = width_of(features)
        activation = model.get("activation", "relu")
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        self.experts = nn.ModuleList(Stack(width, model["widths"], activation) for _ in range(model["experts"]))
        gate_bias = model.get("gate_bias", False)
        self.gates = nn.ModuleDict({t: nn.Linear(width, model["experts"], bias=gate_bias) for t in self.tasks})
        self.towers = towers(model["widths"][-1], tasks, model)

    def forward(self, batch):
        x = self.embeddings(batch)
        experts = [expert(x) for expert in self.experts]
        return {t: self.towers[t](mixture(self.weights(t, x), experts)) for t in self.tasks}

    def weights(self, task, x):
        return gate_weights(self.gates[task], x)
