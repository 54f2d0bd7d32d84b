"""Progress of a fit: a bar and a line an epoch on a terminal, a table in a notebook, lines alone in a pipe; and its warnings."""

from __future__ import annotations

import sys
import time
import warnings
from html import escape
from typing import Any, TextIO

#: Characters of a bar.
_BAR = 20


class Progress:
    """Shows epochs if ``verbose``; on a terminal and in a notebook also the progress of the current epoch."""

    def __init__(self, verbose: bool, to: TextIO | None = None, warn_at: int = 2) -> None:
        self.verbose = verbose
        self.to = to if to is not None else sys.stderr
        self.width = 0
        self.epochs: int | None = None
        self.began = 0.0
        self.before = 0
        self.epoch: int | None = None
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.warn_at = warn_at
        self.cell: Any = _cell() if verbose and to is None else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_line()
        # While the extension runs there is no line of the user's to name.
        for text in dict.fromkeys(self.warnings):
            warnings.warn(text, stacklevel=self.warn_at)

    def event(self, event: dict[str, Any]) -> None:
        """Shows an event."""
        if event["event"] == "warning":
            self.warnings.append(event["text"])
        if not self.verbose:
            return
        if event["event"] == "start":
            self.epochs, self.epoch = event["epochs"], None
        elif event["event"] == "epoch":
            self._end_line()
            record = event["record"]
            parts = [f"epoch {record['epoch']}/{self.epochs}", f"loss {record['loss']:.5f}"]
            if record.get("score") is not None:
                parts.append(f"valid {record['score']:.5f}" + (" *" if event["best"] else ""))
            self._line("  ".join(parts))
        elif event["event"] == "step" and (self.cell is not None or self.to.isatty()):
            self._step(event["epoch"], event["rows"], max(1, event["of"]))

    def _step(self, epoch: int, rows: int, of: int) -> None:
        now = time.monotonic()
        if epoch != self.epoch:
            # The first look at an epoch: its rate is known from the next one on.
            self.epoch, self.began, self.before = epoch, now, rows
        share, seconds, done = rows / of, now - self.began, rows - self.before
        bar = "#" * round(_BAR * share)
        text = f"epoch {epoch}/{self.epochs}  [{bar:<{_BAR}}] {share:4.0%}"
        if done > 0 and seconds > 0:
            rate = done / seconds
            text += f"  {rate:,.0f} rows/s  {(of - rows) / rate:.0f} s left"
        self._renew(text)

    def _line(self, text: str) -> None:
        if self.cell is None:
            print(text, file=self.to, flush=True)
        else:
            self.lines.append(text)
            self._renew("")

    def _renew(self, text: str) -> None:
        if self.cell is not None:
            from IPython.core.display import HTML

            self.cell.update(HTML(f"<pre>{escape(chr(10).join([*self.lines, text]).rstrip())}</pre>"))
            return
        print("\r" + text.ljust(self.width), end="", file=self.to, flush=True)
        self.width = len(text)

    def _end_line(self) -> None:
        if self.width:
            print("\r" + " " * self.width + "\r", end="", file=self.to, flush=True)
            self.width = 0


def _cell() -> Any:
    """The place below the cell of a notebook that is running, if one is."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if not shell or not hasattr(shell, "kernel"):
        return None
    from IPython.core.display import HTML
    from IPython.display import display

    return display(HTML("<pre></pre>"), display_id=True)
