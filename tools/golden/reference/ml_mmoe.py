"""Multi-level MMoE: experts above experts, each with a mixture of its own of the level below; every gate reads x."""

from torch import nn

from .layers import Embeddings, Stack, gate_weights, mixture, towers, width_of


class MultiLevelMMoE(nn.Module):
    """u_(e,j+1) = sum_i softmax(W_(e,j) x)_i f_(i,j)(u_(i,j));  y_k = t_k(sum_i softmax(W_k x)_i f_(i,N)(u_(i,N)))."""

    def __init__(self, features, tasks, model):
        super().__init__()
        width = width_of(features)
        activation, gate_bias = model.get("activation", "relu"), model.get("gate_bias", False)
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        self.levels = nn.ModuleList()
        below = width
        for j, spec in enumerate(model["levels"]):
            top = j + 1 == len(model["levels"])
            readers = self.tasks if top else [str(e) for e in range(model["levels"][j + 1]["experts"])]
            level = nn.Module()
            level.experts = nn.ModuleList(Stack(below, spec["widths"], activation) for _ in range(spec["experts"]))
            level.gates = nn.ModuleDict({r: nn.Linear(width, spec["experts"], bias=gate_bias) for r in readers})
            self.levels.append(level)
            below = spec["widths"][-1]
        self.towers = towers(below, tasks, model)

    def forward(self, batch):
        x = self.embeddings(batch)
        inputs = [x] * len(self.levels[0].experts)
        for level in self.levels:
            experts = [expert(u) for expert, u in zip(level.experts, inputs)]
            inputs = [self.mixed(level, reader, x, inputs, experts) for reader in level.gates]
        return {t: self.towers[t](g) for t, g in zip(self.tasks, inputs)}

    def mixed(self, level, reader, x, inputs, experts):
        """What a reader of this level, an upper expert or a task, is given."""
        return mixture(gate_weights(level.gates[reader], x), experts)
