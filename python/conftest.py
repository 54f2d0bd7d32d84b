"""What the examples of docstrings stand on: the block at the top of docs/python.md, run once, and an empty folder for each."""

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shown():
    """The names that docs/python.md says every example knows."""
    page = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", page, re.S)
    assert block is not None
    names = {"__name__": "docs"}
    exec(compile(block.group(1), "docs/python.md", "exec"), names)
    return names


@pytest.fixture(scope="session")
def tracked(tmp_path_factory):
    """One store of MLflow for all examples: a new one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracked')}/mlflow.db"


@pytest.fixture(autouse=True)
def _example(request):
    """An example whose library is not installed is left out, as the tests of that library are."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    for example in request.node.dtest.examples:
        for modules in re.findall(r"^(?:from|import) (.*?)(?: import .*)?$", example.source, re.M):
            for module in modules.split(", "):
                pytest.importorskip(module.split(" as ")[0])
    names, change = request.getfixturevalue("doctest_namespace"), request.getfixturevalue("monkeypatch")
    names.update(request.getfixturevalue("shown"))
    change.chdir(request.getfixturevalue("tmp_path"))
    change.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("tracked"))
