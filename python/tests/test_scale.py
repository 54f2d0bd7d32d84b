"""A saved model over record batches: alone, sent to another process, and as a function of DuckDB and DataFusion."""

import concurrent.futures
import datetime
import decimal
import multiprocessing
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pytest

import pleiad
import pleiad.datafusion
import pleiad.duckdb

TAGS = {"columns": ["tags"], "kind": "categorical", "embedding": 2, "multiple": True}
FEATURES = [
    {"columns": ["age"], "kind": "numeric", "transform": ["standardize"], "missing": "mean"},
    {"columns": ["city"], "kind": "categorical", "embedding": 4},
    {"columns": ["day"], "kind": "categorical", "embedding": 2},
    TAGS,
]
SMALL = pleiad.PLE(levels=[{"task_experts": 1, "shared_experts": 1, "widths": [8]}], tower=[4])


def log(rows=600, seed=0):
    rng = np.random.default_rng(seed)
    age = pa.array(rng.integers(18, 80, rows), pa.int64(), mask=rng.random(rows) < 0.1)
    city = pa.array(rng.choice(["Lagos", "Lima", "Oslo"], rows), mask=rng.random(rows) < 0.1)
    day = pa.array([datetime.date(2026, 1, 1 + int(d)) for d in rng.integers(0, 5, rows)])
    tags = pa.array([[f"t{t}" for t in rng.integers(0, 6, rng.integers(0, 4))] or None for _ in range(rows)])
    return pa.table({"user": pa.array(range(rows)), "age": age, "city": city, "day": day, "tags": tags})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = log()
    rng = np.random.default_rng(1)
    y = {"click": rng.integers(0, 2, 600), "watch": rng.normal(size=600)}
    fit = pleiad.Ranker(
        SMALL, features=FEATURES, epochs=2, explanation=False, seed=1, rank={"score": {"click": 1.0}}
    ).fit(rows.drop_columns(["user"]), y)
    path = tmp_path_factory.mktemp("scale") / "model"
    fit.save(path)
    return path


@pytest.fixture(scope="module")
def expected(folder):
    ranker = pleiad.Ranker.load(folder)
    return ranker.predict_all(log())


def holds(found, expected):
    return all((found[task].to_numpy() == values).all() for task, values in expected.items())


def test_a_scorer_keeps_columns_and_adds_the_predictions_of_the_ranker(folder, expected):
    rows = log()
    found = pleiad.Scorer(folder, keep=["user"], score=True)(rows)
    assert found.schema == pa.schema(
        [("user", pa.int64()), ("score", pa.float64()), ("click", pa.float32()), ("watch", pa.float32())]
    )
    assert found["user"].equals(rows["user"]) and holds(found, expected)
    assert (found["score"].to_numpy() == pleiad.Ranker.load(folder).score_rows(rows)).all()
    squared = pleiad.Scorer(folder, score={"click": 2})(rows)["score"].to_numpy()
    assert np.array_equal(squared, pleiad.Ranker.load(folder).score_rows(rows, click=2))
    assert not np.array_equal(squared, found["score"].to_numpy())
    everything = pleiad.Scorer(folder, keep=True, prefix="p_")(rows)
    assert everything.column_names == [*rows.column_names, "p_click", "p_watch"]
    batch = pleiad.Scorer(folder, threads=1)(rows.to_batches()[0])
    assert isinstance(batch, pa.RecordBatch) and holds(batch, expected)


def test_the_cut_into_batches_changes_no_bit(folder):
    long = pa.concat_tables([log(5000, seed) for seed in range(4)])
    scorer = pleiad.Scorer(folder)
    whole = scorer(long)
    assert scorer(long.combine_chunks()).equals(whole.combine_chunks())
    for size in (1, 999):
        parts = long.slice(0, 3000).to_batches(max_chunksize=size)
        assert pa.Table.from_batches(scorer.batches(parts)).equals(whole.slice(0, 3000))
    assert pleiad.Scorer(folder, threads=1)(long).equals(whole)
    reader = scorer.stream(long)
    assert reader.schema == whole.schema and reader.read_all().equals(whole)


def test_types_that_engines_hand_over(folder, expected):
    rows = log()
    tags = rows["tags"].combine_chunks()
    types = {
        "age": [pa.float64(), pa.float32(), pa.int32(), pa.decimal128(21, 2)],
        "city": [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
        "tags": [pa.large_list(pa.large_string()), pa.list_(pa.string_view())],
    }
    scorer = pleiad.Scorer(folder)
    for column, others in types.items():
        at = rows.column_names.index(column)
        for of in others:
            values = tags.cast(of) if column == "tags" else rows[column].combine_chunks().cast(of)
            assert holds(scorer(rows.set_column(at, column, values)), expected), of
    # A column that has only nulls, as Spark and Ray make of empty ones.
    gone = scorer(rows.set_column(1, "age", pa.nulls(600)))
    assert gone.num_rows == 600 and not holds(gone, expected)
    unknown = scorer(rows.set_column(2, "city", pa.array(["Mars"] * 600)))
    assert np.isfinite(unknown["click"].to_numpy()).all()


def test_timestamps_are_read_as_the_model_learned_them(tmp_path):
    moments = [datetime.datetime(2026, 1, 1, hour % 4) for hour in range(200)]
    features = [{"columns": ["at"], "kind": "categorical", "embedding": 2}]
    labels = {"click": [hour % 4 > 1 for hour in range(200)]}
    rows = pa.table({"at": pa.array(moments, pa.timestamp("us"))})
    ranker = pleiad.Ranker(SMALL, features=features, epochs=3, explanation=False, seed=1).fit(rows, labels)
    scorer = pleiad.Scorer(ranker)
    found = scorer(rows)
    assert len(set(found["click"].to_pylist())) == 4
    for unit in ("s", "ms", "ns"):
        assert scorer(pa.table({"at": pa.array(moments, pa.timestamp(unit))})).equals(found), unit


def test_an_extension_type_is_read_as_what_lies_beneath(folder, expected):
    class City(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.string(), "test.city")

        def __arrow_ext_serialize__(self):
            return b""

    rows = log()
    cities = pa.ExtensionArray.from_storage(City(), rows["city"].combine_chunks())
    scorer = pleiad.Scorer(folder, keep=["city"])
    dressed = rows.set_column(2, "city", cities)
    found = scorer(dressed)
    assert holds(found, expected) and found["city"].type == City()
    assert holds(scorer(dressed.to_batches()[0]), expected)


def test_no_rows_have_the_columns_of_some(folder):
    scorer = pleiad.Scorer(folder, keep=["user"], score=True)
    rows = log()
    for none in (rows.slice(0, 0), rows.schema.empty_table(), pa.RecordBatch.from_pylist([], schema=rows.schema)):
        assert scorer(none).num_rows == 0 and scorer(none).schema == scorer(rows).schema
    assert scorer.output_schema(rows.schema) == scorer(rows).schema
    assert list(scorer.batches([])) == []


def test_rows_that_a_model_skips_have_nulls(tmp_path):
    rng = np.random.default_rng(0)
    age = [str(value) for value in rng.integers(18, 80, 300)]
    path = tmp_path / "log.csv"
    path.write_text("age,click\n" + "".join(f"{value},{at % 2}\n" for at, value in enumerate(age)))
    config = {
        "data": {"train": [str(path)], "on_bad_row": "skip"},
        "feature": [{"columns": ["age"], "kind": "numeric", "transform": ["standardize"]}],
        "task": [{"name": "click", "kind": "binary", "label": {"column": "click"}}],
        "model": SMALL.to_config(),
        "train": {"epochs": 1, "explain": False},
        "rank": {"score": {"click": 1.0}},
    }
    import json

    pleiad._pleiad.train(json.dumps(config), None, tmp_path / "run")
    values = ["30", "old", "40", None, "50"] * 4000
    found = pleiad.Scorer(tmp_path / "run" / "model", score=True)(pa.table({"age": values}))
    assert found["click"].null_count == found["score"].null_count == 8000
    assert [value is None for value in found["click"].to_pylist()[:5]] == [False, True, False, True, False]
    alone = pleiad.Scorer(tmp_path / "run" / "model")(pa.table({"age": ["50"]}))
    assert found["click"][19999] == alone["click"][0]


def test_what_is_wrong_is_said_with_the_nearest_name(folder):
    rows = log()
    scorer = pleiad.Scorer(folder, keep=["user"])
    with pytest.raises(pleiad.DataError, match='no column "city".*did you mean "citty"'):
        scorer(rows.rename_columns(["user", "age", "citty", "day", "tags"]))
    with pytest.raises(pleiad.DataError, match="no column 'user'; did you mean 'users'"):
        scorer(rows.rename_columns(["users", "age", "city", "day", "tags"]))
    with pytest.raises(pleiad.DataError, match='row 12001, column "age": "x" is not a number'):
        scorer(pa.table({**{n: pa.concat_arrays([rows[n].combine_chunks()] * 21) for n in ("user", "city", "day", "tags")},
                         "age": ["1"] * 12000 + ["x"] + ["1"] * 599}))
    with pytest.raises(pleiad.ConfigError, match="'click' would be there twice"):
        pleiad.Scorer(folder, keep=["click"])
    with pytest.raises(pleiad.ConfigError, match="there is no task"):
        pleiad.Scorer(folder, score={"clik": 1})
    with pytest.raises(TypeError, match=r"keep=\['user'\]"):
        pleiad.Scorer(folder, keep="user")
    with pytest.raises(ValueError, match="not fitted"):
        pleiad.Scorer(pleiad.Ranker())


def _elsewhere(scorer, rows):
    import pleiad._scorer as own

    opened = []
    first = own._pleiad.Scorer.open

    class Counted:
        @staticmethod
        def open(*args, **options):
            opened.append(options["threads"])
            return first(*args, **options)

    own._pleiad = type("Module", (), {**vars(own._pleiad), "Scorer": Counted})
    try:
        answers = [pickle.loads(pickle.dumps(scorer))(rows) for _ in range(3)]
    finally:
        own._pleiad = pleiad._pleiad
    return answers[0], opened


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_scorer_is_sent_and_opens_its_model_once_a_process(folder, start):
    rows = log()
    here = pleiad.Scorer(folder, score=True)
    there = here(rows)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
        found, opened = pool.submit(_elsewhere, here, rows).result()
        assert found.equals(there) and opened == [1]
        found, opened = pool.submit(_elsewhere, here, rows).result()
        assert found.equals(there) and opened == []


def test_a_sent_model_needs_no_disk_and_one_at_a_path_is_the_same_or_refused(folder, tmp_path):
    rows = log()
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    scorer = pleiad.Scorer(copy)
    sent = pickle.dumps(scorer)
    shared = pickle.dumps(pleiad.Scorer(copy, at=copy))
    assert len(shared) < 2000 < len(sent)
    pleiad._scorer._open.clear()
    assert pickle.loads(shared)(rows).equals(scorer(rows))
    shutil.rmtree(copy)
    pleiad._scorer._open.clear()
    assert pickle.loads(sent)(rows).equals(pleiad.Scorer(folder)(rows))
    pleiad._scorer._open.clear()
    with pytest.raises(FileNotFoundError, match="worker .*, process .*: there is no folder"):
        pickle.loads(shared)(rows)
    assert len(pickle.dumps(pleiad.Scorer(pleiad.Ranker.load(folder), at=folder))) < 2000
    other = pleiad.Ranker(SMALL, features=FEATURES, epochs=1, explanation=False, seed=2)
    other.fit(rows.drop_columns(["user"]), {"click": np.arange(600) % 2})
    other.save(copy)
    with pytest.raises(pleiad.DataError, match="worker .*, process .*: .* holds another model"):
        pickle.loads(shared)(rows)


def test_the_errors_of_a_worker_can_be_sent_back(folder):
    scorer = pickle.loads(pickle.dumps(pleiad.Scorer(folder)))
    with pytest.raises(pleiad.DataError) as raised:
        scorer(pa.table({"age": [1]}))
    back = pickle.loads(pickle.dumps(raised.value))
    assert type(back) is pleiad.DataError and "process" in str(back) and str(folder) in str(back)


def test_a_process_keeps_few_models_open(folder):
    rows = log()
    for power in range(1, 8):
        pleiad.Scorer(folder, score={"click": power})(rows)
    assert len(pleiad._scorer._open) == pleiad._scorer.KEPT_OPEN


def test_a_function_of_duckdb(folder, expected):
    duckdb = pytest.importorskip("duckdb")
    con = duckdb.connect()
    con.sql("SET threads = 2")
    con.register("arrow", log())
    con.sql("CREATE TYPE city AS ENUM ('Lagos', 'Lima', 'Oslo')")
    con.sql("CREATE TABLE candidates AS SELECT * REPLACE (city::city AS city) FROM arrow")
    call = pleiad.duckdb.register(con, folder, "predict", of="candidates", score=True)
    assert call == '"predict"("age", "city", "day", "tags")'
    found = con.sql(f"SELECT unnest({call}) FROM candidates ORDER BY user").to_arrow_table()
    assert found.column_names == ["score", "click", "watch"] and holds(found, expected)
    assert con.sql(f"SELECT {call} FROM candidates WHERE user < 0").fetchall() == []
    streamed = pleiad.Scorer(folder, keep=["user"]).stream(con.cursor().sql("SELECT * FROM candidates ORDER BY user"))
    best = con.sql("SELECT user FROM streamed ORDER BY click DESC, user LIMIT 1").fetchall()
    assert best == [(int(np.argmax(expected["click"])),)]
    con.sql("CREATE TABLE other AS SELECT age, city AS town, day, tags FROM arrow")
    with pytest.raises(pleiad.DataError, match="table 'other' has no column 'city', which the model reads; "):
        pleiad.duckdb.register(con, folder, "other_rank", of="other")


def test_datafusion_predicts_a_row_once_for_all_fields_and_never_another(folder, expected, monkeypatch):
    datafusion = pytest.importorskip("datafusion")
    ctx = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(2).with_batch_size(50))
    ctx.register_record_batches("candidates", [log().to_batches(max_chunksize=50)])
    scorer = pleiad.Scorer(folder, score=True, threads=1)
    rows = []
    first = pleiad.Scorer.__call__
    monkeypatch.setattr(pleiad.Scorer, "__call__", lambda self, part: (rows.append(part.num_rows), first(self, part))[1])
    call = pleiad.datafusion.register(ctx, scorer, "predict", of="candidates")
    fields = ", ".join(f"p['{name}'] AS {name}" for name in scorer.names)
    query = f"SELECT \"user\", {fields} FROM (SELECT \"user\", {call} AS p FROM candidates)"
    for _ in range(3):
        rows.clear()
        assert holds(pa.table(ctx.sql(query)).sort_by("user"), expected)
        assert sum(rows) == 600


def test_a_function_of_datafusion(folder, expected):
    datafusion = pytest.importorskip("datafusion")
    ctx = datafusion.SessionContext()
    rows = log()
    ctx.from_arrow(rows.set_column(2, "city", rows["city"].combine_chunks().cast(pa.string_view())), name="candidates")
    call = pleiad.datafusion.register(ctx, folder, "predict", of="candidates", score=True)
    query = f"SELECT {call}['click'] AS click, {call}['watch'] AS watch FROM candidates ORDER BY \"user\""
    assert holds(pa.table(ctx.sql(query)), expected)
    assert pa.table(ctx.sql(f"SELECT {call} FROM candidates WHERE \"user\" < 0")).num_rows == 0
    found = pleiad.Scorer(folder, keep=["user"]).stream(ctx.table("candidates")).read_all().sort_by("user")
    assert holds(found, expected)
    with pytest.raises(ValueError, match="beside it in SELECT"):
        pleiad.datafusion.register(ctx, folder, of="candidates", keep=["user"])


def test_decimals_are_numbers(folder):
    rows = log()
    ages = pa.array([None if age is None else decimal.Decimal(age) for age in rows["age"].to_pylist()])
    scorer = pleiad.Scorer(folder)
    assert scorer(rows.set_column(1, "age", ages)).equals(scorer(rows))
