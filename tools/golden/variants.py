"""The structures with one mistake each, made on purpose: predictions of the same weights must differ."""

import copy

import torch

from reference.aitm import AITM, Attention
from reference.asymmetric_sharing import AsymmetricSharing
from reference.cross_stitch import CrossStitch
from reference.customized_sharing import CustomizedSharing
from reference.esmm import ESMM
from reference.interaction import FM, Cross
from reference.layers import mixture
from reference.ml_mmoe import MultiLevelMMoE
from reference.sluice import HALVES, Sluice


def as_kind(kind, model):
    """A model's weights under another class."""
    wrong = copy.deepcopy(model)
    wrong.__class__ = kind
    return wrong


class LevelGatesReadTheLevelBelow(MultiLevelMMoE):
    """Gates that read what their level's first expert reads, as PLE's do, instead of x."""

    def mixed(self, level, reader, x, inputs, experts):
        return super().mixed(level, reader, inputs[0], inputs, experts)


class OneMixtureForAllExperts(MultiLevelMMoE):
    """Every expert of an upper level is given what the first is."""

    def mixed(self, level, reader, x, inputs, experts):
        return super().mixed(level, reader if reader in self.tasks else "0", x, inputs, experts)


class LevelsWithoutSoftmax(MultiLevelMMoE):
    def mixed(self, level, reader, x, inputs, experts):
        return mixture(level.gates[reader](x), experts)


class SoftmaxOverRowsOfLevels(MultiLevelMMoE):
    def mixed(self, level, reader, x, inputs, experts):
        return mixture(torch.softmax(level.gates[reader](x), dim=0), experts)


class TransposedStitches(CrossStitch):
    def matrix(self, l):
        return super().matrix(l).T


class StitchesByName(CrossStitch):
    """Columns of the matrix in the alphabetical order of the tasks."""

    def matrix(self, l):
        return super().matrix(l)[:, [sorted(self.tasks).index(t) for t in self.tasks]]


class NoStitchAtTheTop(CrossStitch):
    def matrix(self, l):
        return torch.eye(len(self.tasks)) if l + 1 == len(self.stitches) else super().matrix(l)


class OneStitchForAllLayers(CrossStitch):
    def matrix(self, l):
        return super().matrix(0)


class TransposedSluices(Sluice):
    def matrix(self, l):
        return super().matrix(l).T


class HalvesBeforeTasks(Sluice):
    """Columns by half, then task."""

    def matrix(self, l):
        by_half = [k * HALVES + s for s in range(HALVES) for k in range(len(self.tasks))]
        return super().matrix(l)[:, torch.tensor(by_half).argsort()]


class TowersReadUnmixedLayers(Sluice):
    def read_by_tower(self, output, mixed):
        return output


class ConditionalInsteadOfProduct(ESMM):
    """The probability under the condition of the event before, taken for that of the event."""

    def reach(self, before, given):
        return given


class ProductWithFirstOnly(ESMM):
    """Every event's probability times that of the first alone, instead of all before it."""

    def forward(self, batch):
        x = self.embeddings(batch)
        outputs = {t: self.towers[t](x) for t in self.tasks}
        first = torch.sigmoid(outputs[self.funnel[0]])
        for task in self.funnel[1:]:
            outputs[task] = torch.logit(first * torch.sigmoid(outputs[task]))
        return outputs


class LogitsAdded(ESMM):
    """Logits added where probabilities are to be multiplied."""

    def reach(self, before, given):
        return given if isinstance(before, float) else torch.sigmoid(torch.logit(before) + torch.logit(given))


class OwnKnowledgeHandedOn(AITM):
    """q of the task before instead of its z."""

    def handed_on(self, own, known):
        return own


class UnscaledAttention(Attention):
    def scale(self, width):
        return 1.0


class QueryOfOwnAlone(Attention):
    """Both keys asked with the task's own query, as attention elsewhere does."""

    def forward(self, transfer, own):
        u = torch.stack([transfer, own], dim=1)
        logits = (self.query(own)[:, None] * self.key(u)).sum(-1, keepdim=True) / self.scale(u.shape[-1])
        return (torch.softmax(logits, dim=1) * self.value(u)).sum(1)


class SoftmaxOverRowsOfAttention(Attention):
    def forward(self, transfer, own):
        u = torch.stack([transfer, own], dim=1)
        logits = (self.query(u) * self.key(u)).sum(-1, keepdim=True) / self.scale(u.shape[-1])
        return (torch.softmax(logits, dim=0) * self.value(u)).sum(1)


class OwnBeforeShared(CustomizedSharing):
    def fused(self, shared, own):
        return super().fused(own, shared)


class BorrowedBeforeOwn(AsymmetricSharing):
    def read_by(self, task):
        return super().read_by(task)[::-1]


class BorrowedByName(AsymmetricSharing):
    """Borrowed bottoms in alphabetical order."""

    def read_by(self, task):
        own, *borrowed = super().read_by(task)
        return [own, *sorted(borrowed)]


class SquareOfSum(FM):
    """Fields multiplied by themselves, too."""

    def forward(self, vectors):
        fields = torch.stack([v for v, is_field in zip(vectors, self.is_field) if is_field])
        return torch.cat([*vectors, fields.sum(0) ** 2 / 2], dim=1)


class CrossesFirst(FM):
    """Crosses before the vectors."""

    def forward(self, vectors):
        width = sum(v.shape[1] for v in vectors)
        x = super().forward(vectors)
        return torch.cat([x[:, width:], x[:, :width]], dim=1)


class SingleValuedFieldsAlone(FM):
    """Without the features of several values."""

    def forward(self, vectors):
        fields = torch.stack([vectors[i] for i in (0, 4)])
        return torch.cat([*vectors, (fields.sum(0) ** 2 - (fields**2).sum(0)) / 2], dim=1)


class WithoutResidual(Cross):
    def crossed(self, first, x, layer):
        return first * layer(x)


class ResidualOfTheInput(Cross):
    def crossed(self, first, x, layer):
        return first * layer(x) + first


class MultipliedByTheLast(Cross):
    """x_l * (W x_l + b) instead of x_0 * (W x_l + b)."""

    def crossed(self, first, x, layer):
        return x * layer(x) + x


def interaction(kinds, model):
    for kind in kinds:
        wrong = copy.deepcopy(model)
        crosses = wrong.interaction.values() if isinstance(wrong.interaction, torch.nn.ModuleDict) else [wrong.interaction]
        for one in crosses:
            one.__class__ = kind
        yield kind.__name__, wrong


CROSSES = {
    "fm": [SquareOfSum, CrossesFirst, SingleValuedFieldsAlone],
    "cross": [WithoutResidual, ResidualOfTheInput, MultipliedByTheLast],
    "cross_low_rank": [WithoutResidual, ResidualOfTheInput, MultipliedByTheLast],
}


def betas_from_the_top_down(model):
    wrong = copy.deepcopy(model)
    for beta in wrong.betas.values():
        beta.weight.data = beta.weight.data.flip(0)
    return wrong


def aitm(model):
    yield "own knowledge handed on", as_kind(OwnKnowledgeHandedOn, model)
    for kind in (UnscaledAttention, QueryOfOwnAlone, SoftmaxOverRowsOfAttention):
        wrong = copy.deepcopy(model)
        for attention in wrong.attention.values():
            attention.__class__ = kind
        yield kind.__name__, wrong


KINDS = {
    "ml_mmoe": [
        LevelGatesReadTheLevelBelow,
        OneMixtureForAllExperts,
        LevelsWithoutSoftmax,
        SoftmaxOverRowsOfLevels,
    ],
    "cross_stitch": [TransposedStitches, StitchesByName, NoStitchAtTheTop, OneStitchForAllLayers],
    "sluice": [TransposedSluices, HalvesBeforeTasks, TowersReadUnmixedLayers],
    "esmm": [ConditionalInsteadOfProduct, ProductWithFirstOnly, LogitsAdded],
    "customized_sharing": [OwnBeforeShared],
    "asymmetric_sharing": [BorrowedBeforeOwn, BorrowedByName],
}


def variants(name, model):
    """(mistake, model that makes it) for a case."""
    if name == "sluice":
        yield "betas from the top down", betas_from_the_top_down(model)
    if name == "aitm":
        yield from aitm(model)
    yield from interaction(CROSSES.get(name, []), model)
    for kind in KINDS.get(name, []):
        yield kind.__name__, as_kind(kind, model)
