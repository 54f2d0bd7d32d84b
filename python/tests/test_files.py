"""Files as rows, what a model looks at, exports, and the command that the wheel brings."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from test_ranker import FEATURES, SMALL, log, ranker, same

import pleiad


@pytest.fixture(scope="module")
def table():
    x, y = log()
    return pd.DataFrame({**x, **y})


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    table[:700].to_parquet(folder / "part-0.parquet")
    table[700:].to_parquet(folder / "part-1.parquet")
    return folder


TASKS = [{"name": "click", "kind": "binary"}, {"name": "watch", "kind": "regression"}]


def test_files_give_the_bits_of_a_frame(table, folder):
    of_frame = ranker(tasks=TASKS, rank={"score": {"click": 1.0}}).fit(table, ["click", "watch"])
    of_files = ranker(tasks=TASKS, rank={"score": {"click": 1.0}}).fit(str(folder / "part-*.parquet"), ["click", "watch"])
    expected = of_frame.predict_all(table)
    parts = [folder / "part-0.parquet", folder / "part-1.parquet"]
    assert same(expected, of_files.predict_all(table))
    assert same(expected, of_files.predict_all(parts))
    assert same(expected, of_files.predict_all(folder / "part-*.parquet"))
    assert (of_files.score_rows(parts) == of_frame.score_rows(table)).all()
    assert (of_files.score_rows(parts, click=2) == of_frame.score_rows(table, click=2)).all()
    assert of_files.n_features_in_ == 2 and (of_files.predict_proba(parts)[0] == of_frame.predict_proba(table)[0]).all()


def test_kinds_and_features_are_seen_in_files(folder):
    path = folder / "part-0.parquet"
    fitted = pleiad.Ranker(SMALL, epochs=1, explanation=False, seed=1, validation_fraction=0.2).fit(path, ["click", "watch"])
    kinds = [task["kind"] for task in fitted.config_["task"]]
    assert kinds == ["binary", "regression"] and len(fitted.predict_all(path)["watch"]) == 700
    measured = ranker().fit(path, ["click", "watch"], eval_set=folder / "part-1.parquet")
    assert measured.report_["valid"]["rows"] == 800


def test_wrong_files_are_named(folder):
    with pytest.raises(pleiad.DataError, match="nowhere.parquet"):
        ranker().fit(folder / "nowhere.parquet", ["click"])
    with pytest.raises(ValueError, match="names of the label columns"):
        ranker().fit(folder / "part-0.parquet")
    with pytest.raises(ValueError, match="name of a column"):
        ranker().fit(folder / "part-0.parquet", ["click"], sample_weight=np.ones(700))
    with pytest.raises(ValueError, match="a task says where"):
        ranker().fit(folder / "part-0.parquet", ["click"], sample_space={"click": [True]})
    with pytest.raises(TypeError, match="a list of paths"):
        ranker().fit(folder / "part-0.parquet", ["click"], eval_set=({}, {}))
    with pytest.raises(pleiad.ConfigError, match="did you mean \"click\""):
        ranker().fit(folder / "part-0.parquet", ["clik"])
    with pytest.raises(pleiad.NotFittedError):
        ranker().predict_all(folder / "part-0.parquet")


def test_gates_are_shown(table, folder):
    x, y = log()
    fitted = pleiad.Ranker(SMALL, features=FEATURES, epochs=2, seed=1).fit(x, y)
    seen = fitted.explain(x)
    sums = seen.to_frame().groupby("gate")["mean"].sum()
    assert len(sums) == 2 and np.allclose(sums, 1)
    assert seen.gates == fitted.explain(pd.DataFrame(x)).gates
    of_files = fitted.explain(folder / "part-*.parquet")
    assert np.allclose(of_files.to_frame()["mean"], seen.to_frame()["mean"])
    assert "levels.0.click.gate" in repr(seen) and "<table>" in seen._repr_html_()
    assert {row["gate"] for row in fitted.gates_} == set(sums.index)
    alone = pleiad.Ranker(pleiad.SingleTask(bottom=[4], tower=[4]), features=FEATURES, epochs=1, explanation=False).fit(x, y)
    assert alone.explain(x).gates == [] and "no gates" in repr(alone.explain(x))
    with pytest.raises(AttributeError, match="explanation is not False"):
        alone.gates_  # noqa: B018
    with pytest.raises(pleiad.NotFittedError):
        ranker().explain(x)


def test_an_export_gives_the_same_predictions(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x, y = log()
    fitted = ranker(rank={"score": {"click": 1.0, "watch": 0.5}, "floor": {"watch": 0.1}}).fit(x, y)
    ports = fitted.to_onnx(tmp_path / "model.onnx")
    assert [port["name"] for port in ports["outputs"]] == ["click", "watch", "score"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    click, watch, score = session.run(None, {"age": x["age"], "city": x["city"].astype(object)})
    expected = fitted.predict_all(x)
    assert np.abs(click - expected["click"]).max() < 1e-5 and np.abs(watch - expected["watch"]).max() < 1e-5
    assert np.allclose(score, fitted.score_rows(x), rtol=1e-4)
    with pytest.raises(pleiad.ConfigError, match="exists"):
        fitted.to_onnx(tmp_path / "model.onnx")
    with pytest.raises(pleiad.ConfigError, match="columns"):
        fitted.to_onnx(tmp_path / "other.onnx", inputs="rows")
    ids = fitted.to_onnx(tmp_path / "ids.onnx", inputs="ids")
    assert "city.row" in [port["name"] for port in ids["inputs"]]


def test_the_command_comes_with_the_wheel(folder, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "pleiad", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    version = run("--version")
    assert version.returncode == 0 and version.stdout.split() == ["pleiad", pleiad.__version__]
    wrong = run("trian")
    assert wrong.returncode == 2 and "train" in wrong.stderr
    made = run("init", folder / "part-0.parquet", "--label", "click", "--out", "config.toml", "--format", "json")
    assert made.returncode == 0 and json.loads(made.stdout)["tasks"] == ["click"], made.stderr
    trained = run("train", "config.toml", "--out", "run", "--set", "train.epochs=1")
    assert trained.returncode == 0, trained.stderr
    assert len(pleiad.Ranker.load(tmp_path / "run/model").predict_all(folder / "part-1.parquet")["click"]) == 800
    missing = run("predict", "run/model", "--data", "nothing.csv", "--out", "p.csv")
    assert missing.returncode == 3 and "nothing.csv" in missing.stderr


def test_rows_that_lie_apart_in_memory_are_rows(tmp_path):
    x, y = log()
    wide = np.zeros((2 * len(x["age"]), 3), order="F")
    wide[::2, 1] = x["age"]
    strided = {"age": wide[::2, 1], "city": x["city"][::-1][::-1]}
    assert not strided["age"].flags["C_CONTIGUOUS"]
    assert same(ranker().fit(x, y).predict_all(x), ranker().fit(strided, y).predict_all(strided))


def test_a_frame_that_changes_in_a_fit_does_no_harm():
    x, y = log()
    expected = ranker().fit(pd.DataFrame(x), y).predict_all(x)
    frame = pd.DataFrame(x)

    def change(event):
        if event["event"] == "config":  # handed over, and not read yet
            frame.loc[:, "age"] = -1.0  # where it lies
            frame.loc[:, "city"] = "nowhere"

    assert same(expected, ranker().fit(frame, y, callback=change).predict_all(x))
    assert (frame["age"] == -1.0).all()


def test_what_files_cannot_be_asked_is_said(folder):
    fitted = ranker(tasks=TASKS, rank={"score": {"click": 1.0}}).fit(folder / "part-0.parquet", ["click", "watch"])
    with pytest.raises(TypeError, match="rows in memory"):
        fitted.score(folder / "part-0.parquet", ["click"])
    with pytest.raises(TypeError, match="by is an array"):
        fitted.rank_rows(folder / "part-0.parquet", by="city")
    ranked = fitted.rank_rows(folder / "part-0.parquet", by=np.arange(700) % 7, top=2)
    assert len(ranked["row"]) == 14


def test_scikit_learn_routes_weights_and_scores_two_tasks():
    import sklearn
    from sklearn.model_selection import cross_validate

    x, y = log(600)
    frame = pd.DataFrame(x)
    labels = np.column_stack([y["click"], 1 - y["click"]])
    # A seed whose small networks do not begin dead.
    of_seed = ranker().set_params(seed=3)
    scores = cross_validate(of_seed, frame, labels, cv=3)
    assert (scores["test_score"] > 0.55).all()
    weight = np.where(np.arange(600) % 2, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = of_seed.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = cross_validate(weighted, frame, labels, cv=3, params={"sample_weight": weight})
    assert not np.allclose(routed["test_score"], scores["test_score"])
