"""Exports every structure and compares ONNX Runtime with `pleiad predict`, on rows with missing, unknown and bad values.

    pip install -r requirements.txt
    python check.py path/to/pleiad [--keep FOLDER]

Each model is trained for an epoch with the real binary and exported in both forms. The official checker has to pass, with
shape inference, and predictions have to agree within 1e-5 (relative to a prediction above 1). A row that `predict` leaves out
as bad has to be NaN. The examples of docs/onnx.md are run, too. Prints the largest difference of each model.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import xxhash

TOLERANCE = 1e-5
ROOT = Path(__file__).resolve().parents[2]
HASHED = 50
CITIES = ["Ulm", "Köln", "Bern", "Graz", "Linz", "new york", "94", "true"]
TAGS = ["a", "b", "c", "d", "ä|ö".replace("|", "-"), "rare"]
AMOUNTS = [0.1, 0.5, 2.25, 16777217.0, 16777216.0, 0.30000000000000004, 0.3, -0.0, 99999.0]

BAD_ROWS = [{"visits": None}, {"visits": -1.0}, {"item": 20}, {"seen": [3, 99]}, {"plain": 1e39}, {"age": -np.inf}]
BAD = len(BAD_ROWS)

AUTHORS = [0, 1, -1, 2**22, -(2**22), 2**44 + 5, 2**63 - 1, -(2**63) + 1, 10**12, -(10**15), 4398046511093, 1_700_000_000_000]
NO_INTEGER = -(2**63)

FEATURES = """
[[feature]]
columns = ["age"]
kind = "numeric"
transform = ["standardize"]
missing = "mean"
periodic = { embedding = 4, frequencies = 4, sigma = 1.0 }

[[feature]]
columns = ["income"]
kind = "numeric"
transform = [{ clip = [-5.0, 1e6] }, "log1p", "standardize"]
missing = 0.5
pieces = 5

[[feature]]
columns = ["plain", "other"]
kind = "numeric"

[[feature]]
columns = ["visits"]
kind = "numeric"
transform = ["log1p", "min_max"]

[[feature]]
columns = ["fixed"]
kind = "numeric"
transform = ["standardize", "min_max"]
missing = "zero"

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 4

[[feature]]
columns = ["amount"]
kind = "numeric"
transform = ["log1p", "standardize"]
missing = "mean"
exact = { embedding = 4, min_count = 2 }

[[feature]]
columns = ["amount"]
name = "amount_bucket"
kind = "bucketized"
buckets = 4
embedding = 4

[[feature]]
columns = ["age"]
name = "age_bucket"
kind = "bucketized"
boundaries = [20.0, 30.0, 40.5]
embedding = 4

[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
embedding = 4

[[feature]]
columns = ["tags"]
name = "tags_sum"
kind = "categorical"
multiple = true
pooling = "sum"
encoding = { hash = 50 }
embedding = 4

[[feature]]
columns = ["seen"]
kind = "categorical"
multiple = true
encoding = { ids = 20 }
table = "item"
embedding = 4

[[feature]]
columns = ["item"]
kind = "categorical"
encoding = { ids = 20 }
table = "item"
embedding = 4

[[feature]]
columns = ["author"]
kind = "categorical"
encoding = { integer_hash = 1000 }
embedding = 4

[[feature]]
columns = ["follows"]
kind = "categorical"
multiple = true
encoding = { integer_hash = 77 }
embedding = 4

[[feature]]
columns = ["user"]
kind = "categorical"
encoding = { hash = 50 }
embedding = 4

[[task]]
name = "click"
kind = "binary"
label = "clicked"
sampled = { negatives = 0.5 }

[[task]]
name = "buy"
kind = "binary"
label = "bought"
where = { column = "clicked", equals = 1 }
loss = "focal"

[[task]]
name = "spend"
kind = "regression"
label = { column = "spent", transform = "log1p" }
"""

# Equation 1, where the export has it.
RANK = """
[rank]
score = { click = 1.0, buy = 0.5 }
floor = { buy = 0.3 }
transform = { column = "income", kind = "log1p", power = 2.0 }
"""


def scored(expected, table):
    # What `missing` of that feature says.
    x = np.array([0.5 if row["income"] is None else row["income"] for row in table])
    return expected["click"] * np.sqrt(np.maximum(expected["buy"], 0.3)) * np.log1p(x) ** 2


LEVELS = (
    '[{ task_experts = { buy = 2, default = 1 }, shared_experts = 2, widths = [6] },'
    ' { task_experts = 1, shared_experts = 1, widths = [5, 4] }]'
)
MODELS = {
    "ple": f'kind = "ple"\nlevels = {LEVELS}\ntower = [4]\ngate_start = "normal"\ngate_bias = true',
    "cgc": 'kind = "cgc"\ntask_experts = 1\nshared_experts = 2\nwidths = [6, 4]\ntower = [6]\nactivation = "gelu"',
    "mmoe": 'kind = "mmoe"\nexperts = 3\nwidths = [6, 4]\ntower = [6]\ngate_start = "normal"\nactivation = "silu"',
    "ml-mmoe": 'kind = "ml-mmoe"\nlevels = [{ experts = 3, widths = [6] }, { experts = 2, widths = [5] }]\ntower = [6]',
    "cross-stitch": 'kind = "cross-stitch"\nbottom = [6, 4]\ntower = [6]\nactivation = "tanh"',
    "sluice": 'kind = "sluice"\nbottom = [6, 6]\ntower = [6]\nactivation = "elu"',
    "esmm": 'kind = "esmm"\nfunnel = ["click", "buy"]\ntower = [6, 4]',
    "aitm": 'kind = "aitm"\nfunnel = ["click", "buy"]\nbottom = [6, 4]\ntower = [6]\nactivation = "leaky_relu"',
    "customized-sharing": 'kind = "customized-sharing"\nbottom = { default = [6, 4], shared = [5] }\ntower = [6]',
    "asymmetric-sharing": 'kind = "asymmetric-sharing"\nbottom = [6, 4]\ntower = [6]\nactivation = "tanh"\n'
    'borrow = { buy = ["click"] }',
    "hard-sharing": 'kind = "hard-sharing"\nbottom = [16]\ntower = []\nactivation = "sigmoid"',
    "single-task": 'kind = "single-task"\nbottom = [6, 4]\ntower = [6]',
    "fm": 'kind = "mmoe"\nexperts = 2\nwidths = [6]\ntower = [6]\ninteraction = { kind = "fm" }',
    "cross": 'kind = "cgc"\ntask_experts = 1\nshared_experts = 1\nwidths = [6]\ntower = [6]\n'
    'interaction = { kind = "cross", layers = 2 }',
    "cross of low rank": 'kind = "hard-sharing"\nbottom = [6]\ntower = [6]\n'
    'interaction = { kind = "cross", layers = 2, rank = 3 }',
}


def rows(n, seed, test):
    """Columns as Python values; None where a value is missing. Of test rows some have values that training did not see."""
    rng = np.random.default_rng(seed)

    def maybe(value, share=0.1):
        return None if rng.random() < share else value

    def some(values, most=4):
        return [values[i] for i in rng.integers(0, len(values), rng.integers(0, most))]

    table = []
    for _ in range(n):
        far = test and rng.random() < 0.1
        row = {
            "age": maybe(float(rng.integers(15, 60)) + (0.5 if far else 0.0)),
            "income": maybe(float(np.round(np.exp(rng.normal(3, 2)), 3)) * (1e6 if far else 1.0)),
            "plain": float(rng.normal()),
            "other": float(rng.integers(-3, 4)) * 1e-3,
            "visits": float(rng.integers(0, 30)),
            "fixed": maybe(2.5 if not far else 7.0),
            "city": maybe("nowhere" if far else CITIES[rng.integers(0, len(CITIES))]),
            "amount": maybe(0.7 if far else AMOUNTS[rng.integers(0, len(AMOUNTS))]),
            "tags": some(TAGS + (["never seen"] if test else [])),
            "seen": [int(i) for i in some(range(20))],
            "item": int(rng.integers(0, 20)),
            "author": maybe(int(rng.choice(AUTHORS))),
            "follows": [int(i) for i in some(AUTHORS)],
            "user": maybe(f"user {rng.integers(0, 500)}"),
        }
        clicked = int(rng.random() < (0.2 if row["item"] % 2 else 0.8))
        bought = int(clicked and rng.random() < (0.7 if row["plain"] > 0 else 0.2))
        row |= {"clicked": clicked, "bought": bought, "spent": float(rng.exponential(1.0 + row["visits"]))}
        table.append(row)
    if test:
        for i, bad in enumerate(BAD_ROWS):
            table[5 + 11 * i] |= bad
    return table


def write(path, table):
    def cell(value):
        if isinstance(value, list):
            return "|".join(map(str, value))
        return "" if value is None else repr(value) if isinstance(value, float) else value

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table[0])
        writer.writerows([map(cell, row.values()) for row in table])


def hashed(text):
    return 0 if text is None else 1 + xxhash.xxh64(text.encode(), seed=0).intdigest() % (HASHED - 1)


def feed(session, table):
    """What the inputs of an export with encoders are given."""
    given = {}
    for port in session.get_inputs():
        column, _, part = port.name.partition(".")
        values = [row[column] for row in table]
        if part == "lengths":
            given[port.name] = np.array([len(v) for v in values], dtype=np.int64)
            continue
        if part in ("values", "rows"):
            values = [v for row in values for v in row]
        if part in ("row", "rows"):
            values = [hashed(v) for v in values]
        if port.type == "tensor(double)":
            given[port.name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        elif port.type == "tensor(string)":
            given[port.name] = np.array(["" if v is None else v for v in values], dtype=object)
        else:
            given[port.name] = np.array([NO_INTEGER if v is None else v for v in values], dtype=np.int64)
    return given


def run(pleiad, *args, cwd):
    done = subprocess.run([pleiad, *map(str, args)], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"pleiad {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


def predictions(path):
    """Columns of a file of `predict`; NaN where a row was bad."""
    with open(path, newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    return {task: np.array([np.nan if row[task] == "" else float(row[task]) for row in found]) for task in found[0]}


def difference(found, expected):
    """The largest difference, relative to a prediction above 1; bad rows have to be NaN in both."""
    if (np.isnan(found) != np.isnan(expected)).any():
        sys.exit(f"NaN at other rows: {np.flatnonzero(np.isnan(found) != np.isnan(expected))}")
    distance = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.nanmax(distance, initial=0.0))


def safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    types = {"F32": np.float32, "U64": np.uint64, "U8": np.uint8}
    tensors = {}
    for name, info in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = info["data_offsets"]
            part = data[8 + length + start : 8 + length + end]
            tensors[name] = np.frombuffer(part, dtype=types[info["dtype"]]).reshape(info["shape"])
    return tensors


def open_session(path):
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    assert model.ir_version <= 10, model.ir_version
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    assert opsets[""] == 17 and opsets.get("ai.onnx.ml", 3) == 3, opsets
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def check_columns(path, table, expected):
    session = open_session(path)
    tasks = [output.name for output in session.get_outputs()]
    if "score" in tasks:
        expected = expected | {"score": scored(expected, table)}
    worst = 0.0
    for size in (1, 7, len(table)):
        parts = [table[i : i + size] for i in range(0, len(table), size)]
        if size == 1:
            parts = parts[:60]
        found = [session.run(tasks, feed(session, part)) for part in parts]
        for at, task in enumerate(tasks):
            column = np.concatenate([part[at] for part in found])
            worst = max(worst, difference(column, expected[task][: len(column)]))
    return worst


def check_ids(path, golden):
    session = open_session(path)
    given, at = {}, 0
    for port in session.get_inputs():
        feature, _, part = port.name.rpartition(".")
        if part in ("row", "rows"):
            given[port.name] = golden[f"ids.{feature}"].astype(np.int64)
        elif part == "lengths":
            given[port.name] = np.diff(golden[f"offsets.{feature}"].astype(np.int64))
        else:
            if part == "raw":
                continue
            width = port.shape[1] if len(port.shape) == 2 else 1
            columns = golden["numeric"][:, at : at + width]
            given[port.name] = columns if len(port.shape) == 2 else columns[:, 0]
            at += width
    # The golden rows do not have the column that a score depends on.
    tasks = [output.name for output in session.get_outputs() if output.name != "score"]
    given |= {port.name: np.ones(len(golden["numeric"]), np.float32) for port in session.get_inputs() if port.name not in given}
    found = session.run(tasks, given)
    return max(difference(f, golden[f"predictions.{task}"]) for f, task in zip(found, tasks))


def check_document(pleiad, folder):
    """Trains and exports the model of docs/onnx.md, and runs its Python beside it."""
    text = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (folder / "config.toml").write_text(config, encoding="utf-8")
    run(pleiad, "train", "config.toml", "--out", "run", "--quiet", cwd=folder)
    run(pleiad, "export", "run/model", "--onnx", "model.onnx", cwd=folder)
    before = os.getcwd()
    os.chdir(folder)
    try:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, f"docs/onnx.md, example {number + 1}", "exec"), {})
    finally:
        os.chdir(before)


def structures(pleiad, folder):
    """Every `kind` that [model] can have, as the configuration's schema says."""
    schema = json.loads(run(pleiad, "schema", cwd=folder))
    return {model["properties"]["kind"]["const"] for model in schema["$defs"]["ModelConfig"]["oneOf"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pleiad", type=Path)
    parser.add_argument("--keep", type=Path, help="folder to work in, which stays")
    args = parser.parse_args()
    pleiad = args.pleiad.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        check_all(pleiad, folder)


def check_all(pleiad, folder):
    write(folder / "train.csv", rows(2000, 1, False))
    table = rows(400, 2, True)
    write(folder / "test.csv", table)
    head = '[data]\ntrain = "train.csv"\non_bad_row = "skip"\n'
    train = "[train]\nepochs = 4\nbatch_size = 128\nexplain = false\noptimizer = { kind = \"adam\", learning_rate = 0.003 }\n"
    missing = structures(pleiad, folder) - set(MODELS)
    assert not missing, f"no model of {missing} is tried"
    failed = []
    print(f"{'model':<20} {'columns':>9} {'golden':>9} {'operations':>10} {'bytes':>8} {'seconds':>8}")
    for name, model in MODELS.items():
        here = name.replace(" ", "-")
        features = FEATURES
        if name == "esmm":
            # Its products go over all rows of a whole log.
            features = re.sub(r"(sampled|where) = .*\n", "", features)
        (folder / f"{here}.toml").write_text(f"{head}{features}\n[model]\n{model}\n\n{train}{RANK}", encoding="utf-8")
        run(pleiad, "train", f"{here}.toml", "--out", here, "--quiet", cwd=folder)
        begin = time.monotonic()
        told = run(pleiad, "export", f"{here}/model", "--onnx", f"{here}.onnx", "--format", "json", cwd=folder)
        seconds = time.monotonic() - begin
        told = json.loads(told)
        run(pleiad, "export", f"{here}/model", "--onnx", f"{here}.ids.onnx", "--inputs", "ids", cwd=folder)
        run(pleiad, "predict", f"{here}/model", "--data", "test.csv", "--out", f"{here}.csv", "--quiet", cwd=folder)
        expected = predictions(folder / f"{here}.csv")
        for task, column in expected.items():
            assert np.isnan(column).sum() == BAD, f"{task}: {np.isnan(column).sum()} bad rows"
            assert np.nanstd(column) > 1e-3, f"{name}, {task}: all rows are predicted alike, {np.nanstd(column)}"
        worst = check_columns(folder / f"{here}.onnx", table, expected)
        ids = check_ids(folder / f"{here}.ids.onnx", safetensors(folder / here / "model/golden.safetensors"))
        print(f"{name:<20} {worst:9.1e} {ids:9.1e} {told['operations']:10} {told['bytes']:8} {seconds:8.2f}", flush=True)
        if max(worst, ids) > TOLERANCE:
            failed.append(name)
    # The comparison can fail: one table that is another is seen.
    model = onnx.load(str(folder / "ple.onnx"))
    (cities,) = [tensor for tensor in model.graph.initializer if tensor.name == "embeddings.city.weight"]
    cities.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(cities) + np.float32(0.1), cities.name))
    onnx.save(model, str(folder / "other.onnx"))
    expected = predictions(folder / "ple.csv")
    assert check_columns(folder / "other.onnx", table, expected) > 100 * TOLERANCE
    # Weights in a file of their own, as above 2 GiB.
    most = (folder / "ple.onnx").stat().st_size - 1
    out = ("--onnx", "outside.onnx", "--most-bytes", most, "--format", "json")
    told = json.loads(run(pleiad, "export", "ple/model", *out, cwd=folder))
    assert told["data"] and (folder / told["data"]["file"]).stat().st_size == told["data"]["bytes"], told
    if check_columns(folder / "outside.onnx", table, expected) > TOLERANCE:
        failed.append("weights in a file of their own")
    check_document(pleiad, folder)
    if failed:
        sys.exit(f"differ by more than {TOLERANCE}: {', '.join(failed)}")


if __name__ == "__main__":
    main()
