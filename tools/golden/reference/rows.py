"""The small part of Pleiad's data pipeline that the fixtures need: features that are encoded as they stand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch


@dataclass(frozen=True)
class Feature:
    name: str
    categorical: bool
    rows: int = 0
    dim: int = 0
    pooling: str | None = None
    separator: str = "|"


@dataclass(frozen=True)
class Task:
    name: str
    kind: str
    label: str
    where: dict | None
    weight: float | dict


def features_of(config):
    """Features in configuration order; a block with several columns declares one each."""
    features = []
    for block in config["feature"]:
        for name in block["columns"]:
            if block["kind"] == "numeric":
                features.append(Feature(name, categorical=False))
            else:
                pooling = block.get("pooling") if block.get("multiple") else None
                features.append(Feature(name, True, block["encoding"]["ids"], block["embedding"], pooling))
    return features


def tasks_of(config):
    return [
        Task(t["name"], t["kind"], t["label"]["column"], t.get("where"), t.get("weight", 1.0))
        for t in config["task"]
    ]


class Rows:
    """A CSV file as tensors."""

    def __init__(self, path, features, tasks):
        self.frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        self.features, self.tasks = features, tasks

    def __len__(self):
        return len(self.frame)

    def batch(self, rows=slice(None), dtype=torch.float32):
        """What a model reads of these rows, by feature."""
        frame = self.frame[rows]
        return {f.name: self._values(f, frame[f.name], dtype) for f in self.features}

    def labels(self, rows=slice(None), dtype=torch.float32):
        """(values, present) per task; a label outside of the sample space, or missing, is not present."""
        frame = self.frame[rows]
        labels = {}
        for task in self.tasks:
            text = frame[task.label]
            present = text != ""
            if task.where is not None:
                present &= pd.to_numeric(frame[task.where["column"]]) == task.where["equals"]
            values = pd.to_numeric(text.where(present, "0")).to_numpy(np.float64)
            labels[task.name] = torch.tensor(values, dtype=dtype), torch.tensor(present.to_numpy(), dtype=dtype)
        return labels

    def lookups(self, rows=slice(None)):
        """Ids that these rows look up, by categorical feature."""
        batch = self.batch(rows)
        return {
            f.name: batch[f.name] if f.pooling is None else batch[f.name][0] for f in self.features if f.categorical
        }

    @staticmethod
    def _values(feature, column, dtype):
        if not feature.categorical:
            # Through f32 in every precision: that is what a model reads.
            return torch.tensor(column.astype(np.float32).to_numpy()).to(dtype)
        if feature.pooling is None:
            return torch.tensor(column.astype(np.int64).to_numpy())
        lists = [[int(v) for v in text.split(feature.separator) if v] for text in column]
        offsets = np.cumsum([0] + [len(values) for values in lists])
        return torch.tensor([v for values in lists for v in values], dtype=torch.int64), torch.tensor(offsets)
