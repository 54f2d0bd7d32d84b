"""Labels: whether they are classes or numbers, their codes, and what predictions are measured by."""

from __future__ import annotations

import numpy as np


def kind_of(name: str, values: np.ndarray, classes: dict[str, np.ndarray], binary: bool = False) -> str:
    """Whether labels are classes or numbers; notes the classes."""
    present = values[~missing(values)]
    found = np.unique(present)
    numeric = values.dtype.kind in "biuf"
    if len(found) == 2 or (binary and len(found) < 2):
        classes[name] = found if len(found) == 2 else np.array([0, 1])
        return "binary"
    if binary or not numeric:
        raise ValueError(
            f"Only binary classification is supported. The labels of task {name!r} have {len(found)} values; a task has two "
            "classes, or is a regression"
        )
    if len(found) < 2 and set(found.tolist()) <= {0, 1}:
        classes[name] = np.array([0, 1])
        return "binary"
    return "regression"


def varies(labels: np.ndarray) -> bool:
    """Whether two labels differ."""
    there = labels[~np.isnan(labels)]
    return len(there) > 1 and bool((there != there[0]).any())


def missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        return np.array([value is None or value != value for value in values], dtype=bool)
    return np.zeros(len(values), dtype=bool)


def encoded(values: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Labels as floats; NaN where one is missing."""
    gone = missing(values)
    if classes is None:
        return np.where(gone, np.nan, np.asarray(values, dtype=float))
    codes = np.full(len(values), np.nan)
    for code, label in enumerate(classes):
        codes[~gone & (values == label)] = code
    unknown = ~gone & np.isnan(codes)
    if unknown.any():
        raise ValueError(f"y has the label {values[unknown][0]!r}, and the classes are {list(classes)}")
    return codes


def auc(predictions: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float | None:
    """The weighted probability that a positive row is predicted above a negative one; ties count half."""
    positives, negatives = weight[truth == 1].sum(), weight[truth == 0].sum()
    if positives == 0 or negatives == 0:
        return None
    values, at = np.unique(predictions, return_inverse=True)
    up = np.bincount(at, weights=weight * (truth == 1), minlength=len(values))
    down = np.bincount(at, weights=weight * (truth == 0), minlength=len(values))
    return float((up * (np.cumsum(down) - down / 2)).sum() / (positives * negatives))


def r2(predictions: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float | None:
    total = (weight * (truth - np.average(truth, weights=weight)) ** 2).sum() if len(truth) else 0.0
    return None if total == 0 else float(1.0 - (weight * (truth - predictions) ** 2).sum() / total)
