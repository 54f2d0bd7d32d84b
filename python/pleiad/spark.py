"""Predictions within Spark, by ``DataFrame.mapInArrow``: the extra ``pleiad[spark]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ._pleiad import ConfigError, DataError, RunError
from ._scorer import Scorer, nearest, scorer_of

__all__ = ["score"]


class _Partition:
    """The function of a partition: its errors say which."""

    def __init__(self, scorer: Scorer, columns: list[str]) -> None:
        self.scorer = scorer
        self.columns = columns

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        try:
            yield from self.scorer.batches(batches)
        except (ConfigError, DataError, RunError, FileNotFoundError) as error:
            from pyspark import TaskContext

            context = TaskContext.get()
            if context is None:
                raise
            raise type(error)(f"partition {context.partitionId()}, {error}") from error


def score(df: Any, model: Any, **options: Any) -> Any:
    """A data frame of Spark with predictions: its kept columns, the score, and a column for each task.

    The model is opened once in each Python worker, and is computed there on one thread: Spark starts a worker for each core. Only
    columns that the model reads and those that are kept go to the workers.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Rows with the columns of the model.
    model : path, Ranker or Scorer
        The folder of a saved model as the driver sees it, a fitted ranker, or a scorer.
    **options
        Those of :class:`pleiad.Scorer`: ``keep``, ``score``, ``prefix``, ``threads``, ``at``.

    Examples
    --------
    >>> import pandas, pleiad.spark
    >>> from pyspark.sql import SparkSession
    >>> spark = SparkSession.builder.master("local[1]").getOrCreate()
    >>> people = spark.createDataFrame(pandas.DataFrame(x))
    >>> pleiad.spark.score(people, ranker, keep=["city"]).columns
    ['city', 'click', 'watch']
    >>> spark.stop()
    """
    from pyspark.sql.types import DoubleType, FloatType, StructField, StructType

    scorer = scorer_of(model, options)
    for column in scorer.columns:
        if column not in df.columns:
            raise DataError(f"the data frame has no column {column!r}, which the model reads{nearest(column, df.columns)}")
    kept = df.columns if scorer.keep is True else scorer._kept(df.columns)
    wanted = list(dict.fromkeys([*kept, *scorer.columns]))
    for column in wanted:
        if df.columns.count(column) > 1:
            raise ValueError(f"the data frame has two columns {column!r}; drop or rename one of them")
    selected = df.select(*[f"`{column.replace('`', '``')}`" for column in wanted])
    # A type that no model reads is said here rather than by a worker.
    scorer.output_schema(_arrow_schema(selected.schema))
    fields = [selected.schema[column] for column in kept]
    if scorer._score:
        fields.append(StructField(scorer.names[0], DoubleType()))
    fields += [StructField(name, FloatType()) for name in scorer.names[-len(scorer.tasks) :]]
    return selected.mapInArrow(_Partition(scorer, wanted), StructType(fields))




def _arrow_schema(schema: Any) -> Any:
    """The types that a function of ``mapInArrow`` gets."""
    from pyspark.sql.pandas.types import to_arrow_schema

    try:
        return to_arrow_schema(schema, timezone="UTC")
    except TypeError:  # before Spark 4
        return to_arrow_schema(schema)
