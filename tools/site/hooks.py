"""What the site does besides mkdocs: links to files outside of docs/, and pictures of diagrams."""

import hashlib
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# A link from a page of docs/ to a file elsewhere in the project, without an anchor.
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)\)")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)


def diagrams(markdown):
    """Each diagram's name, that of the heading above it, and its source."""
    for match in DIAGRAM.finditer(markdown):
        heading = re.findall(r"^#+ (.*)$", markdown[: match.start()], re.M)[-1]
        yield re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-"), match.group(1)


def mark(source):
    """The last line of a picture, which says of what it is one."""
    return f"<!-- {hashlib.sha256(source.encode()).hexdigest()} -->"


def place(target):
    """Where a file of the project lies on the site, and what is shown there."""
    if target.endswith(".ipynb"):
        # As `nbconvert --execute --to html --output-dir target/notebooks` has left it.
        executed = ROOT / "target/notebooks" / f"{Path(target).stem}.html"
        if executed.exists():
            return f"notebooks/{executed.name}", executed
    # As text, so that a browser shows it.
    return f"project/{target}.txt", ROOT / target


def on_files(files, config):
    linked = {
        target
        for page in files.documentation_pages()
        for target in OUTSIDE.findall(Path(page.abs_src_path).read_text(encoding="utf-8"))
    }
    for target in sorted(linked):
        path, shown = place(target)
        files.append(File.generated(config, path, abs_src_path=str(shown)))
    return files


def on_page_markdown(markdown, page, **_):
    markdown = OUTSIDE.sub(lambda link: f"]({place(link.group(1))[0]})", markdown)
    for name, source in diagrams(markdown):
        figure = ROOT / f"docs/figures/{name}.svg"
        if not figure.exists() or mark(source) not in figure.read_text(encoding="utf-8"):
            raise PluginError(f"{page.file.src_path}: the diagram of {name} has changed: tools/site/figures.py draws it anew")
        markdown = markdown.replace(f"```mermaid\n{source}```", f"![{name}](figures/{name}.svg){{ .diagram }}")
    return markdown


def on_page_content(html, **_):
    # Docstrings name what they mean by the roles that Python's own documentation has.
    return re.sub(r":(?:attr|class|exc|func|meth|mod):(?=<code)", "", html)
