"""The rows of every case, and the optimizers that each is trained with. Configurations are files beside the fixtures."""

from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch


@dataclass(frozen=True)
class Optimizer:
    """`make` gives PyTorch's; crates/cli/tests/golden.rs sets the same by configuration."""

    make: Callable
    clip_norm: float | None = None


SGD = Optimizer(lambda p: torch.optim.SGD(p, lr=0.1))
SGD_MOMENTUM = Optimizer(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9))
# The norm is that of the whole gradient, tables included; an id that a batch looks up twice has one gradient.
SGD_CLIP = Optimizer(lambda p: torch.optim.SGD(p, lr=0.5), clip_norm=0.1)
ADAM = Optimizer(lambda p: torch.optim.Adam(p, lr=0.01))
# Large enough that epsilon before bias correction would show.
ADAM_EPSILON = Optimizer(lambda p: torch.optim.Adam(p, lr=0.01, eps=0.01))
ADAM_L2 = Optimizer(lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1))
ADAMW = Optimizer(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1))
ADAGRAD = Optimizer(lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-10))

BASIC = {"sgd": SGD, "adam": ADAM}


@dataclass(frozen=True)
class Case:
    rows: int
    seed: int
    columns: Callable
    optimizers: dict


def numeric(rng, rows, names):
    return {name: [f"{v:.4f}" for v in rng.normal(size=rows)] for name in names}


def ids(rng, rows, table):
    return [str(v) for v in rng.integers(table, size=rows)]


def lists(rng, rows, table):
    """Up to four ids with repetitions; every fifth row has none."""
    counts = [0 if i % 5 == 4 else 1 + i % 4 for i in range(rows)]
    return ["|".join(str(v) for v in rng.integers(table, size=n)) for n in counts]


def binary(rng, rows, rate=0.5):
    return [str(int(v)) for v in rng.random(rows) < rate]


def value(rng, rows):
    return [f"{v:.4f}" for v in rng.normal(0.5, 1.0, size=rows)]


def missing(labels, every, first=0):
    """Leaves every so many labels empty."""
    return ["" if i % every == first else v for i, v in enumerate(labels)]


def ple_uneven(rng, n):
    columns = numeric(rng, n, ["speed", "age", "length", "depth", "pace", "clock", "bias", "load", "echo"])
    click = binary(rng, n, 0.7)
    click[16:24] = ["0"] * 8
    return {
        **columns,
        "click": click,
        "completion": missing(value(rng, n), 6, 1),
        "view": binary(rng, n, 0.6),
        "share": missing(binary(rng, n), 7, 2),
    }


def cgc_embeddings(rng, n):
    return {
        "click": binary(rng, n, 0.6),
        "share": binary(rng, n),
        **numeric(rng, n, ["age", "price"]),
        "hour": ids(rng, n, 24),
        "tags": lists(rng, n, 30),
        "user": ids(rng, n, 40),
    }


def mmoe(rng, n):
    names = ["speed", "age", "length", "depth", "pace", "clock"]
    return {**numeric(rng, n, names), "like": missing(binary(rng, n), 9, 4), "watch": value(rng, n)}


def hard_sharing(rng, n):
    names = ["speed", "age", "length", "depth", "pace", "clock", "bias"]
    return {
        **numeric(rng, n, names),
        "like": missing(binary(rng, n), 5, 3),
        "click": binary(rng, n, 0.6),
        "watch": value(rng, n),
    }


def single_task(rng, n):
    return {
        "user": ids(rng, n, 20),
        "tags": lists(rng, n, 15),
        **numeric(rng, n, ["age", "price"]),
        "click": binary(rng, n, 0.6),
        "watch": value(rng, n),
    }


def ple_two_levels(rng, n):
    names = ["speed", "age", "length", "depth", "pace", "clock", "bias", "load"]
    return {**numeric(rng, n, names), "like": binary(rng, n), "watch": value(rng, n)}


def ml_mmoe(rng, n):
    return {
        **numeric(rng, n, ["speed", "age", "length", "depth", "pace"]),
        "like": missing(binary(rng, n), 6, 2),
        "watch": value(rng, n),
    }


def cross_stitch(rng, n):
    return {
        "user": ids(rng, n, 20),
        **numeric(rng, n, ["speed", "age", "length"]),
        "click": binary(rng, n, 0.6),
        "like": missing(binary(rng, n), 5, 3),
        "watch": value(rng, n),
    }


def funnel(rng, n):
    """Purchases happen to carts, carts to clicks; all labels are there in every row."""
    click, cart, buy = binary(rng, n, 0.7), binary(rng, n, 0.7), binary(rng, n, 0.6)
    cart = [str(int(a == b == "1")) for a, b in zip(click, cart)]
    buy = [str(int(a == b == "1")) for a, b in zip(cart, buy)]
    return {
        "user": ids(rng, n, 15),
        **numeric(rng, n, ["price", "age", "hour", "depth"]),
        "click": click,
        "cart": cart,
        "buy": buy,
        "time": value(rng, n),
    }


def crosses(rng, n):
    return {
        "user": ids(rng, n, 20),
        **numeric(rng, n, ["age", "price"]),
        "tags": lists(rng, n, 15),
        "hour": ids(rng, n, 24),
        "like": missing(binary(rng, n), 6, 2),
        "watch": value(rng, n),
    }


CASES = {
    "ple_uneven": Case(40, 1, ple_uneven, BASIC),
    "cgc_embeddings": Case(40, 1, cgc_embeddings, {**BASIC, "adam_epsilon": ADAM_EPSILON, "sgd_clip": SGD_CLIP}),
    "mmoe": Case(33, 1, mmoe, BASIC),
    "hard_sharing": Case(29, 2, hard_sharing, {**BASIC, "sgd_momentum": SGD_MOMENTUM}),
    "single_task": Case(38, 1, single_task, BASIC),
    "ml_mmoe": Case(37, 1, ml_mmoe, BASIC),
    "cross_stitch": Case(38, 1, cross_stitch, BASIC),
    "sluice": Case(39, 1, cross_stitch, BASIC),
    "esmm": Case(36, 1, funnel, BASIC),
    "aitm": Case(40, 1, funnel, BASIC),
    "customized_sharing": Case(33, 1, hard_sharing, BASIC),
    "asymmetric_sharing": Case(34, 1, hard_sharing, BASIC),
    "fm": Case(38, 1, crosses, BASIC),
    "cross": Case(36, 2, crosses, BASIC),
    "cross_low_rank": Case(39, 3, crosses, BASIC),
    "ple_two_levels": Case(37, 1, ple_two_levels, {**BASIC, "adam_l2": ADAM_L2, "adamw": ADAMW, "adagrad": ADAGRAD}),
}
