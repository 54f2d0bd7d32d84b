#!/usr/bin/env python3
"""Scores the same rows by the command and inside Spark, Ray Data, DuckDB and DataFusion: every bit has to be the same. Prints rows/s
per core of each, and what a job of 1,000 rows takes: the part that does not grow with the rows.

    pip install './python[spark,ray,duckdb,datafusion]'
    tools/scale/check.py target/release/pleiad --rows 1000000 --cores 2

Engines that are not installed are left out, and the output says so. `--engines spark,ray` takes some.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pleiad

KEEP = ["user_id", "video_id"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "video.toml"


def command(binary, *words, cores):
    """Seconds that a command of the binary takes."""
    start = time.perf_counter()
    subprocess.run([binary, *map(str, words), "--quiet", "--threads", str(cores)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def by_scorer(folder, rows, out, cores):
    """This process alone, from file to file."""
    scorer = pleiad.Scorer(folder, keep=KEEP, score=True, threads=cores)
    with scorer.stream(pq.ParquetFile(rows).iter_batches(batch_size=65536), schema=pq.read_schema(rows)) as reader:
        with pq.ParquetWriter(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


@contextlib.contextmanager
def spark_of(cores):
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master(f"local[{cores}]").appName("pleiad").config("spark.ui.enabled", "false")
    spark = session.config("spark.sql.shuffle.partitions", cores).config("spark.driver.memory", "2g").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def by_spark(spark, folder, rows, out, cores):
    import pleiad.spark

    df = spark.read.parquet(str(rows))
    pleiad.spark.score(df, folder, keep=KEEP, score=True).write.mode("overwrite").parquet(str(out))


@contextlib.contextmanager
def ray_of(cores):
    import ray

    # One core of the workers' is left out for reading: map_batches holds its cores for as long as it runs.
    ray.init(num_cpus=cores + 1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()


def by_ray(ray, folder, rows, out, cores):
    import pleiad.ray

    # A small file would be one block, and one worker would have all the work.
    read = ray.data.read_parquet(str(rows)).repartition(4 * cores)
    pleiad.ray.score(read, folder, keep=KEEP, score=True, concurrency=cores).write_parquet(str(out))


@contextlib.contextmanager
def duckdb_of(cores):
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads = {cores}")
    yield con
    con.close()


def by_duckdb(con, folder, rows, out, cores):
    import pleiad.duckdb

    con.execute(f"CREATE OR REPLACE VIEW candidates AS SELECT * FROM read_parquet('{rows}')")
    name = f"predict{time.monotonic_ns()}"
    call = pleiad.duckdb.register(con, folder, name, of="candidates", score=True)
    con.execute(f"COPY (SELECT {', '.join(KEEP)}, unnest({call}) FROM candidates) TO '{out}' (FORMAT parquet)")


@contextlib.contextmanager
def datafusion_of(cores):
    import datafusion

    yield datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(cores))


def by_datafusion(ctx, folder, rows, out, cores):
    import pleiad.datafusion

    with contextlib.suppress(Exception):
        ctx.deregister_table("candidates")
    ctx.register_parquet("candidates", str(rows))
    scorer = pleiad.Scorer(folder, score=True, threads=1)
    call = pleiad.datafusion.register(ctx, scorer, "predict", of="candidates")
    names = ", ".join(f"p['{name}'] AS {name}" for name in scorer.names)
    ctx.sql(f"SELECT {', '.join(KEEP)}, {names} FROM (SELECT {', '.join(KEEP)}, {call} AS p FROM candidates)").write_parquet(str(out))


ENGINES = {
    "spark": ("pyspark", spark_of, by_spark),
    "ray": ("ray", ray_of, by_ray),
    "duckdb": ("duckdb", duckdb_of, by_duckdb),
    "datafusion": ("datafusion", datafusion_of, by_datafusion),
}


def table_of(path):
    """A table in an order that depends on its rows alone."""
    table = pq.read_table(path)
    table = pa.table({name: table.column(name).combine_chunks() for name in table.column_names})
    order = np.lexsort([table[name].to_numpy() for name in reversed(table.column_names)])
    return table.take(order)


def same(found, expected):
    if found.column_names != expected.column_names or found.num_rows != expected.num_rows:
        return f"{found.num_rows} rows of {found.column_names}"
    for name in expected.column_names:
        one, other = found[name].to_numpy(), expected[name].to_numpy()
        if one.dtype != other.dtype:
            return f"{name} is {one.dtype}, not {other.dtype}"
        if one.tobytes() != other.tobytes():
            return f"{name} differs in {(one != other).sum()} rows"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the command pleiad, as it is released")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    options = parser.parse_args()
    cores, binary, failed = options.cores, options.binary.resolve(), False

    with tempfile.TemporaryDirectory(prefix="pleiad-scale-") as folder, contextlib.ExitStack() as stack:
        here = Path(folder)
        command(binary, "synth", "video", "--rows", 60000, "--seed", 2, "--out", here / "log.parquet", cores=cores)
        (here / "video.toml").write_text(EXAMPLE.read_text())
        sets = ["--set", "train.epochs=1", "--set", "rank.score.click=1", "--set", "rank.score.completion=0.5"]
        command(binary, "train", here / "video.toml", "--out", here / "run", *sets, cores=cores)
        model, rows = here / "run" / "model", here / "rows.parquet"
        command(binary, "synth", "video", "--rows", options.rows, "--seed", 1, "--out", rows, cores=cores)
        few = here / "few.parquet"
        command(binary, "synth", "video", "--rows", 1000, "--seed", 3, "--out", few, cores=cores)
        keep = ["--score", "--keep", ",".join(KEEP)]

        runs = {
            "pleiad predict": lambda rows, out: command(
                binary, "predict", model, "--data", rows, "--out", out, *keep, cores=cores
            ),
            "pleiad.Scorer": lambda rows, out: by_scorer(model, rows, out, cores),
        }
        for name in options.engines.split(","):
            module, start, work = ENGINES[name]
            try:
                __import__(module)
            except ImportError:
                print(f"{name}: {module} is not installed, left out", file=sys.stderr)
                continue
            engine = stack.enter_context(start(cores))
            runs[name] = lambda rows, out, work=work, engine=engine: work(engine, model, rows, out, cores)

        seconds, least, expected = {name: [] for name in runs}, {name: [] for name in runs}, None
        for round in range(options.rounds):
            for name, work in runs.items():
                for taken, of in ((least, few), (seconds, rows)):
                    out = here / f"{name.split()[-1].split('.')[-1]}-{of.stem}-{round}.parquet"
                    start = time.perf_counter()
                    work(of, out)
                    taken[name].append(time.perf_counter() - start)
                if round > 0:
                    continue
                found = table_of(out)
                expected = found if expected is None else expected
                problem = same(found, expected)
                if problem is not None:
                    failed = True
                    print(f"{name}: other predictions than the command's: {problem}", file=sys.stderr)
        print(f"{options.rows} rows, {cores} cores, median of {options.rounds}: file to file, the engine already started")
        print("| | seconds | rows/s per core | of the command's | seconds of 1,000 rows |\n| --- | --- | --- | --- | --- |")
        base = np.median(seconds["pleiad predict"])
        for name, taken in seconds.items():
            median, fixed = np.median(taken), np.median(least[name])
            print(f"| {name} | {median:.2f} | {options.rows / median / cores:,.0f} | {base / median:.0%} | {fixed:.2f} |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
