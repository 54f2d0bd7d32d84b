"""What trees see that a model does not.  python tools/residue.py large.toml RUN/model --pleiad pleiad

For the first task of a census-like configuration, of which the model is one: what trees add that begin with the model's
prediction, by the number of their leaves; and where LightGBM's lead lies, by in how many features a row differs from the
nearest training row. Needs lightgbm, pandas and scikit-learn, as benches/peers does.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "benches/peers"))

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from table import Encoder, frames  # noqa: E402


def fitted(rows, labels, names, texts, leaves, rate, start=None):
    """Log-odds of trees that stop where the validation rows' AUC has not risen for 100 rounds, by split."""
    parameters = {
        "objective": "binary", "metric": "auc", "learning_rate": rate, "num_leaves": leaves, "min_data_in_leaf": 20,
        "feature_fraction": 0.8, "num_threads": 2, "seed": 1, "deterministic": True, "verbose": -1,
    }  # fmt: skip
    train, valid = (
        lightgbm.Dataset(
            rows[split],
            labels[split],
            feature_name=names,
            categorical_feature=texts,
            init_score=None if start is None else start[split],
        )
        for split in ("train", "valid")
    )
    trees = lightgbm.train(parameters, train, 5000, valid_sets=[valid], callbacks=[lightgbm.early_stopping(100, verbose=False)])
    return {split: trees.predict(rows[split], raw_score=True) + (0 if start is None else start[split]) for split in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pleiad", default="pleiad")
    arguments = parser.parse_args()
    config, found = frames(arguments.config)
    encoder = Encoder(config, found["train"])
    task, positive = encoder.tasks[0], encoder.positive[0]
    labels = {split: (frame[task.label] == positive).to_numpy(np.float64) for split, frame in found.items()}
    numbers, texts = [name for name, *_ in encoder.numeric], dict(encoder.categorical)
    rows = {
        split: np.stack(
            [frame[name].astype(np.float64).to_numpy() for name in numbers]
            + [vocabulary.get_indexer(frame[name]).astype(np.float64) for name, vocabulary in texts.items()],
            axis=1,
        )
        for split, frame in found.items()
    }
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        for split in rows:
            out = Path(folder) / f"{split}.csv"
            file = arguments.config.parent / config["data"][split]
            command = [arguments.pleiad, "-q", "predict", arguments.model, "--data", file, "--out", out]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            p = pd.read_csv(out)[task.name].to_numpy(np.float64)
            said[split] = np.log(p / (1 - p))
    aucs = lambda scores: [round(roc_auc_score(labels[split], scores[split]), 5) for split in ("valid", "test")]  # noqa: E731
    print("validation and test AUC of the model:", *aucs(said))
    names = numbers + list(texts)
    for leaves in (2, 8, 63):
        print(f"trees of {leaves} leaves on it:", *aucs(fitted(rows, labels, names, list(texts), leaves, 0.02, said)), flush=True)
    trees = fitted(rows, labels, names, list(texts), 63, 0.05)
    print("trees alone:", *aucs(trees))

    # Codes of every column, so that rows are compared by bytes.
    codes = np.empty((sum(map(len, rows.values())), len(names)), np.uint16)
    for at, column in enumerate(np.concatenate(list(rows.values())).T):
        codes[:, at] = np.unique(column, return_inverse=True)[1]
    ends = np.cumsum([len(part) for part in rows.values()])
    of = dict(zip(rows, np.split(codes, ends[:-1])))
    known = np.ascontiguousarray(of["train"].T)
    for split in ("valid", "test"):
        differs = np.array([sum((column != value).view(np.uint8) for column, value in zip(known, row)).min() for row in of[split]])
        loss = {name: np.logaddexp(0, z[split]) - labels[split] * z[split] for name, z in (("model", said), ("trees", trees))}
        lead = loss["model"] - loss["trees"]
        print(f"{split}: {np.mean(differs == 0):.1%} equal a training row; log loss that trees save, summed over rows: {lead.sum():.1f}")
        print("  of it where up to 4 features differ:", round(lead[differs <= 4].sum(), 1), " 5 or more:", round(lead[differs > 4].sum(), 1))


if __name__ == "__main__":
    main()
