"""A configuration's tables as tensors: numeric features in one matrix, ids of the categorical ones in another.

Of Pleiad's data pipeline this knows what the census configuration needs: CSV, log1p and standardize, exact values and pieces
beside a number, vocabularies with row 0 for the unknown (most frequent value first), binary labels by a positive value.
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/golden"))

from reference.rows import Feature, Task  # noqa: E402


@dataclass
class Table:
    """N numeric and C categorical features of some rows (exact values of numbers are the last of C), and their labels."""

    numeric: torch.Tensor  # [rows, N], f32
    ids: torch.Tensor  # [rows, C], i64
    labels: torch.Tensor  # [rows, T], f32
    pieces: dict  # by column [rows, P], f32

    def __len__(self):
        return len(self.numeric)

    def __getitem__(self, index):
        return Table(self.numeric[index], self.ids[index], self.labels[index], {name: values[index] for name, values in self.pieces.items()})


class Encoder:
    """Means, deviations and vocabularies, fitted on training rows alone."""

    def __init__(self, config, frame):
        self.numeric, self.categorical, self.exact, self.pieces, self.features = [], [], [], [], []
        for block in config["feature"]:
            for name in block["columns"]:
                if block["kind"] == "numeric":
                    values = self._transformed(frame[name], block)
                    self.numeric.append((name, block, values.mean(), values.std() or 1.0))
                    self.features.append(Feature(name, categorical=False))
                    self._beside(name, block, frame[name].astype(np.float64))
                else:
                    counts = frame[name].value_counts()
                    order = sorted(counts.index, key=lambda v: (-counts[v], v.encode()))
                    self.categorical.append((name, pd.Index(order)))
                    self.features.append(Feature(name, True, rows=len(order) + 1, dim=block["embedding"]))
        self.tasks = [Task(t["name"], t["kind"], t["label"]["column"], None, 1.0) for t in config["task"]]
        self.positive = [t["label"]["positive"] for t in config["task"]]

    def _beside(self, name, block, values):
        if "pieces" in block:
            self.pieces.append((name, boundaries(values, block["pieces"])))
        if "exact" in block:
            counts = values.value_counts()
            known = [v for v in counts.index if counts[v] >= block["exact"].get("min_count", 5)]
            order = sorted(known, key=lambda v: (-counts[v], v))
            self.exact.append((name, pd.Index(order)))
            self.features.append(Feature(f"{name}.exact", True, rows=len(order) + 1, dim=block["exact"]["embedding"]))

    def __call__(self, frame):
        numeric = [(self._transformed(frame[name], block) - mean) / std for name, block, mean, std in self.numeric]
        # What is not found is -1: row 0.
        ids = [vocabulary.get_indexer(frame[name]) + 1 for name, vocabulary in self.categorical]
        ids += [known.get_indexer(frame[name].astype(np.float64)) + 1 for name, known in self.exact]
        labels = [frame[t.label] == positive for t, positive in zip(self.tasks, self.positive)]
        return Table(
            torch.tensor(np.stack(numeric, axis=1), dtype=torch.float32),
            torch.tensor(np.stack(ids, axis=1), dtype=torch.int64),
            torch.tensor(np.stack(labels, axis=1), dtype=torch.float32),
            {name: torch.tensor(piecewise(frame[name], bounds), dtype=torch.float32) for name, bounds in self.pieces},
        )

    @staticmethod
    def _transformed(column, block):
        assert block["transform"] == ["log1p", "standardize"], "the one transform known here"
        return np.log1p(column.astype(np.float64).to_numpy())


def boundaries(values, buckets):
    """Those of `pieces = buckets`: quantiles, where a value of more rows than a bucket has is a bucket of its own."""
    counts = values.value_counts().sort_index()
    alone, rows, left = set(), len(values), buckets
    while large := [v for v in counts.index if v not in alone and counts[v] * left > rows]:
        alone.update(large)
        rows, left = rows - sum(counts[v] for v in large), left - len(large)
    parts, before = [], 0  # [least value, rows, whether of one value]
    for value, count in counts.items():
        begins = value in alone or not parts or parts[-1][2]
        if value not in alone:
            i = max(1, -(-before * left // rows))
            before += count
            begins = begins or i < left and i * rows // left < before
        if begins:
            parts.append([value, count, value in alone])
        else:
            parts[-1][1] += count
    while len(parts) > buckets:
        pairs = [i for i in range(len(parts) - 1) if not parts[i][2] and not parts[i + 1][2]]
        at = min(pairs, key=lambda i: parts[i][1] + parts[i + 1][1])
        parts[at][1] += parts.pop(at + 1)[1]
    starts, greatest = [value for value, *_ in parts], counts.index[-1]
    return np.array(starts if starts[-1] == greatest else [*starts, greatest])


def piecewise(column, bounds):
    values = column.astype(np.float64).to_numpy()[:, None]
    return np.clip((values - bounds[:-1]) / np.diff(bounds), 0, 1)


def frames(config_path):
    """(configuration, {"train": .., "valid": .., "test": ..}), all columns as text."""
    config = tomllib.loads(config_path.read_text())
    found = {}
    for split in ("train", "valid", "test"):
        csv = config["data"]["csv"]
        frame = pd.read_csv(
            config_path.parent / config["data"][split],
            header=None if not csv["header"] else 0,
            names=csv["columns"],
            dtype=str,
            keep_default_na=False,
            skipinitialspace=csv["trim"],
        )
        found[split] = frame.apply(lambda column: column.str.strip()) if csv["trim"] else frame
    return config, found


def read(config_path):
    """(configuration, encoder, {"train": .., "valid": .., "test": ..})."""
    config, found = frames(config_path)
    encoder = Encoder(config, found["train"])
    return config, encoder, {split: encoder(frame) for split, frame in found.items()}
