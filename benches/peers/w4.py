"""File to weights, Pleiad and torch-rechub in turn on one machine.  python w4.py CONFIG --help

In every round each of them, in a process of its own, reads and encodes the files of a census configuration and trains
one epoch: Pleiad with `pleiad bench --config`, torch-rechub with its own model, loader and trainer (rechub.py). Starting
the process and importing torch is in no time. Printed are the medians over rounds and ratios of rows/s.

Needs Python 3.11 alone: where packages are missing it makes a virtual environment and installs them there.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from run import HERE, ROOT, python_with

NEEDED = {name: name for name in ("torch", "numpy", "pandas")}
NEEDED |= {"sklearn": "scikit-learn", "torch_rechub": "torch-rechub"}

# What is timed: a title, and the figure's name in what both print.
PARTS = {
    "read and encode": "loading_seconds",
    "epoch, loader included": "epoch_seconds",
    "file to weights": "seconds",
}


def output_of(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a configuration of the census form")
    parser.add_argument("--pleiad", type=Path, default=ROOT / "target/release/pleiad", help="a release build's binary")
    parser.add_argument("--threads", type=int, default=2, help="on both sides")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0, help="of torch-rechub's loader; its default is 0")
    parser.add_argument("--venv", type=Path, default=ROOT / "target/peers", help="where packages go if they are missing")
    parser.add_argument("--json", action="store_true", help="print JSON, every round of it")
    arguments = parser.parse_args()
    if not arguments.pleiad.is_file():
        parser.error(f"{arguments.pleiad} is not there: cargo build --release, or name it with --pleiad")

    python = python_with(NEEDED, arguments.venv)
    threads = ["--threads", str(arguments.threads)]
    own = [arguments.pleiad, "bench", "--config", arguments.config, *threads, "--format", "json"]
    peer = [python, HERE / "rechub.py", arguments.config, *threads, "--workers", str(arguments.workers)]
    rounds = {"Pleiad": [], "torch-rechub": []}
    for number in range(arguments.rounds):
        rounds["Pleiad"].append(output_of(own)["file"])
        result = output_of(peer)
        result["epoch_seconds"] = result["epoch_seconds"][0]
        rounds["torch-rechub"].append(result)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    read = {(r["train_rows"], r["rows_read"]) for results in rounds.values() for r in results}
    if len(read) != 1:
        raise SystemExit(f"the two have not read the same rows: {sorted(read)}")
    if arguments.json:
        print(json.dumps(rounds, indent=2))
        return

    rows, rows_read = read.pop()
    last = rounds["torch-rechub"][-1]
    print(f"{rows_read:,} rows read, {rows:,} trained on; torch-rechub {last['torch_rechub']}, torch {last['torch']}")
    print(f"{'part':24}{'contender':14}{'seconds':>9}{'from':>9}{'to':>9}{'rows/s':>10}{'ratio':>8}")
    for title, key in PARTS.items():
        count = rows_read if key == "loading_seconds" else rows
        medians = {name: statistics.median(r[key] for r in results) for name, results in rounds.items()}
        for name, results in rounds.items():
            seconds, ratio = [r[key] for r in results], medians["torch-rechub"] / medians[name]
            spread = f"{medians[name]:9.3f}{min(seconds):9.3f}{max(seconds):9.3f}"
            print(f"{title:24}{name:14}{spread}{count / medians[name]:10,.0f}{ratio:7.2f}x")


if __name__ == "__main__":
    main()
