"""AUC of the mean of several models' predictions, beside that of each model.

    python tools/ensemble.py census.toml results/wide-1 results/wide-2 results/wide-3 --pleiad target/release/pleiad

Reads labels of binary tasks from the configuration's test (or validation) file, CSV without or with a header, and has
`pleiad predict` read the same rows with every run's model. Tasks with a sample space of their own are not meant.
"""

import argparse
import csv
import gzip
import statistics
import subprocess
import tempfile
import tomllib
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--pleiad", default="pleiad")
    parser.add_argument("--threads", default="1")
    args = parser.parse_args()
    config = tomllib.loads(args.config.read_text())
    data = args.config.parent / config["data"][args.split]
    labels = labels_of(config, data)
    predictions = [predicted(args, data, run) for run in args.runs]
    for task, truth in labels.items():
        columns = [rows[task] for rows in predictions]
        alone = [auc(truth, column) for column in columns]
        together = auc(truth, [statistics.fmean(row) for row in zip(*columns)])
        spread = f" ± {statistics.stdev(alone):.5f}" if len(alone) > 1 else ""
        print(f"{task}: {len(alone)} models {statistics.mean(alone):.5f}{spread}, their mean prediction {together:.5f}")


def labels_of(config, path):
    options = config["data"].get("csv", {})
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file, skipinitialspace=options.get("trim", False))
        names = next(rows) if options.get("header", True) else options["columns"]
        rows = [dict(zip(names, map(str.strip, row))) for row in rows]
    tasks = {task["name"]: task["label"] for task in config["task"]}
    return {
        name: [row[label["column"]] == str(label.get("positive", 1)) for row in rows] for name, label in tasks.items()
    }


def predicted(args, data, run):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.csv"
        command = [args.pleiad, "predict", run / "model", "--data", data, "--out", out, "--threads", args.threads, "--quiet"]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
    return {task: [float(row[task]) for row in rows] for task in rows[0]}


def auc(labels, scores):
    """Share of pairs of a positive and a negative row in the right order, ties by half."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    below, seen, positives = 0.0, 0, sum(labels)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        of_tie = sum(labels[i] for i in order[at:end])
        negatives = end - at - of_tie
        below += of_tie * (seen + negatives / 2)
        seen += negatives
        at = end
    return below / (positives * (len(labels) - positives))


if __name__ == "__main__":
    main()
