"""LightGBM on Pleiad's census configuration, one model per task.  python lightgbm.py CONFIG --help

Reads the same TOML file as `pleiad train`: the same rows and columns, numbers as they are (a tree does not see a
monotone transform), texts as LightGBM's categories or as whole numbers. Training stops where the validation rows' AUC
has not risen for --patience rounds; the test rows are looked at once, at the end.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

# The package has this file's name: it is looked for elsewhere first.
sys.path.append(sys.path.pop(0))

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.metrics import log_loss, roc_auc_score  # noqa: E402

from table import Encoder, frames  # noqa: E402


class Rows:
    """Columns [rows, N + C] as LightGBM takes them, and labels by task."""

    def __init__(self, encoder, frame):
        numbers = [frame[name].astype(np.float64).to_numpy() for name, *_ in encoder.numeric]
        # A text that training rows have not is -1, which LightGBM takes for missing.
        texts = [vocabulary.get_indexer(frame[name]).astype(np.float64) for name, vocabulary in encoder.categorical]
        self.columns = np.stack(numbers + texts, axis=1)
        self.labels = {
            task.name: (frame[task.label] == positive).to_numpy(np.float64)
            for task, positive in zip(encoder.tasks, encoder.positive)
        }


def train(arguments, encoder, rows, task, seed):
    """One task's trees; its figures on the validation and test rows."""
    names = [name for name, *_ in encoder.numeric] + [name for name, _ in encoder.categorical]
    categories = [] if arguments.ordinal else names[len(encoder.numeric) :]
    data = {
        split: lightgbm.Dataset(
            table.columns, table.labels[task], feature_name=names, categorical_feature=categories, free_raw_data=False
        )
        for split, table in rows.items()
        if split != "test"
    }
    parameters = {
        "objective": "binary",
        "metric": "auc",
        "learning_rate": arguments.learning_rate,
        "num_leaves": arguments.leaves,
        "max_bin": arguments.bins,
        "min_data_in_leaf": arguments.rows_in_leaf,
        "feature_fraction": arguments.feature_share,
        "bagging_fraction": arguments.row_share,
        "bagging_freq": int(arguments.row_share < 1),
        "num_threads": arguments.threads,
        "seed": seed,
        "deterministic": True,
        "verbose": -1,
    }
    start = time.perf_counter()
    trees = lightgbm.train(
        parameters,
        data["train"],
        arguments.rounds,
        valid_sets=[data["valid"]],
        callbacks=[lightgbm.early_stopping(arguments.patience, verbose=False)],
    )
    seconds = time.perf_counter() - start
    figures = {"task": task, "seed": seed, "rounds": trees.best_iteration, "seconds": round(seconds, 1)}
    for split in ("valid", "test"):
        labels, predictions = rows[split].labels[task], trees.predict(rows[split].columns)
        figures[f"{split}_auc"] = round(float(roc_auc_score(labels, predictions)), 5)
        figures[f"{split}_log_loss"] = round(float(log_loss(labels, predictions)), 5)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a Pleiad configuration of the census form")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--tasks", nargs="+", help="of the configuration [default: all]")
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--leaves", type=int, default=63)
    parser.add_argument("--bins", type=int, default=255, help="of a number, at most")
    parser.add_argument("--rows-in-leaf", type=int, default=20)
    parser.add_argument("--feature-share", type=float, default=0.8, help="drawn per tree; seeds differ by it")
    parser.add_argument("--row-share", type=float, default=1.0, help="drawn per tree")
    parser.add_argument("--ordinal", action="store_true", help="texts as whole numbers, most frequent first, not as categories")
    parser.add_argument("--rounds", type=int, default=5000, help="at most")
    parser.add_argument("--patience", type=int, default=100, help="rounds without a better AUC on the validation rows")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    config, found = frames(arguments.config)
    encoder = Encoder(config, found["train"])
    rows = {split: Rows(encoder, frame) for split, frame in found.items()}
    for task in arguments.tasks or rows["train"].labels:
        runs = [train(arguments, encoder, rows, task, seed) for seed in arguments.seeds]
        for run in runs:
            print(json.dumps(run), flush=True)
        aucs = {split: [run[f"{split}_auc"] for run in runs] for split in ("valid", "test")}
        summary = {"task": task, "seeds": len(runs)}
        for split, values in aucs.items():
            summary[f"mean_{split}_auc"] = round(statistics.fmean(values), 5)
            summary[f"sd_{split}_auc"] = round(statistics.stdev(values), 5) if len(values) > 1 else None
        print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
