"""Trains variants of one configuration over several seeds, and prints AUC (R2 of regressions) and differences.

    python tools/variants.py census.toml variants.txt --out results --pleiad target/release/pleiad

Every line of variants.txt is a name, a colon and the options of `pleiad train`: `decay: --set train.average={decay=0.999}`.
Runs that are there already are not trained again. A cell is the mean over seeds and the sample standard deviation; then,
paired by seed, the difference to the first variant (or to --against) with Student's 95 % interval. Choose by the
validation rows; `--test` adds the test rows' table.
"""

import argparse
import json
import math
import shlex
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Student's t at 0.975, by degrees of freedom.
STUDENT = [math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("variants", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pleiad", default="pleiad")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="at most 15")
    parser.add_argument("--threads", default="1", help="of one training")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--against", help="name of the variant that others are compared with [default: the first]")
    parser.add_argument("--test", action="store_true")
    args = parser.parse_args()
    lines = [line.strip() for line in args.variants.read_text().splitlines()]
    variants = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    with ThreadPoolExecutor(args.jobs) as pool:
        waiting = {
            name: [pool.submit(measured, args, name, shlex.split(options), seed) for seed in args.seeds]
            for name, options in variants
        }
        runs = {name: [run.result() for run in found] for name, found in waiting.items()}
    base = args.against or variants[0][0]
    for split in ["valid", "test"] if args.test else ["valid"]:
        tasks = list(runs[base][0][split]["tasks"])
        head = "".join(f" {task} | against {base} |" for task in tasks)
        print(f"\n| {split} |{head} best epoch |\n| --- |" + " --- |" * (2 * len(tasks) + 1))
        for name in runs:
            cells = [cell for task in tasks for cell in cells_of(runs[name], runs[base], split, task)]
            epoch = statistics.mean(run["best_epoch"] for run in runs[name])
            print(f"| {name} | " + " | ".join(cells) + f" | {epoch:.1f} |")


def measured(args, name, options, seed):
    out = args.out / f"{name}-{seed}"
    if not (out / "metrics.json").exists():
        command = [args.pleiad, "train", args.config, "--out", out, "--threads", args.threads, "--set", f"train.seed={seed}"]
        command += ["--set", "train.explain=false", *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return json.loads((out / "metrics.json").read_text())


def cells_of(runs, others, split, task):
    """Mean and deviation, and the difference to others of the same seeds with its interval."""
    figures = runs[0][split]["tasks"][task]
    metric = "auc" if "auc" in figures else "r2"
    values, theirs = ([run[split]["tasks"][task][metric] for run in some] for some in (runs, others))
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    cell = f"{statistics.mean(values):.5f} ± {spread:.5f}"
    if runs is others or len(values) < 2:
        return cell, ""
    differences = [one - other for one, other in zip(values, theirs)]
    mean = statistics.mean(differences)
    half = STUDENT[len(differences) - 1] * statistics.stdev(differences) / math.sqrt(len(differences))
    return cell, f"{mean:+.5f} [{mean - half:+.5f}, {mean + half:+.5f}]"


if __name__ == "__main__":
    main()
