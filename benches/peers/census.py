"""PyTorch on Pleiad's census configuration: speed and AUC of the same maths.  python census.py CONFIG --help

Reads the same TOML file as `pleiad train`. Per seed it trains with the file's epochs, batch size, Adam and early stopping
(mean AUC over tasks on the validation rows, the best epoch's weights), and prints rows/s and test AUC.
"""

import argparse
import copy
import json
import math
import re
import statistics
import time
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from table import read

from reference import build
from stacked import StackedPLE


class Eager(nn.Module):
    """A reference structure, one module per expert and per table, as (numeric [B, N], ids [B, C]) -> [B, T]."""

    def __init__(self, reference, features):
        super().__init__()
        self.reference = reference
        self.numeric = [f.name for f in features if not f.categorical]
        self.categorical = [f.name for f in features if f.categorical]

    def forward(self, numeric, ids):
        batch = dict(zip(self.numeric, numeric.unbind(1))) | dict(zip(self.categorical, ids.unbind(1)))
        return torch.stack(list(self.reference(batch).values()), dim=1)


def initialise(model, init, embedding_std, gate_start="zero"):
    """`he`: N(0, 2 / in), last layers N(0, 1 / in), gates 0 (or that), biases 0. `torch`: as nn.Linear has it."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("embeddings."):
                std = 1 / math.sqrt(parameter.shape[1]) if embedding_std == "dim" else float(embedding_std)
                nn.init.normal_(parameter, std=std)
            elif init == "he" and (name.endswith(".bias") or ".gate." in name and gate_start == "zero"):
                nn.init.zeros_(parameter)
            elif init == "he":
                linear = ".gate." in name or len(parameter) == 1
                nn.init.normal_(parameter, std=math.sqrt((1.0 if linear else 2.0) / parameter.shape[1]))


# A gate above the lowest level, of one module or of several (`stacked.py`): dimension 1 is the width of what it reads.
UPPER_GATE = re.compile(r"levels\.[1-9]\d*\.(.+\.)?(shared_)?gate\b")


def with_rates(model, learning_rate, gate_rate="scaled"):
    """Parameters in groups of one learning rate: gates that read a mixture have theirs."""
    groups = {}
    for name, parameter in model.named_parameters():
        scaled = gate_rate == "scaled" and UPPER_GATE.search(name)
        groups.setdefault(learning_rate / math.sqrt(parameter.shape[1]) if scaled else learning_rate, []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]


@torch.no_grad()
def aucs(model, table):
    model.eval()
    outputs = torch.cat([model(table.numeric[i : i + 4096], table.ids[i : i + 4096]) for i in range(0, len(table), 4096)])
    model.train()
    return [roc_auc_score(table.labels[:, t], outputs[:, t]) for t in range(outputs.shape[1])]


def epoch(model, optimizer, table, batch_size, shuffle):
    """Trains over all rows once; (seconds in steps, seconds in all). Rows are gathered from memory."""
    begin, steps = time.perf_counter(), 0.0
    order = torch.randperm(len(table), generator=shuffle)
    for i in range(0, len(table), batch_size):
        batch = table[order[i : i + batch_size]]
        start = time.perf_counter()
        outputs = model(batch.numeric, batch.ids)
        # Every row has every label here: the sum over tasks of the mean over rows.
        loss = F.binary_cross_entropy_with_logits(outputs, batch.labels) * outputs.shape[1]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps += time.perf_counter() - start
    return steps, time.perf_counter() - begin


def train(arguments, config, encoder, tables, seed):
    torch.manual_seed(seed)
    reference = build(encoder.features, encoder.tasks, config["model"])
    gates = {key: config["model"][key] for key in ("gate_start", "gate_rate") if key in config["model"]}
    initialise(reference, arguments.init, arguments.embedding_std, gates.get("gate_start", "zero"))
    model = Eager(reference, encoder.features)
    if arguments.variant == "stacked":
        eager, model = model, StackedPLE(reference, encoder.features)
        sample = tables["valid"][:100]
        torch.testing.assert_close(model(sample.numeric, sample.ids), eager(sample.numeric, sample.ids))
    options = config["train"]
    learning_rate = options["optimizer"]["learning_rate"]
    groups = with_rates(model, learning_rate, gates.get("gate_rate", "scaled"))
    optimizer = torch.optim.Adam(groups, fused=arguments.variant == "stacked")
    shuffle = torch.Generator().manual_seed(seed)
    patience, best, history = options["early_stopping"]["patience"], None, []
    for number in range(options["epochs"]):
        steps, whole = epoch(model, optimizer, tables["train"], options["batch_size"], shuffle)
        rows = len(tables["train"])
        history.append({
            "steps_rows_per_second": rows / steps,
            "epoch_rows_per_second": rows / whole,
            "valid": aucs(model, tables["valid"]),
            "test": aucs(model, tables["test"]),
        })
        score = statistics.fmean(history[-1]["valid"])
        if best is None or score > best[0]:
            best = score, number, copy.deepcopy(model.state_dict())
        if arguments.verbose:
            print(json.dumps({"seed": seed, "epoch": number + 1, **history[-1]}), flush=True)
        if not arguments.all_epochs and number - best[1] >= patience:
            break
    model.load_state_dict(best[2])
    return {
        "seed": seed,
        "best_epoch": best[1] + 1,
        "test_auc": dict(zip((t.name for t in encoder.tasks), aucs(model, tables["test"]))),
        "steps_rows_per_second": round(statistics.median(h["steps_rows_per_second"] for h in history)),
        "epoch_rows_per_second": round(statistics.median(h["epoch_rows_per_second"] for h in history)),
        **({"history": history} if arguments.all_epochs else {}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a Pleiad configuration, census.toml")
    parser.add_argument("--variant", choices=["eager", "stacked"], default="eager", help="one module per expert, or merged")
    parser.add_argument("--single-task", action="store_true", help="networks of the same size that share nothing")
    parser.add_argument("--init", choices=["he", "torch"], default="he", help="start of linear layers")
    parser.add_argument("--embedding-std", default="0.1", help="of a table's start; `dim` for 1 / sqrt(width)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="instead of the file's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--all-epochs", action="store_true", help="no early stopping; adds every epoch to the output")
    parser.add_argument("--verbose", action="store_true", help="a line per epoch")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    config, encoder, tables = read(arguments.config)
    if encoder.pieces or config["model"].get("dropout") or "schedule" in config["train"]:
        parser.error("`pieces`, `dropout` and `schedule` are not known here: take them out of the configuration")
    loading = time.perf_counter() - start
    if arguments.epochs:
        config["train"]["epochs"] = arguments.epochs
    if arguments.single_task:
        model = config["model"]
        bottom = [width for level in model["levels"] for width in level["widths"]]
        config["model"] = {"kind": "single-task", "bottom": bottom, "tower": model["tower"]}
    runs = []
    for seed in arguments.seeds:
        runs.append(train(arguments, config, encoder, tables, seed))
        print(json.dumps(runs[-1]), flush=True)
    print(json.dumps({
        "model": config["model"]["kind"],
        "variant": arguments.variant,
        "init": arguments.init,
        "embedding_std": arguments.embedding_std,
        "threads": arguments.threads,
        "loading_seconds": round(loading, 2),
        "mean_test_auc": {
            t.name: round(statistics.fmean(r["test_auc"][t.name] for r in runs), 4) for t in encoder.tasks
        },
        "steps_rows_per_second": round(statistics.median(r["steps_rows_per_second"] for r in runs)),
        "epoch_rows_per_second": round(statistics.median(r["epoch_rows_per_second"] for r in runs)),
    }))


if __name__ == "__main__":
    main()
