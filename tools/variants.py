"""Trains variants of one configuration over several seeds, and prints a table of their AUC.

    python tools/variants.py census.toml variants.txt --out results --pleiad target/release/pleiad

Every line of variants.txt is a name, a colon and the options of `pleiad train`: `decay: --set train.average={decay=0.999}`.
Runs that are there already are not trained again. Choose by the validation rows; `--test` adds the test rows' column.
"""

import argparse
import json
import shlex
import statistics
import subprocess
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("variants", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pleiad", default="pleiad")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", default="2")
    parser.add_argument("--test", action="store_true")
    args = parser.parse_args()
    lines = [line.strip() for line in args.variants.read_text().splitlines()]
    variants = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    rows = []
    for name, options in variants:
        runs = [measured(args, name, shlex.split(options), seed) for seed in args.seeds]
        rows.append((name, runs))
        print(line_of(name, runs, "valid"), flush=True)
    for split in ["valid", "test"] if args.test else ["valid"]:
        tasks = list(rows[0][1][0][split]["tasks"])
        print(f"\n| {split} AUC | " + " | ".join(tasks) + " | seconds |\n| --- |" + " --- |" * (len(tasks) + 1))
        for name, runs in rows:
            print(line_of(name, runs, split))


def measured(args, name, options, seed):
    out = args.out / f"{name}-{seed}"
    if not (out / "metrics.json").exists():
        command = [args.pleiad, "train", args.config, "--out", out, "--threads", args.threads, "--set", f"train.seed={seed}"]
        command += ["--set", "train.explain=false", *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return json.loads((out / "metrics.json").read_text())


def line_of(name, runs, split):
    cells = []
    for task in runs[0][split]["tasks"]:
        values = [run[split]["tasks"][task]["auc"] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
    return f"| {name} | " + " | ".join(cells) + f" | {statistics.mean(run['seconds'] for run in runs):.0f} |"


if __name__ == "__main__":
    main()
