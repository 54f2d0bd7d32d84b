"""What users of the wheel rely on. Rows are generated here; nothing is downloaded."""

import pickle
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV

import pleiad

FEATURES = [
    {"columns": ["age"], "kind": "numeric", "transform": ["standardize"], "missing": "mean"},
    {"columns": ["city"], "kind": "categorical", "embedding": 4},
]
SMALL = pleiad.PLE(levels=[{"task_experts": 1, "shared_experts": 1, "widths": [16]}], tower=[8])


def log(rows=1500, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows).astype(float)
    city = rng.choice(["Lagos", "Lima", "Oslo"], rows)
    click = (rng.random(rows) < age / 90).astype(int)
    watch = np.where(click == 1, (age - 49) / 18 + (city == "Oslo"), np.nan)
    return {"age": age, "city": city}, {"click": click, "watch": watch}


def ranker(**more):
    params = dict(model=SMALL, features=FEATURES, epochs=4, batch_size=64, seed=1)
    params.update(optimizer={"kind": "adam", "learning_rate": 1e-2}, explanation=False, **more)
    return pleiad.Ranker(**params)


@pytest.fixture(scope="module")
def fitted():
    x, y = log()
    return ranker(rank={"score": {"click": 1.0}}).fit(x, y)


def same(one, other):
    return all((one[task] == other[task]).all() for task in one)


def test_every_kind_of_frame_gives_the_same_bits(fitted):
    x, y = log()
    expected = fitted.predict_all(x)
    in_parts = pa.concat_tables([pa.table(x).slice(0, 700), pa.table(x).slice(700)])
    categories = pd.DataFrame(x).astype({"city": "category"})
    for frame in (pd.DataFrame(x), pl.DataFrame(x), pa.table(x), in_parts, categories, pa.table(x).to_batches()[0]):
        assert same(expected, ranker().fit(frame, y).predict_all(frame))
        assert same(expected, fitted.predict_all(frame))
    labels = pd.DataFrame(y)
    assert same(expected, ranker().fit(x, labels).predict_all(x))
    together = pd.DataFrame({**x, **y})
    named = ranker(tasks=[{"name": "click", "kind": "binary"}, {"name": "watch", "kind": "regression"}])
    assert same(expected, named.fit(together, ["click", "watch"]).predict_all(together))


def test_predictions_have_the_forms_of_scikit_learn(fitted):
    x, y = log()
    all_of_them = fitted.predict_all(x)
    (probabilities,) = fitted.predict_proba(x)
    assert probabilities.shape == (1500, 2) and np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(probabilities[:, 1], all_of_them["click"])
    predicted = fitted.predict(x)
    assert predicted.shape == (1500, 2) and set(predicted[:, 0]) <= {0.0, 1.0}
    there = ~np.isnan(y["watch"])
    expected = (
        roc_auc_score(y["click"], all_of_them["click"]) + r2_score(y["watch"][there], all_of_them["watch"][there])
    ) / 2
    assert fitted.score(x, y) == pytest.approx(expected, abs=1e-6)
    assert roc_auc_score(y["click"], all_of_them["click"]) > 0.6
    assert np.allclose(fitted.score_rows(x), all_of_them["click"])
    assert np.allclose(fitted.score_rows(x, click=2), all_of_them["click"].astype(float) ** 2)


def test_requests_are_ranked(fitted):
    x, _ = log(200, seed=9)
    request = np.random.default_rng(1).integers(0, 7, 200)
    scores = fitted.score_rows(x)
    ranked = fitted.rank_rows(x, by=request, top=5)
    expected = []
    for one in dict.fromkeys(request.tolist()):
        rows = sorted(np.flatnonzero(request == one), key=lambda row: (-scores[row], row))
        expected += [(row, rank, scores[row]) for rank, row in enumerate(rows[:5], 1)]
    assert list(zip(ranked["row"], ranked["rank"], ranked["score"])) == expected
    named = fitted.rank_rows({**x, "request": request}, by="request", top=5)
    assert (named["row"] == ranked["row"]).all()
    assert len(fitted.rank_rows(x)["row"]) == 200
    with pytest.raises(ValueError, match="200 rows"):
        fitted.rank_rows(x, by=request[:9])


def test_one_task_is_no_list():
    x, y = log()
    one = ranker().fit(x, np.where(y["click"] == 1, "yes", "no"))
    assert one.predict_proba(x).shape == (1500, 2)
    assert list(one.classes_) == ["no", "yes"] and set(one.predict(x)) <= {"no", "yes"}


def test_a_matrix_has_columns_by_number():
    x = np.random.default_rng(0).normal(size=(400, 3))
    y = np.column_stack([(x[:, 0] > 0).astype(int), (x[:, 1] > 0).astype(int)])
    features = [{"columns": ["x[0..3]"], "kind": "numeric"}]
    base = ranker().set_params(features=features).fit(x, y)
    assert base.task_names_ == ["y0", "y1"] and len(base.predict_proba(x)) == 2
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(">f8")):
        assert same(base.predict_all(x), clone(base).fit(other, y).predict_all(other))
    with pytest.raises(ValueError, match="expecting 3 features"):
        base.predict(x[:, :2])


def test_sample_spaces_and_weights_decide_what_is_learned(fitted):
    x, y = log()
    click = y["click"]
    spaces = {"watch": click == 1}
    filled = {"click": click, "watch": np.nan_to_num(y["watch"], nan=99.0)}
    assert same(fitted.predict_all(x), ranker().fit(x, filled, sample_space=spaces).predict_all(x))
    weight = (np.arange(1500) < 1000).astype(float)
    first = {name: column[:1000] for name, column in x.items()}
    labels = {name: column[:1000] for name, column in y.items()}
    weighted = ranker().fit(x, y, sample_weight=weight)
    alone = ranker().fit(first, labels, sample_weight=np.ones(1000))
    assert same(alone.predict_all(x), weighted.predict_all(x))


def test_saved_pickled_and_copied_models_give_the_same_bits(fitted, tmp_path):
    x, _ = log()
    fitted.save(tmp_path / "model")
    for other in (pleiad.Ranker.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        assert same(fitted.predict_all(x), other.predict_all(x))
    with pytest.raises(FileExistsError):
        fitted.save(tmp_path / "model")
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="weights.safetensors"):
        pleiad.Ranker.load(tmp_path / "model")


def test_parameters_are_those_of_scikit_learn():
    base = ranker()
    params = base.get_params()
    assert params["epochs"] == 4 and params["model"] == SMALL and params["model__tower"] == [8]
    assert clone(base).get_params()["model"] == SMALL
    x, y = log(600)
    frame = pd.DataFrame(x)
    search = GridSearchCV(base, {"epochs": [1, 2]}, cv=2).fit(frame, y["click"])
    assert search.best_params_["epochs"] in (1, 2)


def test_validation_rows_decide_and_a_callback_hears_of_it():
    x, y = log()
    other = log(300, seed=5)
    heard = []
    fit = ranker(early_stopping={"patience": 5}).fit(x, y, eval_set=other, callback=heard.append)
    epochs = [event["record"]["epoch"] for event in heard if event["event"] == "epoch"]
    assert epochs == [1, 2, 3, 4] and len(fit.history_) == 4
    assert fit.report_["valid"]["rows"] == 300
    part = ranker(validation_fraction=0.2).fit(x, y)
    assert 200 < part.report_["valid"]["rows"] < 400


def test_a_callback_ends_a_fit_and_the_run_goes_on(tmp_path):
    x, y = log()

    class Enough(Exception):
        pass

    def stop(event):
        if event["event"] == "epoch" and event["record"]["epoch"] == 2:
            raise Enough

    long = ranker().set_params(epochs=400)
    with pytest.raises(Enough):
        long.fit(x, y, callback=stop, out=tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints").exists() and not hasattr(long, "task_names_")
    with pytest.raises(pleiad.ConfigError, match="resume"):
        long.fit(x, y, out=tmp_path / "run")
    whole = clone(long).fit(x, y)
    resumed = long.fit(x, y, out=tmp_path / "run", resume=True)
    assert same(whole.predict_all(x), resumed.predict_all(x))
    assert (tmp_path / "run" / "report.html").exists()


def test_features_are_inferred():
    x, y = log()
    base = ranker().set_params(features=None, model=None)
    fit = base.fit(pd.DataFrame(x), y)
    assert roc_auc_score(y["click"], fit.predict_all(x)["click"]) > 0.6
    named = {column for block in fit.config_["feature"] for column in block["columns"]}
    assert named == {"age", "city"}
    with pytest.warns(UserWarning, match="column 'told'") as warned:
        leak = base.fit({**x, "told": y["click"] + 0.5, "row": np.arange(1500)}, y)
    named = {column for block in leak.config_["feature"] for column in block["columns"]}
    assert "told" in named and "row" not in named
    assert any("'row' is no feature" in str(warning.message) for warning in warned)
    found = pleiad.infer({**x, "click": y["click"], "row": np.arange(1500)}, ["click"])
    assert [task["name"] for task in found.tasks] == ["click"] and "row" in [out["column"] for out in found.left_out]
    assert found.toml.count("\n[[feature]]\n") == len(found.features)


LONG = """
import sys
sys.path.insert(0, {tests!r})
from test_ranker import log, ranker
x, y = log(20000)
ranker().set_params(epochs=100000).fit(x, y, out={out!r}, callback=lambda event: print(event["event"], flush=True))
"""


def test_ctrl_c_ends_a_fit_and_leaves_a_run_to_go_on_with(tmp_path):
    import signal
    import subprocess
    import sys
    from pathlib import Path

    out = tmp_path / "run"
    code = LONG.format(tests=str(Path(__file__).parent), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "epoch":
            break
    process.send_signal(signal.SIGINT)
    # It would go on for hours.
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and any((out / "checkpoints").iterdir()) and not (out / "model").exists()


@pytest.mark.parametrize(
    "change, error, says",
    [
        (dict(features=[{"columns": ["aeg"], "kind": "numeric"}]), pleiad.ConfigError, "aeg"),
        (dict(model=pleiad.MMoE(expert=3)), pleiad.ConfigError, "expert"),
        (dict(optimizer={"kind": "adma"}), pleiad.ConfigError, "adma"),
        (dict(rank={"score": {"clik": 1}}), pleiad.ConfigError, "click"),
        (dict(tasks=["click", "buy"]), ValueError, "buy"),
        (dict(epochs=0), pleiad.ConfigError, "epochs"),
    ],
)
def test_wrong_parameters_are_named(change, error, says):
    x, y = log(100)
    with pytest.raises(error, match=says):
        ranker().set_params(**change).fit(x, y)


def test_wrong_rows_are_named(fitted):
    x, y = log(100)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ranker().fit(x, {"click": y["click"][:50]})
    with pytest.raises(ValueError, match="0 sample"):
        ranker().fit({"age": np.array([]), "city": []}, {"click": np.array([])})
    with pytest.raises(ValueError, match="binary classification"):
        ranker().fit(x, {"click": np.array(["a", "b", "c", "d"] * 25)})
    with pytest.raises(pleiad.DataError, match="city"):
        fitted.predict({"age": x["age"]})
    with pytest.raises(pleiad.DataError, match="inf"):
        fitted.predict({"age": np.array([np.inf]), "city": ["Oslo"]})
    with pytest.raises(TypeError, match="data frame"):
        pleiad._pleiad.Model.open(_saved(fitted)).predict(3)
    with pytest.raises(pleiad.NotFittedError):
        ranker().predict(x)


def _saved(fitted):
    import tempfile

    path = tempfile.mkdtemp() + "/model"
    fitted.save(path)
    return path


def test_threads_fit_and_ask_side_by_side(fitted):
    x, y = log()
    expected, found = fitted.predict_all(x), []

    def work():
        found.append(same(expected, ranker().fit(x, y).predict_all(x)) and same(expected, fitted.predict_all(x)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == [True] * 4


def test_a_forked_process_computes(fitted):
    import multiprocessing

    x, y = log(200)
    expected = fitted.predict_all(x)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert same(expected, pool.apply_async(fitted.predict_all, (x,)).get(timeout=60))


def test_structures_are_compared():
    x, y = log(600)
    models = {"single": pleiad.SingleTask(bottom=[8], tower=[4]), "PLE": SMALL}
    heard = ranker().set_params(epochs=1)
    found = pleiad.compare(models, x, y, seeds=[1, 2], ranker=heard)
    assert [row["model"] for row in found.rows()] == ["single", "single", "PLE", "PLE"]
    frame = found.to_frame()
    assert frame.loc[frame.model == "PLE", "gain"].notna().all() and frame["mean"].notna().all()
    assert found.answer and "<!DOCTYPE html>" in found.report and "srcdoc" in found._repr_html_()
    with pytest.raises(ValueError, match="not both"):
        pleiad.compare(models, x, y, ranker=heard, epochs=3)


def test_a_configuration_makes_a_ranker_and_the_reverse(fitted, tmp_path):
    x, y = log()
    text = fitted.to_config().replace("[data]", '[data]\ntrain = "rows.csv"')
    (tmp_path / "config.toml").write_text(text)
    again = pleiad.Ranker.from_config(tmp_path / "config.toml", "train.seed=1")
    together = {**x, **y}
    assert same(fitted.predict_all(x), again.fit(together, ["click", "watch"]).predict_all(x))
    with pytest.raises(pleiad.ConfigError, match="did you mean `epochs`"):
        pleiad.Ranker.from_config(tmp_path / "config.toml", "train.epoch=1")


def test_every_structure_of_the_command_has_a_class():
    import json
    import subprocess
    import sys

    ran = subprocess.run([sys.executable, "-m", "pleiad", "schema"], capture_output=True, text=True, check=True)
    kinds = [one["properties"]["kind"]["const"] for one in json.loads(ran.stdout)["$defs"]["ModelConfig"]["oneOf"]]
    known = pleiad._structures.KINDS
    assert len(kinds) > 5 and sorted(kinds) == sorted(known)
    assert all(getattr(pleiad, of.__name__) is of and of.__name__ in pleiad.__all__ for of in known.values())


def test_what_a_request_s_rows_have_in_common_is_computed_once():
    rng = np.random.default_rng(2)
    request = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    x = pd.DataFrame(
        {"request": request, "user": [f"u{r % 20}" for r in request], "age": request % 7 * 1.5, "item": rng.integers(0, 300, len(request))}
    )
    y = {"click": (x["item"] % 3 == 0).astype(int), "share": (x["item"] % 5 == 0).astype(int)}

    def fitted(per):
        features = [
            {"columns": ["user"], "kind": "categorical", "embedding": 4, **per},
            {"columns": ["age"], "kind": "numeric", **per},
            {"columns": ["item"], "kind": "categorical", "embedding": 4},
        ]
        model = pleiad.PLE(levels=[{"task_experts": 1, "shared_experts": 1, "widths": [8]}], tower=[4])
        # One batch, so that the order of rows makes no difference.
        optimizer = {"kind": "sgd", "learning_rate": 0.1}
        ranker = pleiad.Ranker(model, features=features, epochs=3, batch_size=1000, optimizer=optimizer, seed=1, explanation=False)
        return ranker.set_params(request="request" if per else None).fit(x, y)

    split, flat = fitted({"per": "request"}), fitted({})
    for ours, theirs in zip(split.predict_proba(x), flat.predict_proba(x)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert 'request = "request"' in split.to_config()
    # All rows one request, which they are not.
    with pytest.raises(pleiad.DataError, match="request"):
        split.fit(x.assign(request=0), y)
