"""A case that `pleiad bench --export-case` wrote, and the PyTorch models that compute it.

The maths is that of tools/golden/reference; weights, batches and the gradients that must come out are Pleiad's.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/golden"))

from reference import build  # noqa: E402

from stacked import StackedPLE  # noqa: E402


@dataclass(frozen=True)
class Feature:
    name: str
    categorical: bool
    rows: int = 0
    dim: int = 0
    pooling: str | None = None


@dataclass(frozen=True)
class Task:
    name: str


class Case:
    """What stands in the folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        about = json.loads((self.folder / "case.json").read_text())
        case = about["case"]
        self.name, self.rows, self.model = case["name"], case["rows"], case["model"]
        self.learning_rate, self.count = about["learning_rate"], about["batches"]
        self.gradient_rows = about["gradient_rows"]
        self.features = [Feature(f"n{i}", False) for i in range(case["numeric"])]
        self.features += [Feature(f"c{i}", True, f["rows"], f["dim"]) for i, f in enumerate(case["fields"])]
        self.tasks = [Task(name) for name in case["tasks"]]

    def tensors(self, name):
        return load_file(self.folder / f"{name}.safetensors")

    def batches(self):
        """(numeric [B, N], ids [B, C], labels [B, T]) each."""
        files = [self.tensors(f"batch-{i}") for i in range(self.count)]
        return [(f["numeric"], f["ids"].long(), f["labels"]) for f in files]

    def build(self, variant, weights, sparse=False):
        """`eager` (a module per expert and table) or `stacked`, with these weights by Pleiad's names."""
        # Linear layers draw their weights when they are made; these are replaced at once.
        reference = build(self.features, self.tasks, self.model)
        reference.load_state_dict(weights)
        return StackedPLE(reference, self.features, sparse) if variant == "stacked" else Eager(reference, sparse)


class Inputs(nn.Module):
    """The reference's input representation with all numbers in one tensor: [B, N] and [B, C] -> [B, D]."""

    def __init__(self, tables, sparse):
        super().__init__()
        self.tables, self.sparse = tables, sparse

    def forward(self, batch):
        numeric, ids = batch
        embedded = [F.embedding(i, t.weight, sparse=self.sparse) for i, t in zip(ids.unbind(1), self.tables)]
        return torch.cat([numeric, *embedded], dim=1)


class Eager(nn.Module):
    """(numeric [B, N], ids [B, C]) -> [B, T]."""

    def __init__(self, reference, sparse):
        super().__init__()
        tables = nn.ModuleList(reference.embeddings.values())
        reference.embeddings = Inputs(tables, sparse)
        self.reference = reference

    def forward(self, numeric, ids):
        return torch.stack(list(self.reference((numeric, ids)).values()), dim=1)


def loss(model, batch):
    """The sum over tasks of the mean over rows."""
    numeric, ids, labels = batch
    outputs = model(numeric, ids)
    return F.binary_cross_entropy_with_logits(outputs.float(), labels) * labels.shape[1]


def tables(model):
    """Parameters of embeddings, and all others."""
    found = {True: [], False: []}
    for name, parameter in model.named_parameters():
        found[".embeddings." in name or name == "table"].append(parameter)
    return found[True], found[False]


def gradient_error(case, variant, sparse=False, autocast=False):
    """Largest difference between PyTorch's gradients of the first batch's first rows and Pleiad's, by tensor, relative to
    the largest element of Pleiad's; (error, tensor)."""
    model = case.build(variant, case.tensors("weights"), sparse)
    # Stacking moves weights about and does no more, so it moves gradients to where those of the stacked weights are.
    expected = dict(case.build(variant, case.tensors("gradients")).named_parameters())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(model, [tensor[: case.gradient_rows] for tensor in case.batches()[0]])
    value.backward()
    worst = 0.0, ""
    for name, parameter in model.named_parameters():
        gradient, right = parameter.grad.to_dense(), expected[name].detach()
        error = ((gradient - right).abs().max() / right.abs().max()).item()
        # NaN compares false with everything: it must not pass for small.
        if not error <= worst[0]:
            worst = error, name
    return worst
