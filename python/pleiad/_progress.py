"""Progress of a fit, a line an epoch, and its warnings."""

from __future__ import annotations

import sys
import warnings
from typing import Any, TextIO


class Progress:
    """Prints epochs where asked for; on a terminal also the share of the epoch that is done."""

    def __init__(self, verbose: bool, to: TextIO | None = None, warn_at: int = 2) -> None:
        self.verbose = verbose
        self.to = to if to is not None else sys.stderr
        self.open = False
        self.epochs: int | None = None
        self.warnings: list[str] = []
        self.warn_at = warn_at

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
            self.epochs = event["epochs"]
        elif event["event"] == "epoch":
            self._end_line()
            record = event["record"]
            parts = [f"epoch {record['epoch']}/{self.epochs}", f"loss {record['loss']:.5f}"]
            if record.get("score") is not None:
                parts.append(f"valid {record['score']:.5f}" + (" *" if event["best"] else ""))
            print("  ".join(parts), file=self.to, flush=True)
        elif event["event"] == "step" and self.to.isatty():
            share = event["rows"] / max(1, event["of"])
            print(f"\repoch {event['epoch']}: {share:6.1%}", end="", file=self.to, flush=True)
            self.open = True

    def _end_line(self) -> None:
        if self.open:
            print("\r" + " " * 24 + "\r", end="", file=self.to, flush=True)
            self.open = False
