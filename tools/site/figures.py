"""Draws the diagrams of docs/ anew for the site.  python figures.py MMDC [OPTIONS OF MMDC]

Repositories' pages draw blocks of `mermaid` by themselves. The site has pictures of them, docs/figures/NAME.svg, named
after the heading above the block. MMDC is mermaid-cli (npm install @mermaid-js/mermaid-cli). Building the site needs
this script only where a diagram has changed, and says so.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from hooks import ROOT, diagrams, mark

CONFIG = {"theme": "neutral", "htmlLabels": False, "flowchart": {"htmlLabels": False, "curve": "linear"}}


def main():
    figures = ROOT / "docs/figures"
    figures.mkdir(exist_ok=True)
    for page in sorted((ROOT / "docs").glob("*.md")):
        for name, source in diagrams(page.read_text(encoding="utf-8")):
            figure = figures / f"{name}.svg"
            if figure.exists() and mark(source) in figure.read_text(encoding="utf-8"):
                continue
            with tempfile.TemporaryDirectory() as folder:
                folder = Path(folder)
                (folder / "in.mmd").write_text(source, encoding="utf-8")
                (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
                command = [*sys.argv[1:], "-i", folder / "in.mmd", "-o", folder / "out.svg", "-c", folder / "config.json"]
                subprocess.run([*command, "-b", "transparent"], check=True, stdout=subprocess.DEVNULL)
                drawn = (folder / "out.svg").read_text(encoding="utf-8")
            # A hundredth of a pixel is enough.
            drawn = re.sub(r"(\d+\.\d\d)\d+", r"\1", drawn)
            figure.write_text(f"{drawn}\n{mark(source)}\n", encoding="utf-8")
            print(figure.relative_to(ROOT))


if __name__ == "__main__":
    main()
