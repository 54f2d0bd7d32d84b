"""``Explained``: what the gates and experts of a model do on rows."""

from __future__ import annotations

import json
from html import escape
from typing import Any


class Explained:
    """What :meth:`Ranker.explain` sees.

    Attributes
    ----------
    gates : list of dict
        One for each gate and expert, in the order of the structure: ``gate``, ``expert``, and of the expert's weights over the rows
        ``mean``, ``sd``, ``min`` and ``max``. The weights of a gate sum up to 1 in each row. Empty for a structure without gates.
    experts : list of dict
        What each expert gives: the range of its outputs over the rows.
    alarms : list of dict
        What is wrong: a gate that has collapsed onto one expert, an expert that gives nothing, and the like.

    Examples
    --------
    >>> seen = ranker.explain(x)
    >>> sorted(seen.gates[0]), len(seen.experts)
    (['expert', 'gate', 'max', 'mean', 'min', 'sd'], 2)
    """

    def __init__(self, seen: str | dict[str, Any]) -> None:
        found = json.loads(seen) if isinstance(seen, str) else seen
        self.gates: list[dict[str, Any]] = [
            {"gate": gate["gate"], **expert} for gate in found["gates"] for expert in gate["experts"]
        ]
        self.experts: list[dict[str, Any]] = found["experts"]
        self.alarms: list[dict[str, Any]] = found["alarms"]

    def to_frame(self) -> Any:
        """``gates`` as a data frame of pandas, a row for each gate and expert.

        Examples
        --------
        >>> ranker.explain(x).to_frame().shape
        (4, 6)
        """
        import pandas

        return pandas.DataFrame(self.gates)

    def __repr__(self) -> str:
        if not self.gates:
            return "Explained(no gates)"
        width = max(len(f"{row['gate']}  {row['expert']}") for row in self.gates)
        lines = []
        for row in self.gates:
            name = f"{row['gate']}  {row['expert']}"
            lines.append(f"{name:<{width}}  {row['mean']:.3f}  {'#' * round(30 * row['mean'])}".rstrip())
        lines += [alarm["text"] for alarm in self.alarms]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(row['gate'])}</td><td>{escape(row['expert'])}</td><td>{row['mean']:.3f}</td>"
            f'<td style="text-align:left"><div style="background:#4477aa;height:0.8em;width:{12 * row["mean"]:.2f}em"></div></td></tr>'
            for row in self.gates
        )
        alarms = "".join(f"<p>{escape(alarm['text'])}</p>" for alarm in self.alarms)
        head = "<tr><th>gate</th><th>expert</th><th>mean weight</th><th></th></tr>"
        return f"<table>{head}{rows}</table>{alarms}" if self.gates else "<p>This structure has no gates.</p>"
