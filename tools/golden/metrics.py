"""Metrics by scikit-learn, for crates/train/tests/metrics.rs.

Run from the repository root with scikit-learn and NumPy installed; writes crates/train/tests/golden/metrics.json:

    python tools/golden/metrics.py

A case is a task's kind, its predictions, its labels (null: the row lies outside of the sample space), in some cases the
rows' groups (0: none), and the metrics of the rows inside. A metric that scikit-learn does not define, or defines by convention only (AUC of one class, R2 of
constant labels), is null.
"""

import json
import sys
from pathlib import Path

import numpy as np
import sklearn
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    ndcg_score,
    r2_score,
    roc_auc_score,
)

OUT = Path("crates/train/tests/golden/metrics.json")


def binary(p, y):
    both = len(set(y.tolist())) == 2
    return {
        "rows": len(y),
        "positives": int(y.sum()),
        "auc": float(roc_auc_score(y, p)) if both else None,
        # p is f32: scikit-learn clips it to the f32 resolution at 1, then goes on in f64 with p in f32.
        "log_loss": float(log_loss(y, clipped(p), labels=[0, 1])) if len(y) else None,
        "calibration": float(p.astype(np.float64).sum() / y.sum()) if y.sum() else None,
        "pr_auc": float(average_precision_score(y, p)) if y.sum() else None,
        # He et al. 2014: log loss beside that of the base rate.
        "normalized_entropy": float(log_loss(y, clipped(p)) / log_loss(y, np.full(len(y), y.mean(), np.float64)))
        if both
        else None,
    }


def clipped(p):
    epsilon = float(np.finfo(np.float32).eps)
    return np.clip(p.astype(np.float64), epsilon, 1 - epsilon)


def regression(p, y):
    p, y = p.astype(np.float64), y.astype(np.float64)
    varies = len(set(y.tolist())) > 1
    return {
        "rows": len(y),
        "mse": float(mean_squared_error(y, p)) if len(y) else None,
        "mae": float(mean_absolute_error(y, p)) if len(y) else None,
        "r2": float(r2_score(y, p)) if varies else None,
    }


def over_groups(value, left_out):
    return {"value": float(value) if value is not None else None, "left_out": int(left_out)}


def by_group(kind, p, y, groups, ks):
    """GAUC weighted by rows, NDCG with averaged ties, and recall as the mean over many orders of what ties (by formula)."""
    rows = [(p[groups == g], y[groups == g]) for g in sorted(set(groups.tolist())) if g]
    out = {"groups": len(rows), "rows_without": int((groups == 0).sum())}
    with_gain = [(gp, gy) for gp, gy in rows if (gy > 0).any()]
    if kind == "binary":
        both = [(gp, gy) for gp, gy in rows if len(set(gy.tolist())) == 2]
        weights = [len(gy) for _, gy in both]
        aucs = [roc_auc_score(gy, gp) for gp, gy in both]
        out["gauc"] = over_groups(np.average(aucs, weights=weights) if both else None, len(rows) - len(both))

    def ndcg(gp, gy, k):
        # scikit-learn refuses a single row, whose order cannot be wrong.
        return ndcg_score(gy[None].astype(np.float64), gp[None].astype(np.float64), k=k) if len(gy) > 1 else 1.0

    def recall(gp, gy, k):
        # Each row's chance to be among the first k, over all orders of rows that tie.
        chance = [np.clip((k - (gp > q).sum()) / (gp == q).sum(), 0, 1) for q in gp]
        return (np.array(chance) * gy).sum() / gy.sum()

    for name, metric in [("ndcg", ndcg)] + ([("recall", recall)] if kind == "binary" else []):
        out[name] = [
            {
                "k": k,
                **over_groups(
                    np.mean([metric(gp, gy, k) for gp, gy in with_gain]) if with_gain else None,
                    len(rows) - len(with_gain),
                ),
            }
            for k in ks
        ]
    return out


def case(name, kind, p, y, present=None, groups=None, ks=()):
    p, y = np.asarray(p, np.float32), np.asarray(y, np.float32)
    present = np.ones(len(y), bool) if present is None else np.asarray(present, bool)
    metrics = (binary if kind == "binary" else regression)(p[present], y[present])
    number = lambda v: float(str(np.float32(v)))  # the shortest decimals that read back as the same f32
    labels = [number(v) if d else None for v, d in zip(y, present)]
    out = {"name": name, "kind": kind, "predictions": [number(v) for v in p], "labels": labels}
    if groups is not None:
        groups = np.asarray(groups, np.int64)
        out["groups"] = groups.tolist()
        metrics["by_group"] = by_group(kind, p[present], y[present], groups[present], ks)
    return out | {"metrics": metrics}


def main():
    rng = np.random.default_rng(20)
    n = 400
    truth = rng.normal(size=n)
    label = rng.random(n) < 1 / (1 + np.exp(-truth + 1))
    score = 1 / (1 + np.exp(-(truth + rng.normal(size=n))))
    value = 3 * truth + 10
    guess = value + rng.normal(size=n)
    cases = [
        case("plain", "binary", score, label),
        case("ties", "binary", np.round(score, 1), label),
        case("all tied", "binary", np.full(50, 0.25), label[:50]),
        case("sample space", "binary", score, label, rng.random(n) < 0.4),
        case("rare", "binary", score * 0.05, rng.random(n) < 0.01),
        case("certain", "binary", [0.0, 1.0, 1.0, 0.0, 1e-12, 0.3], [0, 1, 0, 1, 1, 0]),
        case("positives only", "binary", score[:9], np.ones(9)),
        case("negatives only", "binary", score[:9], np.zeros(9)),
        case("no row", "binary", score[:9], label[:9], np.zeros(9)),
        case("plain", "regression", guess, value),
        case("sample space", "regression", guess, value, rng.random(n) < 0.4),
        case("worse than the mean", "regression", -guess, value),
        case("large mean", "regression", 1e6 + guess, 1e6 + value),
        case("constant labels", "regression", guess[:9], np.full(9, 2.5)),
        case("one row", "regression", [1.5], [2.0]),
        case("no row", "regression", guess[:9], value[:9], np.zeros(9)),
    ]
    # Users with one to some thirty rows; 0 is none.
    user = np.minimum(rng.geometric(0.06, n), 30)
    user[rng.random(n) < 0.05] = 0
    some, ks = rng.random(n) < 0.7, (1, 3, 10)
    watched = np.maximum(np.round(value), 0)
    cases += [
        case("groups", "binary", score, label, None, user, ks),
        case("groups and ties", "binary", np.round(score, 1), label, some, user, ks),
        case("groups, all tied", "binary", np.full(n, 0.25), label, None, user, ks),
        case("groups of one row", "binary", score[:20], label[:20], None, np.arange(1, 21), ks),
        case("groups without positives", "binary", score[:20], np.zeros(20), None, user[:20], ks),
        case("groups", "regression", guess, watched, some, user, ks),
        case("groups and ties", "regression", np.round(guess / 4), watched, None, user, ks),
        case("groups without gain", "regression", guess[:20], np.zeros(20), None, user[:20], ks),
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    made = f"tools/golden/metrics.py, scikit-learn {sklearn.__version__}"
    body = ",\n".join(json.dumps(c) for c in cases)
    OUT.write_text(f'{{"made_by": "{made}", "cases": [\n{body}\n]}}\n')
    print(f"{OUT}: {len(cases)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
