"""Runs what the documents show.  python snippets.py PLEIAD [PAGE ...]

Each page gets an empty folder, and its blocks run there from top to bottom: `sh` by bash with PLEIAD as the command
`pleiad`, `python` in one namespace (with the module `pleiad` of this interpreter), `toml` is checked by the JSON Schema of
the configuration, as far as it is one, `yaml` by the schemas of Kubernetes, in which no key is unknown. Comments right above a block change that; readers do not see them:

    <!-- setup: COMMANDS -->     are run by bash before the block
    <!-- file: NAME -->          the block is written to NAME
    <!-- append: NAME -->        and here behind what NAME holds
    <!-- not run: REASON -->     the block is left alone
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import traceback
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"((?:^<!--(?:(?!-->).)*-->\n)*)^```([a-z,]+)\n(.*?)^```$", re.M | re.S)
COMMENT = re.compile(r"<!-- (setup|file|append|not run): (.*?) -->", re.S)
# A block of these languages shows what is printed or written, and nothing that runs.
SHOWN = {"text", "json", "mermaid"}
# The commands of these pages measure: hours, large files, other packages.
MEASURED = {"performance.md", "quality.md", "quickstart.md", "reliability.md", "reproduction.md"}
# The wheel's own tests run these, where Spark and the other engines are.
TESTED = {"scale.md", "tracking.md"}
KUBERNETES = "1.37"


class Page:
    """A page's folder and what its Python blocks have defined."""

    def __init__(self, path, pleiad, schema):
        self.path, self.schema = path, schema
        self.namespace = {"__name__": "__main__"}
        self.environment = {**os.environ, "PATH": f"{pleiad.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self.run = self.left = 0

    def shell(self, code):
        command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")

    def block(self, comments, language, code, line):
        said = dict(COMMENT.findall(comments))
        if language in SHOWN or "not run" in said or self.path.name in TESTED or (language == "sh" and self.path.name in MEASURED):
            self.left += language not in SHOWN
            return
        if "setup" in said:
            self.shell(said["setup"])
        for how, mode in ("file", "w"), ("append", "a"):
            if how in said:
                with open(said[how], mode, encoding="utf-8") as file:
                    file.write(code)
        if language == "sh":
            self.shell(code)
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * line + code, str(self.path), "exec"), self.namespace)
        elif language == "toml":
            self.toml(code)
        elif language == "yaml":
            for document in yaml.safe_load_all(code):
                kubernetes_validate.validate(document, KUBERNETES, strict=True)
        else:
            raise ValueError(f"nothing runs a block of `{language}`: say why above it, <!-- not run: REASON -->")
        self.run += 1

    def toml(self, code):
        """A part of a configuration may leave out what others need: a block without `[model]` is no error."""
        document = tomllib.loads(code)
        if "kind" in document:
            document = {"model": document}
        for name, part in document.items():
            if name not in self.schema["properties"]:
                raise ValueError(f"the configuration has no key `{name}`")
            part_schema = {**self.schema["properties"][name], "$defs": self.schema.get("$defs", {})}
            jsonschema.validate(part, part_schema)


def main():
    pleiad = Path(sys.argv[1]).resolve()
    default = [ROOT / "README.md", ROOT / "python/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages = [Path(page).resolve() for page in sys.argv[2:]] or default
    schema = json.loads(subprocess.run([pleiad, "schema"], check=True, capture_output=True, text=True).stdout)
    failed = 0
    for path in pages:
        text, page = path.read_text(encoding="utf-8"), Page(path, pleiad, schema)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for match in BLOCK.finditer(text):
                line = text.count("\n", 0, match.start(3))
                try:
                    page.block(*match.groups(), line)
                except Exception as error:
                    failed += 1
                    print(f"{path.relative_to(ROOT)}:{line}: {''.join(traceback.format_exception_only(error))}", flush=True)
        print(f"{path.relative_to(ROOT)}: {page.run} blocks run, {page.left} left alone", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
