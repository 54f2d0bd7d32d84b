"""What trackers hear of a fit, and a ranker as a model of MLflow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import pleiad
from pleiad.callbacks import All, Log
from test_ranker import log, ranker


class Run:
    """As a run of Weights & Biases."""

    def __init__(self):
        self.steps, self.config = {}, {}

    def log(self, metrics, step):
        self.steps[step] = metrics


def test_a_run_gets_the_settings_and_the_metrics_of_each_epoch():
    x, y = log()
    run, heard = Run(), []
    fit = ranker().fit(x, y, eval_set=log(300, seed=5), callback=All(Log(run, prefix="fit/"), heard.append))
    assert sorted(run.steps) == [1, 2, 3, 4]
    last, record = run.steps[4], fit.history_[-1]
    assert last["fit/loss"] == record["loss"] and last["fit/loss/click"] == record["task_losses"]["click"]
    assert last["fit/learning_rate"] == 1e-2 and "fit/epoch" not in last
    assert last["fit/valid/click/auc"] == record["valid"]["tasks"]["click"]["auc"]
    assert last["fit/valid/watch/r2"] == record["valid"]["tasks"]["watch"]["r2"] and last["fit/valid/rows"] == 300
    assert run.config["train.epochs"] == 4 and run.config["model.kind"] == "ple" and run.config["tasks"] == "click, watch"
    assert json.loads(run.config["model.levels"])[0]["widths"] == [16]
    assert heard[0]["event"] == "config" and heard[0]["config"] == fit.config_
    assert all(isinstance(value, float) for metrics in run.steps.values() for value in metrics.values())


def test_what_cannot_log_is_refused():
    with pytest.raises(TypeError, match=r"list has no method log\(metrics, step=...\)"):
        Log([])


def test_the_wheel_writes_curves_for_tensorboard(tmp_path):
    x, y = log()
    ranker().fit(x, y, out=tmp_path / "run")
    (events,) = (tmp_path / "run" / "tensorboard").glob("*tfevents*")
    assert b"train/loss" in events.read_bytes()


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("test", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("test")
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="module")
def fitted():
    x, y = log()
    return ranker(rank={"score": {"click": 1.0}}).fit(x, y)


def test_a_run_of_mlflow_has_settings_metrics_and_a_model_that_serves(mlflow, tmp_path):
    import pandas as pd
    import pleiad.mlflow

    x, y = log()
    frame = pd.DataFrame(x)
    with mlflow.start_run() as run:
        fit = ranker(rank={"score": {"click": 1.0}}).fit(frame, y, callback=pleiad.mlflow.Callback())
        info = pleiad.mlflow.log_model(fit, "ranker", input_example=frame.head(3))
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["train.epochs"] == "4" and found.data.params["model.kind"] == "ple"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss/click")
    assert [(each.step, each.value) for each in history] == [
        (record["epoch"], record["task_losses"]["click"]) for record in fit.history_
    ]
    back = pleiad.mlflow.load_model(info.model_uri)
    expected = fit.predict_all(x)
    assert all((back.predict_all(x)[task] == values).all() for task, values in expected.items())
    served = mlflow.pyfunc.load_model(info.model_uri)
    rows = frame.iloc[100:110]
    answer = served.predict(rows)
    assert list(answer.columns) == ["score", "click", "watch"] and list(answer.index) == list(rows.index)
    assert (answer["click"].to_numpy() == expected["click"][100:110]).all()
    assert served.metadata.signature.inputs.input_names() == ["age", "city"]
    assert served.metadata.signature.outputs.input_names() == ["score", "click", "watch"]
    with pytest.raises(mlflow.exceptions.MlflowException, match="city"):
        served.predict(frame[["age"]])


def test_mlflow_gets_names_that_it_takes(mlflow):
    import pleiad.mlflow

    record = {"epoch": 3, "loss": 0.5, "valid": {"rows": 9, "tasks": {"click": {"ndcg@10": 0.25, "auc": None}}}}
    with mlflow.start_run() as run:
        pleiad.mlflow.Callback(prefix="a/")({"event": "epoch", "best": True, "record": record})
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert found == {"a/loss": 0.5, "a/valid/rows": 9, "a/valid/click/ndcg_10": 0.25}


def test_a_saved_model_names_what_it_needs_and_is_the_command_s(mlflow, fitted, tmp_path):
    import yaml
    import pleiad.mlflow

    pleiad.mlflow.save_model(fitted, tmp_path / "saved", extra_pip_requirements=["polars"], metadata={"team": "feed"})
    described = yaml.safe_load((tmp_path / "saved" / "MLmodel").read_text())
    assert described["flavors"]["pleiad"]["tasks"] == ["click", "watch"] and described["metadata"] == {"team": "feed"}
    assert described["flavors"]["python_function"]["loader_module"] == "pleiad.mlflow"
    requirements = (tmp_path / "saved" / "requirements.txt").read_text().split()
    assert requirements[-2:] == [f"pleiad=={pleiad.__version__}", "polars"]
    x, _ = log()
    inside = pleiad.Ranker.load(tmp_path / "saved" / "model")
    assert np.array_equal(inside.predict_all(x)["click"], fitted.predict_all(x)["click"])
    with pytest.raises(mlflow.exceptions.MlflowException, match="exists"):
        pleiad.mlflow.save_model(fitted, tmp_path / "saved")


def test_mlflow_serves_a_saved_model_from_its_command(mlflow, fitted, tmp_path):
    import pandas as pd
    import pleiad.mlflow

    x, _ = log()
    frame = pd.DataFrame(x).head(5)
    pleiad.mlflow.save_model(fitted, tmp_path / "saved", input_example=frame)
    (tmp_path / "rows.json").write_text(json.dumps({"dataframe_split": frame.to_dict(orient="split")}))
    words = ["models", "predict", "-m", tmp_path / "saved", "-i", tmp_path / "rows.json", "-o", tmp_path / "answer.json"]
    words += ["-t", "json", "--env-manager", "local"]
    environment = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    subprocess.run([sys.executable, "-m", "mlflow", *map(str, words)], check=True, env=environment, timeout=300)
    answer = json.loads((tmp_path / "answer.json").read_text())["predictions"]
    assert np.allclose([row["click"] for row in answer], fitted.predict_all(x)["click"][:5], rtol=1e-6, atol=0)
