"""Mistakes that public implementations make, made here on purpose: a case must tell each from the real thing."""

import copy
import math

import numpy as np
import torch
from torch.nn import functional as F

from reference import as_ple
from reference.layers import Embeddings, mixture
from reference.objective import joint_loss, task_weight
from reference.ple import PLE, SHARED, Level
from variants import variants

LEAST = 1e-3


# Mistakes in the structure: predictions of the same weights must differ.


class NoSoftmax(Level):
    def weights(self, module, selector):
        return self[module].gate(selector)


class SoftmaxOverRows(Level):
    def weights(self, module, selector):
        return torch.softmax(self[module].gate(selector), dim=0)


class NormalisedGate(Level):
    """Batch normalisation before the softmax."""

    def weights(self, module, selector):
        logits = self[module].gate(selector)
        return torch.softmax((logits - logits.mean(0)) / logits.std(0, unbiased=False), dim=1)


class UpperGateReadsRawInput(Level):
    def selector(self, module, inputs, x):
        return x


class SharedFirst(Level):
    """Shared experts before the own ones."""

    def selected(self, module, outputs):
        if module == SHARED:
            return [expert for m in [SHARED, *self.tasks] for expert in outputs[m]]
        return [*outputs[SHARED], *outputs[module]]


class SharedGateOverSharedExperts(Level):
    """The shared gate's first weights over the shared experts alone."""

    def forward(self, inputs, x):
        fused = super().forward(inputs, x)
        if not self.top:
            experts = [expert(inputs[SHARED]) for expert in self[SHARED].experts]
            logits = self[SHARED].gate(inputs[SHARED])[:, -len(experts) :]
            fused[SHARED] = mixture(torch.softmax(logits, dim=1), experts)
        return fused


class SharedGateByName(Level):
    """The shared gate over the modules in alphabetical order."""

    def selected(self, module, outputs):
        if module == SHARED:
            return [expert for m in sorted(outputs) for expert in outputs[m]]
        return super().selected(module, outputs)


class SharedGateByExpert(Level):
    """The shared gate over every module's first expert, then every module's second, and so on."""

    def selected(self, module, outputs):
        if module == SHARED:
            lists = [outputs[m] for m in [*self.tasks, SHARED]]
            return [own[e] for e in range(max(map(len, lists))) for own in lists if e < len(own)]
        return super().selected(module, outputs)


class ForeignExperts(Level):
    """One flat list of task experts, cut as if every task had as many as the first: others' experts serve a task."""

    def selected(self, module, outputs):
        if module == SHARED:
            return super().selected(module, outputs)
        flat = [expert for t in self.tasks for expert in outputs[t]]
        first = self.tasks.index(module) * len(outputs[self.tasks[0]])
        own = [flat[(first + e) % len(flat)] for e in range(len(outputs[module]))]
        return [*own, *outputs[SHARED]]


class ForeignTask(Level):
    """Each task is given the experts of the task before it, where it has as many."""

    def selected(self, module, outputs):
        if module == SHARED:
            return super().selected(module, outputs)
        before = self.tasks[self.tasks.index(module) - 1]
        own = outputs[before] if len(outputs[before]) == len(outputs[module]) else outputs[module]
        return [*own, *outputs[SHARED]]


class UpperExpertsReadSharedInput(Level):
    """Every module of an upper level reads the shared module's fused output."""

    def forward(self, inputs, x):
        return super().forward({m: inputs[SHARED] for m in self}, x)


STRUCTURE = {
    "ple_uneven": [
        NoSoftmax,
        SoftmaxOverRows,
        NormalisedGate,
        SharedFirst,
        SharedGateOverSharedExperts,
        SharedGateByName,
        SharedGateByExpert,
        ForeignExperts,
    ],
    "ple_two_levels": [
        NoSoftmax,
        SoftmaxOverRows,
        NormalisedGate,
        UpperGateReadsRawInput,
        SharedFirst,
        SharedGateOverSharedExperts,
        SharedGateByExpert,
        ForeignTask,
        UpperExpertsReadSharedInput,
    ],
    "cgc_embeddings": [NoSoftmax, SoftmaxOverRows, NormalisedGate, SharedFirst],
}


def mmoe_variants(model):
    """MMoE with experts in the order of their names as text, and with gates that lack softmax or bias."""
    by_name = copy.deepcopy(model)
    order = sorted(range(len(model.experts)), key=str)
    by_name.experts = torch.nn.ModuleList(model.experts[e] for e in order)
    yield "experts by name", by_name
    no_softmax = copy.deepcopy(model)
    no_softmax.weights = lambda task, x: no_softmax.gates[task](x)
    yield "no softmax", no_softmax
    over_rows = copy.deepcopy(model)
    over_rows.weights = lambda task, x: torch.softmax(over_rows.gates[task](x), dim=0)
    yield "softmax over rows", over_rows
    no_bias = copy.deepcopy(model)
    for gate in no_bias.gates.values():
        gate.bias = None
    yield "no gate bias", no_bias


class EmbeddingsByName(Embeddings):
    """Features in alphabetical order."""

    def forward(self, batch):
        return torch.cat([self.vector(f, batch[f.name]) for f in sorted(self.features, key=lambda f: f.name)], dim=1)


class NumericFirst(Embeddings):
    """All numeric features before the embeddings, whatever the configuration says."""

    def forward(self, batch):
        return torch.cat([self.vector(f, batch[f.name]) for f in sorted(self.features, key=lambda f: f.categorical)], 1)


class DistinctValues(Embeddings):
    """A repeated value of a multi-valued feature counted once."""

    def vector(self, feature, values):
        if feature.pooling is not None:
            ids, offsets = values
            lists = [ids[a:b].unique() for a, b in zip(offsets, offsets[1:])]
            values = torch.cat(lists), torch.tensor([0, *np.cumsum([len(v) for v in lists])])
        return super().vector(feature, values)


# Mistakes in training: weights after five steps must differ.


def loss_over_batch(outputs, labels, tasks, step):
    """The mean over all rows of the batch instead of the rows of the task."""
    total = 0.0
    for t in tasks:
        label, present = labels[t.name]
        total = total + task_weight(t.weight, step) * (row_losses(t, outputs, label) * present).mean()
    return total


def loss_without_mask(outputs, labels, tasks, step):
    """Rows outside of the sample space as rows with label zero."""
    return sum(task_weight(t.weight, step) * row_losses(t, outputs, labels[t.name][0]).mean() for t in tasks)


def loss_of_clicked_rows(outputs, labels, tasks, step):
    """Every task of a funnel on the rows where the first event happened: the sample space of a conditional probability."""
    clicked = labels["click"][0]
    spaces = {t: (label, present * clicked if t in ("cart", "buy") else present) for t, (label, present) in labels.items()}
    return joint_loss(outputs, spaces, tasks, step)


def row_losses(task, outputs, label):
    if task.kind == "binary":
        return F.binary_cross_entropy_with_logits(outputs[task.name], label, reduction="none")
    return (outputs[task.name] - label) ** 2


def loss_of(right, weight):
    """The right loss under other weights: `weight(task, step)`."""

    def loss(outputs, labels, tasks, step):
        return sum(right(t, weight(t, step), outputs, labels) for t in tasks)

    return loss


def masked(task, weight, outputs, labels):
    label, present = labels[task.name]
    return weight * (row_losses(task, outputs, label) * present).sum() / present.sum().clamp(min=1)


def dense_step(optimizer, touched):
    """Adam that moves every row of a table."""
    optimizer.step()


def skipping_step(optimizer, touched):
    """Parameters whose gradient is zero throughout are left alone instead of stepped with a zero gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not parameter.grad.any():
                parameter.grad = None
    optimizer.step()


def epsilon_first(parameters):
    """Adam with epsilon before bias correction, by an epsilon that changes with the step."""
    return EpsilonFirst(parameters, lr=0.01, eps=0.01)


class EpsilonFirst(torch.optim.Adam):
    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["eps"] = 0.01 / math.sqrt(1 - group["betas"][1] ** self.steps)
        return super().step(closure)


def check(name, config, model, rows, train):
    """Asserts that the case `name` tells every mistake it is there for from the real thing."""
    from structures import distance, metrics, predict

    right = predict(model, rows)

    def predictions_differ(mistake, wrong):
        wrong = predict(wrong, rows)
        report(name, mistake, max(np.abs(right[t] - wrong[t]).max() for t in right))

    for level in STRUCTURE.get(name, []):
        spec = config["model"] if config["model"]["kind"] == "ple" else as_ple(config["model"])
        wrong = PLE(rows.features, rows.tasks, spec, level=level)
        wrong.load_state_dict(model.state_dict())
        predictions_differ(level.__name__, wrong)
    if name == "mmoe":
        for mistake, wrong in mmoe_variants(model):
            predictions_differ(mistake, wrong)
    for mistake, wrong in variants(name, model):
        predictions_differ(mistake, wrong)
    if name == "cgc_embeddings":
        for kind in (EmbeddingsByName, NumericFirst, DistinctValues):
            wrong = copy.deepcopy(model)
            wrong.embeddings = kind(rows.features)
            wrong.load_state_dict(model.state_dict())
            predictions_differ(kind.__name__, wrong)

    # How metrics.json differs when the mask is left out.
    masks = rows.labels()
    for task in rows.tasks:
        if masks[task.name][1].all():
            continue
        everything = copy.copy(rows)
        everything.labels = lambda *_, **__: {
            t: (label.double(), torch.ones_like(label)) for t, (label, _) in masks.items()
        }
        key = "auc" if task.kind == "binary" else "mse"
        a, b = (metrics(right, r)["tasks"][task.name][key] for r in (rows, everything))
        report(name, f"metric of {task.name} over all rows", abs(a - b))

    sgd, adam = (lambda p: torch.optim.SGD(p, lr=0.1)), (lambda p: torch.optim.Adam(p, lr=0.01))
    sgd_right, adam_right = train(copy.deepcopy(model), make=sgd), train(copy.deepcopy(model), make=adam)

    def training_differs(mistake, right, **how):
        report(name, mistake, distance(train(copy.deepcopy(model), **how), right))

    if any(not present.all() for _, present in masks.values()):
        training_differs("loss over the batch", sgd_right, make=sgd, loss=loss_over_batch)
        training_differs("loss without mask", sgd_right, make=sgd, loss=loss_without_mask)
    if any(isinstance(t.weight, dict) for t in rows.tasks):
        for mistake, weight in {
            "weights from step 1": lambda t, step: task_weight(t.weight, step + 1),
            "weights that stay": lambda t, step: task_weight(t.weight, 0),
            "no weights": lambda t, step: 1.0,
        }.items():
            training_differs(mistake, sgd_right, make=sgd, loss=loss_of(masked, weight))
    if name == "ple_uneven":
        training_differs("no step without gradient", adam_right, make=adam, step=skipping_step)
    if any(f.categorical for f in rows.features):
        training_differs("dense Adam", adam_right, make=adam, step=dense_step)
    if name == "cgc_embeddings":
        after = train(copy.deepcopy(model), make=lambda p: torch.optim.Adam(p, lr=0.01, eps=0.01))
        training_differs("epsilon before bias correction", after, make=epsilon_first)


    if name == "esmm":
        training_differs("purchases learned from clicked rows alone", sgd_right, make=sgd, loss=loss_of_clicked_rows)
    if name == "aitm":
        uncalibrated = copy.deepcopy(model)
        uncalibrated.calibrator = 0.0
        report(name, "no calibrator", distance(train(uncalibrated, make=sgd), sgd_right))
        turned = copy.deepcopy(model)
        turned.calibrated = [(later, earlier) for earlier, later in model.pairs]
        report(name, "calibrator the other way round", distance(train(turned, make=sgd), sgd_right))


def report(case, mistake, difference):
    print(f"{case}: {mistake}: {difference:.1e}")
    assert difference > LEAST, f"{case} does not tell `{mistake}` from the real thing: {difference:.1e}"
