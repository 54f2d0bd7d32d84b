"""Holds ple.py to the predictions of the command.  python check.py PLEIAD

Needs PyTorch and NumPy; imports two of the fixtures of crates/cli/tests/torch_packages, predicts their rows, and compares.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from ple import PLE

FIXTURES = Path(__file__).resolve().parents[2] / "crates/cli/tests/torch_packages"


def load(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    cut = lambda t: data[start + t["data_offsets"][0] : start + t["data_offsets"][1]]
    return {n: torch.from_numpy(np.frombuffer(cut(t), "<f4").reshape(t["shape"]).copy()) for n, t in header.items()}


def columns(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


for case, package in [("rechub_ple", "torch-rechub"), ("deepctr_ple", "deepctr-torch")]:
    with tempfile.TemporaryDirectory() as folder:
        source, model, out = FIXTURES / case, Path(folder) / "model", Path(folder) / "out.csv"
        run = lambda *args: subprocess.run([sys.argv[1], *map(str, args)], check=True, capture_output=True)
        run("import", "--config", source / "config.toml", "--weights", source / "state.safetensors", "--from", package, "--out", model)
        run("predict", model, "--data", source / "rows.csv", "--out", out)
        module, rows, ours = PLE(load(model / "weights.safetensors"), ["click", "watch"]), columns(source / "rows.csv"), columns(out)
    number = lambda name: torch.tensor(rows[name], dtype=torch.float32).unsqueeze(1)
    ids = lambda name: module.embed(name, torch.tensor(rows[name]).long())
    with torch.no_grad():
        logits = module(torch.cat([number("price"), ids("user"), number("age"), ids("item")], dim=1))
    theirs = torch.stack([torch.sigmoid(logits[:, 0]), logits[:, 1]], dim=1).numpy()
    off = np.abs(theirs - np.stack([ours["click"], ours["watch"]], axis=1)).max()
    print(f"{case}: largest difference {off:.1e}")
    assert off < 1e-5
