"""Progressive layered extraction (Tang et al., RecSys 2020); with one level it is CGC."""

from torch import nn

from .layers import Embeddings, Stack, gate_weights, mixture, per_name, towers, width_of

SHARED = "shared"


class Module(nn.Module):
    """Module k of a level: its own experts and, where something reads its output, a gate over what it selects from."""

    def __init__(self, width, experts, widths, selected, gate_bias, activation):
        super().__init__()
        self.experts = nn.ModuleList(Stack(width, widths, activation) for _ in range(experts))
        if selected:
            self.gate = nn.Linear(width, selected, bias=gate_bias)


class Level(nn.ModuleDict):
    """One level of extraction: a module per task, in configuration order, and the shared one."""

    def __init__(self, width, tasks, level, top, gate_bias, activation):
        self.tasks = [t.name for t in tasks]
        self.top = top
        count = {t: per_name(level["task_experts"], t) for t in self.tasks}
        count[SHARED] = level["shared_experts"]
        widths = {m: per_name(level["widths"], m) for m in count}
        self.width = widths[SHARED][-1]
        assert all(w[-1] == self.width for w in widths.values()), "a gate mixes experts of one width"
        selected = {t: count[t] + count[SHARED] for t in self.tasks}
        # Nothing reads the shared module's output at the top, so it has no gate there.
        selected[SHARED] = 0 if top else sum(count.values())
        super().__init__(
            {m: Module(width, count[m], widths[m], selected[m], gate_bias, activation) for m in count}
        )

    def forward(self, inputs, x):
        """Fused outputs of every module that has a gate, from every module's input (x itself is not read again)."""
        outputs = {m: [expert(inputs[m]) for expert in self[m].experts] for m in self}
        gated = self.tasks if self.top else [*self.tasks, SHARED]
        return {
            m: mixture(self.weights(m, self.selector(m, inputs, x)), self.selected(m, outputs)) for m in gated
        }

    def selector(self, module, inputs, x):
        """What a gate reads: the fused output of the level below, as the experts of its module do."""
        return inputs[module]

    def weights(self, module, selector):
        return gate_weights(self[module].gate, selector)

    def selected(self, module, outputs):
        """Own experts, then the shared ones; the shared gate: every task's in configuration order, then the shared."""
        if module == SHARED:
            return [expert for m in [*self.tasks, SHARED] for expert in outputs[m]]
        return [*outputs[module], *outputs[SHARED]]


class PLE(nn.Module):
    """y_k = t_k(g_(k,N)(x))."""

    def __init__(self, features, tasks, model, level=Level):
        super().__init__()
        self.tasks = [t.name for t in tasks]
        self.embeddings = Embeddings(features)
        width = width_of(features)
        self.levels = nn.ModuleList()
        for j, spec in enumerate(model["levels"]):
            top = j + 1 == len(model["levels"])
            gate_bias, activation = model.get("gate_bias", False), model.get("activation", "relu")
            self.levels.append(level(width, tasks, spec, top, gate_bias, activation))
            width = self.levels[-1].width
        self.towers = towers(width, tasks, model)

    def forward(self, batch):
        x = self.embeddings(batch)
        fused = {m: x for m in [*self.tasks, SHARED]}
        for level in self.levels:
            fused = level(fused, x)
        return {t: self.towers[t](fused[t]) for t in self.tasks}


def as_ple(model):
    """A CGC's `[model]` table as that of a PLE with one level."""
    level = {k: model[k] for k in ("task_experts", "shared_experts", "widths")}
    return {"levels": [level], **{k: v for k, v in model.items() if k not in level}}
