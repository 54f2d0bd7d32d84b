"""A request's candidates, ranked by Pleiad and predicted by ONNX Runtime from the same model, in turn, both in process.

    python onnx_rank.py MODEL --data FILE [--shared a,b] [--candidates 500] [--threads 2] [--pleiad PATH]

Pleiad: `pleiad bench --serve MODEL --in-process`: encoding, prediction and score of one request at a time. ONNX Runtime: the file of
`pleiad export --onnx`, with encoders inside (values of the log) and with `--inputs ids` (rows of the tables), all
optimisations on. It is tried with each of `--threads` as intra-op threads, with and without spinning; the best one counts.
A request that shares columns is sent to ONNX Runtime as it has to be: each candidate with all columns.

Needs pyarrow, numpy and onnxruntime; where one is missing they are installed into `target/peers`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import ROOT, python_with

NEEDED = {"numpy": "numpy", "onnxruntime": "onnxruntime", "pyarrow": "pyarrow"}


def session(path, threads, spinning):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def kinds():
    import numpy as np

    return {
        "tensor(float)": np.float32,
        "tensor(double)": np.float64,
        "tensor(int64)": np.int64,
        "tensor(string)": object,
        "tensor(bool)": np.bool_,
    }


def feeds(inputs, table, rows_of, candidates, count=16):
    """Inputs of some requests: candidates drawn at random from the log; of ids, rows of the tables drawn at random."""
    import numpy as np

    rng = np.random.default_rng(1)
    requests = []
    for _ in range(count):
        index = rng.integers(0, len(next(iter(table.values()))), candidates)
        feed = {}
        for one in inputs:
            kind = kinds()[one.type]
            column = one.name.removesuffix(".raw")
            if column in table:
                values = table[column][index]
                feed[one.name] = values.astype(str).astype(object) if kind is object else values.astype(kind)
            elif one.name.endswith(".lengths"):
                feed[one.name] = np.ones(candidates, kind)
            elif one.name.endswith(".values") and one.name.removesuffix(".values") in table:
                values = [next(iter(value or [""])) for value in table[one.name.removesuffix(".values")][index]]
                feed[one.name] = np.array(values, dtype=kind)
            else:
                feed[one.name] = rng.integers(0, rows_of[one.name], candidates).astype(kind)
        requests.append(feed)
    return requests


def tables(session):
    """Rows of the tables that inputs with ids name, from what the file says of each input."""
    described = json.loads(session.get_modelmeta().custom_metadata_map["pleiad.inputs"])
    found = {one["name"]: re.search(r"(?:from 0 to|mod) (\d+)", one["holds"]) for one in described}
    return {name: int(match.group(1)) for name, match in found.items() if match}


def log(path):
    """Columns of a CSV or Parquet file as arrays."""
    import numpy as np

    if path.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
    else:
        import pyarrow.csv

        table = pyarrow.csv.read_csv(path)
    table = table.slice(0, 50_000)
    columns = {}
    for name in table.column_names:
        columns[name] = np.empty(len(table), dtype=object)
        columns[name][:] = table[name].to_pylist()
    return columns


def pleiad(arguments, threads):
    command = [arguments.pleiad, "bench", "--serve", f"m={arguments.model}", "--data", arguments.data, "--in-process"]
    command += ["--lists", str(arguments.candidates), "--seconds", "2", "--threads", str(threads), "--format", "json"]
    command += ["--shared", arguments.shared] if arguments.shared else []
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(out)["in_process"][0]


def median_ms(session, requests, seconds=2.0):
    for feed in requests:
        session.run(None, feed)
    times, begin, number = [], time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        session.run(None, requests[number % len(requests)])
        times.append((time.perf_counter() - start) * 1e3)
        number += 1
    # The mean, as Pleiad's figures are.
    return statistics.fmean(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a saved model")
    parser.add_argument("--data", required=True, help="a CSV or Parquet file with rows for it")
    parser.add_argument("--shared", help="columns that all candidates of a request share")
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pleiad", type=Path, default=ROOT / "target/release/pleiad", help="a release build's binary")
    parser.add_argument("--venv", type=Path, default=ROOT / "target/peers", help="where packages go if they are missing")
    arguments = parser.parse_args()
    python = python_with(NEEDED, arguments.venv)
    if python != sys.executable:
        os.execv(python, [python, __file__, *sys.argv[1:]])

    with tempfile.TemporaryDirectory() as folder:
        forms = {}
        for form, options in {"encoders": [], "ids": ["--inputs", "ids"]}.items():
            path = Path(folder) / f"{form}.onnx"
            command = [arguments.pleiad, "export", arguments.model, "--onnx", path, *options]
            if subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0:
                forms[form] = path
        table = log(Path(arguments.data))
        rows = []
        for threads in arguments.threads:
            contenders = {}
            for form, path in forms.items():
                for spinning in (True, False):
                    opened = session(path, threads, spinning)
                    requests = feeds(opened.get_inputs(), table if form == "encoders" else numbers(table), tables(opened), arguments.candidates)
                    contenders[form, spinning] = opened, requests
            ours, theirs = [], {key: [] for key in contenders}
            for _ in range(arguments.rounds):
                ours.append(pleiad(arguments, threads))
                for key, (opened, requests) in contenders.items():
                    theirs[key].append(median_ms(opened, requests))
            parts = {name: statistics.median(one[name] for one in ours) for name in ("encode", "predict", "score")}
            whole = sum(parts.values())
            best = {form: min(statistics.median(theirs[form, spinning]) for spinning in (True, False)) for form in forms}
            rows.append((threads, whole, parts["predict"], best))
            print(f"{threads} threads: Pleiad {whole:.3f} ms (predicts in {parts['predict']:.3f})", end="")
            for form, ms in best.items():
                other = whole if form == "encoders" else parts["predict"]
                print(f"; ONNX Runtime, {form}: {ms:.3f} ms, {ms / other:.2f} times", end="")
            print(flush=True)


def numbers(table):
    """Columns of numbers: the form with ids takes them after their transforms, which take as long on any numbers."""
    return {name: values for name, values in table.items() if isinstance(values[0], (int, float))}


if __name__ == "__main__":
    main()
