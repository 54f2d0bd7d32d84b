"""What a person sees of a fit, on a terminal, in a pipe and in a notebook."""

import io
import sys

import pleiad
from pleiad._progress import Progress
from test_ranker import log, ranker


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(to):
    with Progress(True, to) as progress:
        progress.event({"event": "start", "epochs": 2, "rows": 100, "done": 0})
        for rows in (10, 50, 90):
            progress.event({"event": "step", "epoch": 1, "rows": rows, "of": 100})
        progress.event({"event": "epoch", "best": True, "record": {"epoch": 1, "loss": 0.5, "score": 0.75}})
    return to.getvalue()


def test_a_terminal_has_a_bar_with_rate_and_time_left():
    text = shown(Terminal())
    assert "[##########          ]  50%" in text and "rows/s" in text and "s left" in text
    assert text.endswith("epoch 1/2  loss 0.50000  valid 0.75000 *\n")


def test_a_pipe_has_lines_alone():
    assert shown(io.StringIO()) == "epoch 1/2  loss 0.50000  valid 0.75000 *\n"


def test_a_notebook_has_a_place_that_is_renewed(monkeypatch):
    class Html(str):
        pass

    class Place:
        shown = []

        def update(self, html):
            self.shown.append(html)

    class Shell:
        kernel = object()

    class Display:
        HTML = Html

        @staticmethod
        def display(html, display_id):
            assert display_id
            return Place()

    class IPython:
        display = Display

        @staticmethod
        def get_ipython():
            return Shell()

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    for module in ("IPython.display", "IPython.core", "IPython.core.display"):
        monkeypatch.setitem(sys.modules, module, Display)
    x, y = log(300)
    ranker(verbose=True).fit(x, y)
    assert Place.shown[-1].count("epoch ") == 4 and Place.shown[-1].startswith("<pre>")


def test_nothing_is_shown_unless_asked_for(capsys):
    x, y = log(300)
    ranker().fit(x, y)
    assert capsys.readouterr() == ("", "")
    assert pleiad.Ranker().verbose is False
