"""A saved model inside Spark and Ray Data. Both are large: these tests run where they are installed (docs/scale.md)."""

import datetime
import os
import sys

import numpy as np
import pyarrow as pa
import pytest

import pleiad
from test_scale import expected, folder, holds, log  # noqa: F401


@pytest.fixture(scope="module")
def spark():
    pytest.importorskip("pyspark")
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def frame(spark, rows):
    from pyspark.sql.types import ArrayType, DateType, LongType, StringType, StructType

    schema = StructType().add("user", LongType()).add("age", LongType()).add("city", StringType())
    schema = schema.add("day", DateType()).add("tags", ArrayType(StringType()))
    return spark.createDataFrame([tuple(row.values()) for row in rows.to_pylist()], schema)


@pytest.mark.parametrize("count, parts, large", [(600, 1, "false"), (600, 3, "true"), (20, 30, "false")])
def test_spark_gives_the_bits_of_the_ranker(spark, folder, expected, count, parts, large):  # noqa: F811
    import pleiad.spark

    spark.conf.set("spark.sql.execution.arrow.useLargeVarTypes", large)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 100)
    # 20 rows leave some of 30 partitions empty.
    rows = log().slice(0, count)
    df = frame(spark, rows).repartition(parts)
    found = pleiad.spark.score(df, folder, keep=["user", "tags"], score=True)
    assert [(field.name, field.dataType.simpleString()) for field in found.schema] == [
        ("user", "bigint"),
        ("tags", "array<string>"),
        ("score", "double"),
        ("click", "float"),
        ("watch", "float"),
    ]
    found = found.toArrow().sort_by("user")
    assert holds(found, {task: values[:count] for task, values in expected.items()})
    assert found["tags"].to_pylist() == rows["tags"].to_pylist()
    assert np.array_equal(found["score"].to_numpy(), pleiad.Ranker.load(folder).score_rows(rows))


def test_spark_has_no_rows_and_all_columns(spark, folder):  # noqa: F811
    import pleiad.spark

    df = frame(spark, log())
    found = pleiad.spark.score(df.filter("user < 0"), folder, keep=True, prefix="p_")
    assert found.columns == [*df.columns, "p_click", "p_watch"] and found.count() == 0


def test_spark_timestamps(spark):
    import pleiad.spark

    moments = [datetime.datetime(2026, 1, 1, hour % 4) for hour in range(200)]
    rows = pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC"))})
    features = [{"columns": ["at"], "kind": "categorical", "embedding": 2}]
    labels = {"click": [hour % 4 > 1 for hour in range(200)]}
    ranker = pleiad.Ranker(features=features, epochs=2, explanation=False, seed=1).fit(rows, labels)
    df = spark.range(200).selectExpr("id", "timestamp_seconds(1767225600 + id % 4 * 3600) AS at")
    found = pleiad.spark.score(df, ranker, keep=["id"]).toArrow().sort_by("id")
    assert len(set(found["click"].to_pylist())) == 4
    assert holds(found, ranker.predict_all(rows))


def test_spark_says_what_is_wrong_before_a_job_and_which_worker_failed(spark, folder):  # noqa: F811
    import pleiad.spark
    from pyspark.errors import PythonException

    df = frame(spark, log())
    with pytest.raises(pleiad.DataError, match="no column 'city', which the model reads; did you mean 'citty'"):
        pleiad.spark.score(df.withColumnRenamed("city", "citty"), folder)
    with pytest.raises(pleiad.DataError, match="no column 'usr'; did you mean 'user'"):
        pleiad.spark.score(df, folder, keep=["usr"])
    text = df.withColumn("age", df.city)
    with pytest.raises(PythonException, match=r'partition \d+, model .*, worker .*, process \d+: row \d+, column "age": "\w+" is not'):
        pleiad.spark.score(text, folder).collect()
    with pytest.raises(PythonException, match="there is no folder '/nowhere/model'"):
        pleiad.spark.score(df, folder, at="/nowhere/model").collect()


def test_a_worker_of_spark_opens_a_model_once(spark, folder):  # noqa: F811
    import pleiad.spark

    scorer = pleiad.Scorer(folder, score={"click": 3}, threads=1)  # a score that no test before has asked for

    def opened(batches):
        import pleiad._scorer as own

        before = len(own._open)
        for _ in scorer.batches(batches):
            pass
        yield pa.RecordBatch.from_pydict({"process": [os.getpid()], "new": [len(own._open) - before], "kept": [len(own._open)]})

    df = frame(spark, log()).repartition(8)
    found = df.mapInArrow(opened, "process long, new long, kept long").toArrow().to_pylist()
    processes = {row["process"] for row in found}
    assert len(found) == 8 > len(processes) and os.getpid() not in processes
    assert all(sum(row["new"] for row in found if row["process"] == process) <= 1 for process in processes)


def test_ray_gives_the_bits_of_the_ranker(ray, folder, expected):  # noqa: F811
    import pleiad.ray

    rows = ray.data.from_arrow([log().slice(0, 250), log().slice(250, 0), log().slice(250)])
    found = pleiad.ray.score(rows, folder, keep=["user", "tags"], score=True, concurrency=2, batch_size=64)
    table = pa.concat_tables(ray.get(found.to_arrow_refs())).sort_by("user")
    assert table.column_names == ["user", "tags", "score", "click", "watch"] and holds(table, expected)
    assert table["tags"].to_pylist() == log()["tags"].to_pylist()
    by_task = rows.map_batches(pleiad.Scorer(folder, keep=["user"]), batch_format="pyarrow")
    assert holds(pa.concat_tables(ray.get(by_task.to_arrow_refs())).sort_by("user"), expected)
    by_hand = rows.map_batches(
        pleiad.ray.Predictor, fn_constructor_args=(folder,), fn_constructor_kwargs={"keep": ["user"]}, batch_format="pyarrow"
    )
    assert holds(pa.concat_tables(ray.get(by_hand.to_arrow_refs())).sort_by("user"), expected)


def test_ray_says_what_is_wrong_before_a_job_and_which_worker_failed(ray, folder):  # noqa: F811
    import pleiad.ray

    with pytest.raises(pleiad.DataError, match='no column "city".*did you mean "citty"'):
        pleiad.ray.score(ray.data.from_arrow(log().rename_columns(["user", "age", "citty", "day", "tags"])), folder)
    text = ray.data.from_arrow(log().set_column(1, "age", pa.array(["x"] * 600)))
    with pytest.raises(Exception, match=r'worker .*, process \d+: row 1, column "age": "x" is not a number'):
        pleiad.ray.score(text, folder, concurrency=1).materialize()
