"""Writes the golden fixtures of Pleiad's structures from plain PyTorch: python structures.py [CASE]...

Every folder crates/cli/tests/golden/<case> holds `config.toml`, which people write, and what this script makes of it:

    rows.csv                  the rows
    weights.safetensors       start weights, by Pleiad's tensor names
    predictions.csv           what they predict of every row: a probability (binary) or a value (regression)
    metrics.json              what `pleiad evaluate` must say of them, on each task's own sample space
    after_<name>.safetensors  weights after five steps over the batches in row order, by optimizer (see cases.py)

Before it writes, it makes sure that the case can tell right from wrong: every tensor moves in training, f32 noise stays
far below the tolerance of the tests, and every mistake in mistakes.py changes what it should change.
"""

import argparse
import copy
import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

import mistakes
from cases import CASES
from reference import build
from reference.objective import calibration, joint_loss
from reference.optimizer import lazy_step
from reference.rows import Rows, features_of, tasks_of

STEPS = 5
FIXTURES = Path(__file__).resolve().parents[2] / "crates/cli/tests/golden"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("cases", nargs="*", default=CASES, metavar="CASE", help="which cases (default: all)")
    for name in arguments.parse_args().cases:
        write(name, CASES[name], FIXTURES / name)


def write(name, case, folder):
    config = tomllib.loads((folder / "config.toml").read_text())
    columns = case.columns(np.random.default_rng(case.seed), case.rows)
    pd.DataFrame(columns).to_csv(folder / "rows.csv", index=False, lineterminator="\n")

    features, tasks = features_of(config), tasks_of(config)
    rows = Rows(folder / "rows.csv", features, tasks)
    model = build(features, tasks, config["model"], config.get("interaction"))
    initialise(model, case.seed)
    start = tensors(model)
    save(start, folder / "weights.safetensors")

    predictions = predict(model, rows)
    pd.DataFrame(predictions).to_csv(folder / "predictions.csv", index=False, float_format="%.9g", lineterminator="\n")
    (folder / "metrics.json").write_text(json.dumps(metrics(predictions, rows), indent=2) + "\n")

    batch_size = config["train"]["batch_size"]
    for optimizer, spec in case.optimizers.items():
        after = train(copy.deepcopy(model), rows, batch_size, spec.make, spec.clip_norm)
        precise = train(copy.deepcopy(model).double(), rows, batch_size, spec.make, spec.clip_norm)
        noise, moved = distance(after, precise), {k: (after[k] - start[k]).abs().max().item() for k in start}
        still = [k for k, v in moved.items() if v < 1e-4]
        assert noise < 2e-6, f"{name}: {optimizer} in f32 is {noise:.1e} from f64, too near to the tolerance of 1e-5"
        assert not still, f"{name}: {optimizer} leaves {still} where they were"
        save(after, folder / f"after_{optimizer}.safetensors")
        print(f"{name}: {optimizer}: f32 against f64 {noise:.1e}, least mover {min(moved.values()):.1e}")
    mistakes.check(name, config, model, rows, train=lambda m, **how: train(m, rows, batch_size, **how))


def initialise(model, seed):
    """Nothing zero, nothing alike, few units dead: gates are far from uniform, and biases matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("embeddings."):
                mean, std = 0.0, 0.7
            elif name.endswith(".bias"):
                mean, std = 0.2, 0.2
            elif parameter.dim() == 1:
                # Weights of a combination of so many inputs.
                mean, std = 1.0 / len(parameter), 0.3
            else:
                mean, std = 0.0, math.sqrt(2.0 / parameter.shape[1])
            parameter.copy_(mean + torch.randn(parameter.shape, generator=generator) * std)


def save(weights, path):
    save_file(weights, path)
    path.chmod(0o644)


def tensors(model):
    return {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}


def distance(a, b):
    """Largest difference relative to the largest weight of all tensors: the measure of the tests."""
    largest = max(v.abs().max().item() for v in b.values())
    return max((a[k].double() - b[k].double()).abs().max().item() for k in b) / largest


@torch.no_grad()
def predict(model, rows):
    outputs = model(rows.batch(dtype=next(model.parameters()).dtype))
    return {
        t.name: (torch.sigmoid(outputs[t.name]) if t.kind == "binary" else outputs[t.name]).numpy() for t in rows.tasks
    }


def metrics(predictions, rows):
    """As `pleiad evaluate --format json` gives them, on the rows of each task's sample space."""
    tasks = {}
    for task in rows.tasks:
        label, present = (v.numpy() for v in rows.labels(dtype=torch.float64)[task.name])
        y, p = label[present > 0], predictions[task.name].astype(np.float64)[present > 0]
        if task.kind == "binary":
            tasks[task.name] = {"rows": len(y), "auc": roc_auc_score(y, p), "log_loss": log_loss(y, p)}
        else:
            tasks[task.name] = {"rows": len(y), "mse": mean_squared_error(y, p)}
    return {"rows": len(rows), "tasks": tasks}


def train(model, rows, batch_size, make, clip_norm=None, loss=joint_loss, step=lazy_step):
    """Weights after five steps over the batches in row order."""
    assert math.ceil(len(rows) / batch_size) == STEPS
    optimizer = make(model.parameters())
    dtype = next(model.parameters()).dtype
    for t in range(STEPS):
        batch = slice(t * batch_size, (t + 1) * batch_size)
        optimizer.zero_grad()
        outputs, labels = model(rows.batch(batch, dtype)), rows.labels(batch, dtype)
        total = loss(outputs, labels, rows.tasks, t)
        if getattr(model, "calibrator", 0.0) > 0.0:
            total = total + calibration(outputs, labels, rows.tasks, t, model.calibrated, model.calibrator)
        total.backward()
        assert all(p.grad is not None for p in model.parameters()), "a parameter that no task reads"
        if clip_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            assert norm > clip_norm, "nothing to clip"
        step(optimizer, tables(model, rows.lookups(batch)))
    return tensors(model)


def tables(model, lookups):
    """Looked-up ids by table; a single-task model has tables per task."""
    touched = {}
    for name, parameter in model.named_parameters():
        if name.startswith("embeddings."):
            touched[parameter] = lookups[name.split(".")[-2]]
    return touched


if __name__ == "__main__":
    main()
