"""One epoch of torch-rechub on Pleiad's census configuration, its file reading included.  python rechub.py CONFIG --help

Model, loader and trainer are torch-rechub's own: PLE, DataGenerator, MTLTrainer. Reading and encoding are pandas and
numpy, to the same ids and numbers as Pleiad's. Prints one JSON object: seconds and rows/s of each part, test AUC.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import torch
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import PLE
from torch_rechub.models.multi_task.ple import CGC
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

from table import Encoder, frames


def features(encoder):
    """torch-rechub's features: one per column, one per exact value of a number, and one for all of its pieces."""
    found = [
        SparseFeature(undotted(f.name), f.rows, f.dim) if f.categorical else DenseFeature(f.name)
        for f in encoder.features
    ]
    return found + [DenseFeature(undotted(f"{name}.pieces"), len(bounds) - 1) for name, bounds in encoder.pieces]


def undotted(name):
    """No name of a module of torch has a dot."""
    return name.replace(".", "-")


def model(columns, config):
    """torch-rechub's PLE with a configuration's widths.

    Its constructor gives all levels the widths and counts of one, here the top's. The levels are put in their place one
    by one: a CGC that is told to be the first takes any width of its input.
    """
    options, tasks = config["model"], ["classification"] * len(config["task"])
    levels, towers = options["levels"], [{"dims": options["tower"]}] * len(tasks)
    top = levels[-1]
    experts = {"dims": top["widths"]}
    ple = PLE(columns, tasks, len(levels), top["task_experts"], top["shared_experts"], experts, towers)
    width = sum(column.embed_dim for column in columns)
    for j, level in enumerate(levels):
        # One level of one has no shared gate, as the top has none; the first of two has one.
        of = 1 if j + 1 == len(levels) else 2
        counts = level["task_experts"], level["shared_experts"]
        ple.cgc_layers[j] = CGC(1, of, len(tasks), *counts, width, {"dims": level["widths"]})
        width = level["widths"][-1]
    return ple


def arrays(encoder, table):
    """A table as torch-rechub's loader takes it: an array per feature, and one of the labels."""
    numeric, ids = table.numeric.numpy(), table.ids.numpy()
    x = {name: numeric[:, i].copy() for i, (name, *_) in enumerate(encoder.numeric)}
    categorical = [name for name, _ in encoder.categorical] + [undotted(f"{name}.exact") for name, _ in encoder.exact]
    x |= {name: ids[:, i].copy() for i, name in enumerate(categorical)}
    x |= {undotted(f"{name}.pieces"): values.numpy() for name, values in table.pieces.items()}
    return x, table.labels.numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a Pleiad configuration, census.toml")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="of torch-rechub's loader; its default is 0")
    parser.add_argument("--auc", action="store_true", help="measure test AUC after the last epoch, outside of the times")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    # What the trainer prints is not the result.
    output, sys.stdout = sys.stdout, open(os.devnull, "w")

    start = time.perf_counter()
    config, read = frames(arguments.config)
    reading = time.perf_counter() - start
    encoder = Encoder(config, read["train"])
    tables = {split: arrays(encoder, encoder(frame)) for split, frame in read.items()}
    loading = time.perf_counter() - start

    torch.manual_seed(config["train"].get("seed", 1))
    ple = model(features(encoder), config)
    learning_rate = config["train"]["optimizer"]["learning_rate"]
    trainer = MTLTrainer(
        ple,
        ["classification"] * len(config["task"]),
        optimizer_params={"lr": learning_rate},
        n_epoch=arguments.epochs,
    )
    (x_valid, y_valid), (x_test, y_test) = tables["valid"], tables["test"]
    train, _, test = DataGenerator(*tables["train"]).generate_dataloader(
        x_valid, y_valid, x_test, y_test, batch_size=config["train"]["batch_size"], num_workers=arguments.workers
    )
    epochs = []
    for _ in range(arguments.epochs):
        begin = time.perf_counter()
        losses = trainer.train_one_epoch(train)
        epochs.append(time.perf_counter() - begin)
    rows, read_rows = len(tables["train"][1]), sum(len(y) for _, y in tables.values())
    # Not of what lies between the two: PyTorch imports half of itself when a first optimizer is made.
    whole = loading + epochs[0]
    result = {
        "torch_rechub": importlib.metadata.version("torch-rechub"),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "workers": arguments.workers,
        "parameters": sum(p.numel() for p in ple.parameters()),
        "train_rows": rows,
        "rows_read": read_rows,
        "reading_seconds": reading,
        "encoding_seconds": loading - reading,
        "loading_seconds": loading,
        "epoch_seconds": epochs,
        "seconds": whole,
        "rows_per_second": rows / whole,
        "epoch_rows_per_second": rows / min(epochs),
        "loss": losses,
    }
    if arguments.auc:
        scores = trainer.evaluate(trainer.model, test)
        result["test_auc"] = dict(zip((t["name"] for t in config["task"]), map(float, scores)))
    print(json.dumps(result), file=output)


if __name__ == "__main__":
    main()
