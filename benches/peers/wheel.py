"""The wheel beside the command: training and predicting the same rows.  python wheel.py PLEIAD [--rows 500000]

The command reads a Parquet file; the wheel has the same rows as a pandas frame in memory, made by `read_parquet`, whose
time stands beside. Each measurement is a process of its own, so that the peak of resident memory is its own; the two
take turns. Both train the same configuration: `pleiad init` on the log, two epochs, no importance of features, which `fit`
does not compute. Prints medians, their ratio, and the peaks.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = ["train.epochs=2", "train.explain=false"]


def measured(command):
    """Seconds and peak MiB of a process; the seconds that it says of itself, if it does."""
    wrapped = [sys.executable, "-c", PEAK, *map(str, command)]
    done = subprocess.run(wrapped, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


PEAK = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds = time.perf_counter() - start
if done.returncode:
    sys.exit(done.stdout + done.stderr)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
said = done.stdout.splitlines()[-1] if done.stdout else ""
own = json.loads(said) if said.startswith("{") else {}
print(json.dumps({"seconds": seconds, "peak": peak, **own}))
"""

FIT = """
import json, sys, time
import pandas, pleiad
start = time.perf_counter()
log = pandas.read_parquet(sys.argv[1])
read = time.perf_counter() - start
ranker = pleiad.Ranker.from_config(sys.argv[2], *sys.argv[3].split())
ranker.validation_fraction = 0.1
start = time.perf_counter()
ranker.fit(log, [task["name"] for task in ranker.tasks])
print(json.dumps({"seconds": time.perf_counter() - start, "read": read}))
"""

PREDICT = """
import json, sys, time
import pandas, pleiad
ranker = pleiad.Ranker.load(sys.argv[2])
start = time.perf_counter()
log = pandas.read_parquet(sys.argv[1])
read = time.perf_counter() - start
start = time.perf_counter()
ranker.predict_proba(log)
print(json.dumps({"seconds": time.perf_counter() - start, "read": read}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pleiad", type=Path)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    pleiad = arguments.pleiad.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        log, config, model = folder / "log.parquet", folder / "config.toml", folder / "kept/model"
        subprocess.run([pleiad, "-q", "synth", "video", "--rows", str(arguments.rows), "--out", log], check=True)
        subprocess.run([pleiad, "-q", "init", log, "--out", config], check=True, capture_output=True)
        sets = [part for setting in SETTINGS for part in ("--set", setting)]
        # `fit` holds back the tenth that the command holds back, and has no test rows.
        text = config.read_text(encoding="utf-8").replace("test = { fraction = 0.1 }", "")
        config.write_text(text, encoding="utf-8")
        train = [pleiad, "-q", "train", config, *sets, "--out"]
        subprocess.run([*train, model.parent], check=True, capture_output=True)
        ways = {
            "train": lambda n: [*train, folder / f"run-{n}"],
            "fit": lambda n: [sys.executable, "-c", FIT, log, config, " ".join(SETTINGS)],
            "predict": lambda n: [pleiad, "-q", "predict", model, "--data", log, "--out", folder / f"{n}.parquet"],
            "predict_proba": lambda n: [sys.executable, "-c", PREDICT, log, model],
        }
        found = {way: [] for way in ways}
        for n in range(arguments.repeats):
            for way in list(ways)[:: 1 if n % 2 else -1]:
                found[way].append(measured(ways[way](n)))
        for way, runs in found.items():
            seconds = statistics.median(run["seconds"] for run in runs)
            read = statistics.median(run.get("read", 0.0) for run in runs)
            beside = f", and {read:.2f} s to read the frame" if read else ""
            peak = max(run["peak"] for run in runs)
            print(f"{way:14} {seconds:7.2f} s ({arguments.rows / seconds:,.0f} rows/s){beside}, peak {peak:,.0f} MiB")
        for own, theirs in ("fit", "train"), ("predict_proba", "predict"):
            ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(found[own], found[theirs]))
            print(f"{own} takes {ratio:.2f} of the time of {theirs}")


if __name__ == "__main__":
    main()
