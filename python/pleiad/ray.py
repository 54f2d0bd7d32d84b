"""Predictions within Ray Data, by ``Dataset.map_batches``: the extra ``pleiad[ray]``."""

from __future__ import annotations

from typing import Any

from ._scorer import Scorer, scorer_of

__all__ = ["Predictor", "score"]


class Predictor:
    """The class that ``map_batches`` makes once in each worker.

    ``rows.map_batches(pleiad.ray.Predictor, fn_constructor_args=("run/model",), batch_format="pyarrow", ...)`` lets
    you choose every option; workers then open the folder by its path. :func:`score` sends the model with the job.

    Parameters
    ----------
    model : path, Ranker or Scorer
        The model.
    **options
        Those of :class:`pleiad.Scorer`. ``threads`` is 1 by default: Ray starts a worker for each core.

    Examples
    --------
    >>> import pyarrow, pleiad.ray
    >>> pleiad.ray.Predictor(ranker, keep=["city"])(pyarrow.table(x)).column_names
    ['city', 'click', 'watch']
    """

    def __init__(self, model: Any, **options: Any) -> None:
        self.scorer = scorer_of(model, options, threads=1).open()

    def __call__(self, batch: Any) -> Any:
        """The batch with its predictions, a ``pyarrow.Table``."""
        return self.scorer(batch)


def score(
    rows: Any, model: Any, *, concurrency: int | None = None, batch_size: int = 8192, num_cpus: float = 1, **options: Any
) -> Any:
    """A data set of Ray with predictions: its kept columns, the score, and a column for each task.

    Parameters
    ----------
    rows : ray.data.Dataset
        Rows with the columns of the model.
    model : path, Ranker or Scorer
        The folder of a saved model as this process sees it, a fitted ranker, or a scorer.
    concurrency : int, optional
        Number of workers, each with the model open for as long as the job lasts. By default one for each core of the cluster.
    batch_size : int
        Rows that a worker gets at once.
    num_cpus : float
        Cores of a worker.
    **options
        Those of :class:`pleiad.Scorer`: ``keep``, ``score``, ``prefix``, ``threads``, ``at``.

    Examples
    --------
    >>> import pyarrow, ray, pleiad.ray
    >>> rows = ray.data.from_arrow(pyarrow.table(x))
    >>> pleiad.ray.score(rows, ranker, concurrency=1).count()
    400
    >>> ray.shutdown()
    """
    import pyarrow
    import ray

    scorer = scorer_of(model, options)
    schema = rows.schema()
    schema = getattr(schema, "base_schema", schema)
    if isinstance(schema, pyarrow.Schema):
        # What is missing, or of a type that no model reads, is said here rather than by a worker.
        scorer.output_schema(schema)
    if concurrency is None:
        concurrency = max(1, int(ray.cluster_resources().get("CPU", 1) // max(num_cpus, 1e-9)))
    return rows.map_batches(
        Predictor,
        fn_constructor_args=(scorer,),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(size=concurrency),
        num_cpus=num_cpus,
    )
