"""``compare``: several structures over several seeds, and which tasks gain and lose."""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _pleiad
from ._progress import Progress
from ._ranker import Ranker
from ._structures import Structure


class Comparison:
    """What a comparison found. In a notebook it shows itself as the report's pictures.

    Attributes
    ----------
    result : dict
        What ``compare.json`` says: models, metrics, gains with their intervals, verdicts.
    report : str
        ``report.html``, one document without network.

    Examples
    --------
    >>> models = {"alone": pleiad.SingleTask(bottom=[8], tower=[4]), "shared": small}
    >>> found = pleiad.compare(models, x, y, seeds=[1, 2], epochs=20, batch_size=32)
    >>> [model["name"] for model in found.result["models"]], found.report[:15]
    (['alone', 'shared'], '<!DOCTYPE html>')
    """

    def __init__(self, result: dict[str, Any], report: str) -> None:
        self.result = result
        self.report = report

    @property
    def answer(self) -> str:
        """Which models gain and lose on which tasks, in words.

        Examples
        --------
        >>> models = {"alone": pleiad.SingleTask(bottom=[8], tower=[4]), "shared": small}
        >>> found = pleiad.compare(models, x, y, seeds=[1, 2], epochs=20, batch_size=32)
        >>> isinstance(found.answer, str)
        True
        """
        return self.result["answer"]["text"]

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each model and task: mean over seeds of the task's main metric, gain over the baseline and its 95 %
        interval. A gain is positive where the model is better.

        Examples
        --------
        >>> models = {"alone": pleiad.SingleTask(bottom=[8], tower=[4]), "shared": small}
        >>> found = pleiad.compare(models, x, y, seeds=[1, 2], epochs=20, batch_size=32)
        >>> [(row["model"], row["task"]) for row in found.rows()]
        [('alone', 'click'), ('alone', 'watch'), ('shared', 'click'), ('shared', 'watch')]
        """
        rows = []
        for model in self.result["models"]:
            for task, found in model["tasks"].items():
                gain = found.get("gain") or {}
                low, high = gain.get("bounds") or (None, None)
                rows.append(
                    {
                        "model": model["name"],
                        "task": task,
                        "mean": (found.get("metric") or {}).get("mean"),
                        "gain": gain.get("mean"),
                        "low": low,
                        "high": high,
                    }
                )
        return rows

    def to_frame(self) -> Any:
        """:meth:`rows` as a data frame of pandas: a row for each model and task, the columns of :meth:`rows`.

        Examples
        --------
        >>> models = {"alone": pleiad.SingleTask(bottom=[8], tower=[4]), "shared": small}
        >>> found = pleiad.compare(models, x, y, seeds=[1, 2], epochs=20, batch_size=32)
        >>> found.to_frame().shape
        (4, 6)
        """
        import pandas

        return pandas.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        page = html.escape(self.report, quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:720px;border:0" title="comparison"></iframe>'

    def __repr__(self) -> str:
        return f"Comparison({self.answer!r})"


def compare(
    models: Mapping[str, Structure],
    X: Any,
    y: Any,
    *,
    baseline: str | None = None,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    ranker: Ranker | None = None,
    sample_weight: Any = None,
    sample_space: Mapping[str, Any] | None = None,
    eval_set: tuple[Any, Any] | None = None,
    test_set: tuple[Any, Any] | None = None,
    test_fraction: float | None = None,
    match_parameters: bool = False,
    out: str | os.PathLike[str] | None = None,
    verbose: bool = False,
    **params: Any,
) -> Comparison:
    """Compares structures on the same rows.

    Parameters
    ----------
    models : dict
        Structures by name, two or more.
    X, y, sample_weight, sample_space, eval_set
        As :meth:`Ranker.fit` takes them.
    baseline : str, optional
        The model that gains are measured against; the first by default.
    seeds : list of int
        Each model is trained with each of them; gains are paired by seed.
    ranker : Ranker, optional
        Its tasks, features and training are used; without it they are in ``params``.
    test_set, test_fraction
        The rows that models are measured on: other rows, or a share of X. By default a tenth of X.
    match_parameters : bool
        Whether widths are scaled until all models have the baseline's number of dense parameters.
    out : path, optional
        Folder of the comparison; an interrupted one goes on there. Without it nothing stays on disk.
    **params
        Parameters of :class:`Ranker`.

    Returns
    -------
    Comparison
        Gains with their intervals, and the answer in words.

    Examples
    --------
    >>> models = {"alone": pleiad.SingleTask(bottom=[8], tower=[4]), "shared": small}
    >>> found = pleiad.compare(models, x, y, seeds=[1, 2], epochs=20, batch_size=32)
    >>> [(row["model"], row["task"]) for row in found.rows() if row["gain"] is not None]
    [('shared', 'click'), ('shared', 'watch')]
    """
    if not models:
        raise ValueError("compare at least one model with another")
    base = ranker if ranker is not None else Ranker(**params)
    if ranker is not None and params:
        raise ValueError("give a ranker or its parameters, not both")
    config, parts, _, _ = base._prepare(X, y, sample_weight, sample_space, eval_set, test_set)
    del config["model"]
    if test_set is None:
        config["data"]["test"] = {"fraction": 0.1 if test_fraction is None else float(test_fraction)}
    config["compare"] = {
        "baseline": baseline if baseline is not None else next(iter(models)),
        "seeds": list(seeds),
        "match_parameters": match_parameters,
        "model": [{"name": name, **structure.to_config()} for name, structure in models.items()],
    }
    folder = tempfile.TemporaryDirectory(prefix="pleiad-") if out is None else None
    target = Path(folder.name) / "compared" if folder is not None else Path(out or ".")
    with Progress(verbose, warn_at=3) as progress:

        def event(text: str) -> None:
            progress.event(json.loads(text))

        result = _pleiad.compare(json.dumps(config), parts, target, threads=base.threads, callback=event)
    report = (target / "report.html").read_text(encoding="utf-8")
    if folder is not None:
        folder.cleanup()
    return Comparison(json.loads(result), report)
