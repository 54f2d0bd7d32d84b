"""What trees say of each row, beside the row: so that a network can learn to say the same.

    python tools/imitate.py large.toml imitated          # needs lightgbm, pandas, scikit-learn, as benches/peers does

Of a census-like configuration (CSV without a header) its files are written anew into a folder, with two columns more: `oof`,
the log-odds that trees of the other four fifths of the training rows give a training row, and `ins`, those of trees that
have learned from the row itself. Validation and test rows have the latter in both. `imitated/config.toml` is the
configuration with one regression on `ins`; its AUC against the labels is printed by

    python tools/imitate.py large.toml imitated --judge MODEL ...
"""

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "benches/peers"))

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from table import Encoder, frames  # noqa: E402

ROUNDS, FOLDS, MOST = 360, 5, 9.0


def trees(columns, labels, names, categories):
    parameters = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": 63, "min_data_in_leaf": 20, "feature_fraction": 0.8,
        "num_threads": 2, "seed": 1, "deterministic": True, "verbose": -1,
    }  # fmt: skip
    rows = lightgbm.Dataset(columns, labels, feature_name=names, categorical_feature=categories)
    return lightgbm.train(parameters, rows, ROUNDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", nargs="+", metavar="MODEL")
    parser.add_argument("--pleiad", default="pleiad")
    arguments = parser.parse_args()
    config, found = frames(arguments.config)
    encoder = Encoder(config, found["train"])
    task, positive = encoder.tasks[0], encoder.positive[0]
    labels = {split: (frame[task.label] == positive).to_numpy(np.float64) for split, frame in found.items()}
    if arguments.judge:
        for model in arguments.judge:
            aucs = {}
            for split in ("valid", "test"):
                rows, out = arguments.out / f"{split}.csv", arguments.out / "predictions.csv"
                subprocess.run([arguments.pleiad, "predict", model, "--data", rows, "--out", out], check=True)
                aucs[split] = round(roc_auc_score(labels[split], pd.read_csv(out)[task.name]), 5)
            print(model, aucs)
        return

    arguments.out.mkdir()
    numbers, texts = [name for name, *_ in encoder.numeric], dict(encoder.categorical)
    columns = {
        split: np.stack(
            [frame[name].astype(np.float64).to_numpy() for name in numbers]
            + [vocabulary.get_indexer(frame[name]).astype(np.float64) for name, vocabulary in texts.items()],
            axis=1,
        )
        for split, frame in found.items()
    }
    names = numbers + list(texts)
    fold = np.random.default_rng(0).integers(0, FOLDS, len(labels["train"]))
    apart = np.empty(len(fold))
    for k in range(FOLDS):
        others = trees(columns["train"][fold != k], labels["train"][fold != k], names, list(texts))
        apart[fold == k] = others.predict(columns["train"][fold == k], raw_score=True)
    whole = trees(columns["train"], labels["train"], names, list(texts))
    for split, frame in found.items():
        said = whole.predict(columns[split], raw_score=True)
        print(split, "AUC of the trees:", round(roc_auc_score(labels[split], said), 5))
        beside = {"oof": apart if split == "train" else said, "ins": said}
        more = {name: np.clip(values, -MOST, MOST).round(4) for name, values in beside.items()}
        frame.assign(**more).to_csv(arguments.out / f"{split}.csv", index=False, header=False, quoting=csv.QUOTE_MINIMAL)

    text = arguments.config.read_text(encoding="utf-8")
    for split in found:
        text = re.sub(rf'^{split} = ".*"', f'{split} = "{split}.csv"', text, flags=re.M)
    text = re.sub(r"(\[data\.csv\].*?columns = \[.*?)\n\]", r'\1\n    "oof", "ins",\n]', text, count=1, flags=re.S)
    regression = f'[[task]]\nname = "{task.name}"\nkind = "regression"\nlabel = "ins"\n\n'
    text = re.sub(r"\[\[task\]\].*?(?=^\[model\])", lambda _: regression, text, count=1, flags=re.S | re.M)
    (arguments.out / "config.toml").write_text(re.sub(r"^\[compare\].*", "", text, flags=re.S | re.M), encoding="utf-8")


if __name__ == "__main__":
    main()
