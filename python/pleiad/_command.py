"""The command ``pleiad``, which the wheel installs."""

from __future__ import annotations

import signal
import sys

from . import _pleiad


def main() -> int:
    """Runs the command of ``sys.argv``; gives its exit code."""
    # Ctrl-C is the command's own to handle: it ends a training in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _pleiad.run_command(["pleiad", *sys.argv[1:]])
