"""``infer``: a first configuration from some rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _pleiad
from ._frames import rows_of


class Inferred:
    """What :func:`infer` sees in some rows.

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

    Examples
    --------
    >>> found = pleiad.infer({**x, "id": np.arange(400), "click": click}, ["click"])
    >>> len(found.features), [table["column"] for table in found.left_out]
    (2, ['id'])
    >>> found.tasks[0]["kind"], "[[feature]]" in found.toml
    ('binary', True)
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
        The rows, of which it looks at some.
    labels : list of str
        Label columns, each ``"click"``, or ``"share:click"`` if a share is only known of clicked rows. By default, columns
        that look like labels.
    beside : dict of arrays of shape (n,), optional
        Label columns that are not in the frame.

    Examples
    --------
    >>> found = pleiad.infer({**x, "click": click}, ["click"])
    >>> found
    Inferred(2 feature blocks for click; 0 columns left out)
    >>> pleiad.Ranker(small, features=found.features, epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """
    rows, _, _ = rows_of(frame)
    return Inferred(json.loads(_pleiad.infer(rows, dict(beside or {}), list(labels))))
