"""From a data frame to a compared, exported model and a ranking.  pip install ./python pandas polars scikit-learn onnxruntime"""

import numpy as np, onnxruntime, pandas as pd, polars as pl  # noqa: E401
from sklearn.metrics import roc_auc_score

import pleiad

# People as a census has them; put your own frame here.
rng, n = np.random.default_rng(0), 6000
people = pd.DataFrame({
    "age": rng.integers(16, 90, n).astype(float),
    "education": rng.choice(["school", "college", "master", "doctor"], n),
    "weeks_worked": rng.integers(0, 53, n).astype(float),
})
points = people["education"].map({"school": 0, "college": 1, "master": 2, "doctor": 3}) + people["weeks_worked"] / 26
labels = pd.DataFrame({"income": (points + rng.normal(0, 1, n) > 3.5) * 1, "single": (people["age"] + rng.normal(0, 8, n) < 30) * 1})

print(pleiad.infer(people.join(labels), ["income", "single"]).toml)               # a first configuration, with reasons

train, test = slice(0, 5000), slice(5000, None)
score = {"score": {"income": 1.0, "single": 0.5}}
ple = pleiad.Ranker(pleiad.PLE(), rank=score, epochs=5, batch_size=128, seed=1).fit(people[train], labels[train])
alone = pleiad.Ranker(pleiad.SingleTask(), epochs=5, batch_size=128, seed=1).fit(pl.DataFrame(people[train]), labels[train])
for name, model in {"PLE": ple, "single-task": alone}.items():
    parts = model.predict_proba(people[test])
    print(name, {task: round(roc_auc_score(labels[task][test], part[:, 1]), 3) for task, part in zip(labels, parts)})

structures = {"single-task": pleiad.SingleTask(), "PLE": pleiad.PLE()}
print(pleiad.compare(structures, people, labels, seeds=[1, 2], epochs=3, batch_size=128).to_frame())     # did sharing help?

ple.to_onnx("people.onnx")
columns = {name: values.to_numpy(object if values.dtype.kind not in "if" else None) for name, values in people[test].items()}
income, *_ = onnxruntime.InferenceSession("people.onnx").run(None, columns)
assert np.abs(income - ple.predict_proba(people[test])[0][:, 1]).max() < 1e-5

request = rng.integers(0, 100, n)[test]
print(pd.DataFrame(ple.rank_rows(people[test], by=request, top=3)).head(6))       # the best three of each request
