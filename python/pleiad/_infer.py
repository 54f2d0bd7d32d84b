"""``infer``: a first configuration from some rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _pleiad
from ._frames import rows_of


class Inferred:
    """What is to be seen in some rows.

    Attributes
    ----------
    toml : str
        A configuration with comments that say why each setting was chosen. ``[data]`` still has to name files.
    features : list of dict
        Tables ``[[feature]]``, as :class:`Ranker` takes them.
    tasks : list of dict
        Tables ``[[task]]``.
    left_out : list of dict
        Columns that are no features, each with the reason: ``{"column": ..., "reason": ...}``.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.toml: str = found["toml"]
        self.features: list[dict[str, Any]] = found["config"].get("feature", [])
        self.tasks: list[dict[str, Any]] = found["config"].get("task", [])
        self.left_out: list[dict[str, str]] = found["left_out"]

    def __repr__(self) -> str:
        names = ", ".join(task["name"] for task in self.tasks)
        return f"Inferred({len(self.features)} feature blocks for {names}; {len(self.left_out)} columns left out)"


def infer(frame: Any, labels: Sequence[str] = (), *, beside: Mapping[str, Any] | None = None) -> Inferred:
    """Chooses features, and tasks where none are named, for the columns of a frame.

    Parameters
    ----------
    frame : data frame, Arrow table, dict of columns, or matrix
        The rows, of which some are looked at.
    labels : list of str
        Label columns, each ``"click"``, or ``"share:click"`` where a share is only known of clicked rows. Without them columns
        that look like labels are taken.
    beside : dict of arrays, optional
        Label columns that are not in the frame.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> frame = {"age": rng.normal(40, 12, 500), "city": rng.choice(["a", "b"], 500), "click": rng.integers(0, 2, 500)}
    >>> [task["name"] for task in infer(frame, ["click"]).tasks]
    ['click']
    """
    rows, _, _ = rows_of(frame)
    return Inferred(json.loads(_pleiad.infer(rows, dict(beside or {}), list(labels))))
