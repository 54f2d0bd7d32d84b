"""Callbacks of a fit: ``Ranker.fit(..., callback=pleiad.callbacks.Log(run))``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["All", "Log", "metrics_of", "params_of"]


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch by name: ``loss``, ``loss/click``, ``valid/click/auc``, ``learning_rate``, ...

    What is not known of an epoch, such as the AUC of rows with one class, is left out. ``epoch`` is the step and no metric.

    Examples
    --------
    >>> [name for name in pleiad.callbacks.metrics_of(ranker.history_[0]) if name.startswith("loss")]
    ['loss', 'loss/click', 'loss/watch']
    """
    found: dict[str, float] = {}
    for name, value in record.items():
        if name == "task_losses":
            _flatten("loss", value, found)
        elif name == "task_weights":
            _flatten("weight", value, found)
        elif name == "valid" and value is not None:
            tasks = value.get("tasks", {})
            _flatten(name, {**{key: of for key, of in value.items() if key != "tasks"}, **tasks}, found)
        elif name != "epoch":
            _flatten(name, value, found)
    return found


def params_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration by name: ``train.epochs``, ``model.kind``, ...; lists and tables within them as JSON.

    Examples
    --------
    >>> settings = pleiad.callbacks.params_of(ranker.config_)
    >>> settings["model.kind"], settings["train.epochs"], settings["tasks"]
    ('mmoe', 20, 'click, watch')
    """
    found: dict[str, Any] = {}
    for block in ("model", "train", "interaction", "rank", "metrics"):
        for name, value in (config.get(block) or {}).items():
            found[f"{block}.{name}"] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    found["tasks"] = ", ".join(task["name"] for task in config.get("task", []))
    found["features"] = len(config.get("feature", []))
    return found


def _flatten(name: str, value: Any, into: dict[str, float]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten(f"{name}/{key}", inner, into)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        into[name] = float(value)


class Log:
    """Passes the metrics of each epoch to an object with ``log(metrics, step=epoch)``: a run of Weights & Biases, or your own.

    Parameters
    ----------
    run : object
        An object with the method ``log``. If it also has ``config`` with ``update``, it gets the settings.
    prefix : str
        What the names of metrics start with.

    Examples
    --------
    >>> class Run:
    ...     def log(self, metrics, step):
    ...         print(step, sorted(metrics))
    >>> log = pleiad.callbacks.Log(Run())
    >>> log({"event": "epoch", "best": True, "record": {"epoch": 1, "loss": 0.7, "task_losses": {"click": 0.7}}})
    1 ['loss', 'loss/click']
    """

    def __init__(self, run: Any, prefix: str = "") -> None:
        if not callable(getattr(run, "log", None)):
            raise TypeError(f"{type(run).__name__} has no method log(metrics, step=...)")
        self.run = run
        self.prefix = prefix

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event of :meth:`pleiad.Ranker.fit`."""
        if event["event"] == "epoch":
            metrics = metrics_of(event["record"])
            self.run.log({self.prefix + name: value for name, value in metrics.items()}, step=event["record"]["epoch"])
        elif event["event"] == "config":
            update = getattr(getattr(self.run, "config", None), "update", None)
            if callable(update):
                update(params_of(event["config"]))


class All:
    """Several callbacks as one, called in their order.

    Examples
    --------
    >>> seen = []
    >>> both = pleiad.callbacks.All(lambda event: seen.append(event["event"]), lambda event: None)
    >>> fit = pleiad.Ranker(small, epochs=20, batch_size=32).fit(x, y, callback=both)
    >>> seen[0], seen.count("epoch")
    ('config', 20)
    """

    def __init__(self, *callbacks: Callable[[dict[str, Any]], None]) -> None:
        self.callbacks = callbacks

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes an event of :meth:`pleiad.Ranker.fit`."""
        for callback in self.callbacks:
            callback(event)
