"""What the README shows runs, and nothing in it is warned of."""

import re
import warnings
from pathlib import Path


def test_the_readme_runs():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", text, re.S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(shown, "README.md", "exec"), {})
