"""Losses per row in PyTorch, for crates/model/tests/losses.rs; writes crates/model/tests/golden/losses.json:

    python tools/golden/losses.py

Everything is f64. Values are PyTorch's own where it has the loss (cross-entropy with `pos_weight`, Huber's); the focal
loss is written as its paper has it, in logarithms of probabilities. Derivatives are by autograd.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

OUT = Path(__file__).resolve().parents[2] / "crates" / "model" / "tests" / "golden" / "losses.json"
torch.set_default_dtype(torch.float64)

LOGITS = [-100.0, -20.0, -3.0, -0.5, 0.0, 0.25, 2.0, 20.0, 100.0]
LABELS = [-0.5, 0.0, 0.75, 3.0, 1000.0]


def focal(gamma, alpha):
    """Lin et al. 2017, equation 5."""

    def loss(z, y):
        log_p = F.logsigmoid(z) if y == 1 else F.logsigmoid(-z)
        # 1 - p_t by its own logarithm, which is exact where p_t is nearly 1.
        log_rest = F.logsigmoid(-z) if y == 1 else F.logsigmoid(z)
        return -(alpha if y == 1 else 1 - alpha) * torch.exp(gamma * log_rest) * log_p

    return loss


def weighted(loss, weight):
    return lambda z, y: (weight if y == 1 else 1.0) * loss(z, y)


def cross_entropy(weight):
    pos_weight = torch.tensor(weight)
    return lambda z, y: F.binary_cross_entropy_with_logits(z, torch.tensor(y), pos_weight=pos_weight)


def squared(z, y):
    return F.mse_loss(z, y)


def huber(delta):
    return lambda z, y: F.huber_loss(z, y, delta=delta)


def on_logarithms(loss):
    return lambda z, y: loss(z, torch.log1p(y))


def of_values(loss):
    return lambda z, y: loss(z, torch.tensor(y))


CASES = [
    ("binary", {}, cross_entropy(1.0)),
    ("binary", {"positive_weight": 7.5}, cross_entropy(7.5)),
    ("binary", {"loss": "focal"}, focal(2.0, 0.25)),
    ("binary", {"loss": {"kind": "focal", "gamma": 0.5, "alpha": 0.9}}, focal(0.5, 0.9)),
    ("binary", {"loss": {"kind": "focal", "gamma": 5.0}, "positive_weight": 3.0}, weighted(focal(5.0, 0.25), 3.0)),
    ("regression", {}, of_values(squared)),
    ("regression", {"loss": "huber"}, of_values(huber(1.0))),
    ("regression", {"loss": {"kind": "huber", "delta": 2.5}}, of_values(huber(2.5))),
    ("regression", {"transform": "log1p"}, of_values(on_logarithms(squared))),
    ("regression", {"loss": "huber", "transform": "log1p"}, of_values(on_logarithms(huber(1.0)))),
]


def rows(kind, loss):
    for number in LOGITS:
        for y in [0.0, 1.0] if kind == "binary" else LABELS:
            z = torch.tensor(number, requires_grad=True)
            value = loss(z, y)
            value.backward()
            yield [number, y, value.item(), z.grad.item()]


if __name__ == "__main__":
    cases = [{"kind": kind, "objective": keys, "rows": list(rows(kind, loss))} for kind, keys, loss in CASES]
    OUT.write_text(json.dumps(cases, indent=1) + "\n")
