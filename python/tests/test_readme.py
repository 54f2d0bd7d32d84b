"""What the README and the documents show runs, and nothing in the README is warned of."""

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


def test_the_readme_runs():
    text = (HERE / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", text, re.S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(shown, "README.md", "exec"), {})


@pytest.mark.parametrize("name", ["scale.md", "tracking.md"])
def test_a_document_runs(name, tmp_path):
    """Block after block; one whose engine is not installed is left out."""
    text = (HERE.parent / "docs" / name).read_text(encoding="utf-8")
    blocks = []
    for shown in re.findall(r"```python\n(.*?)```", text, re.S):
        needed = re.findall(r"^(?:import|from) (pyspark|ray|duckdb|datafusion|mlflow)\b", shown, re.M)
        if all(importlib.util.find_spec(module) for module in needed):
            blocks.append(shown)
    assert len(blocks) >= 3
    # In a process of its own: engines that other tests have started look for files where those were started, and MLflow leaves
    # its store and experiment in the environment.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
