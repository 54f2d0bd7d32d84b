"""Everything public has a docstring with an example that runs: the run itself is pytest's, by --doctest-modules."""

import doctest
import importlib
import pkgutil

import pytest

import pleiad

MODULES = ["pleiad", *(f"pleiad.{found.name}" for found in pkgutil.iter_modules(pleiad.__path__) if not found.name.startswith("_"))]
#: What a class has to say for itself, besides functions.
PARTS = (property, classmethod, staticmethod)


def _public(modules):
    """Each callable that ``__all__`` names, and of a class each method and property of its own: name and docstring."""
    for name in modules:
        module = importlib.import_module(name)
        for public in module.__all__:
            thing = getattr(module, public)
            # scikit-learn's class, where it is installed.
            if not callable(thing) or thing.__module__.split(".")[0] != "pleiad":
                continue
            yield f"{name}.{public}", thing.__doc__
            for part, value in vars(thing).items() if isinstance(thing, type) else ():
                if not part.startswith("_") and (callable(value) or isinstance(value, PARTS)):
                    yield f"{name}.{public}.{part}", value.__doc__


def _without_example(things):
    parser = doctest.DocTestParser()
    return [name for name, text in things if not parser.get_examples(text or "")]


def test_everything_public_has_an_example():
    public = list(_public(MODULES))
    names = [name for name, _ in public]
    for known in ("pleiad.Ranker.fit", "pleiad.Scorer.names", "pleiad.DataError", "pleiad.spark.score", "pleiad.mlflow.log_model"):
        assert known in names
    assert _without_example(public) == []


def test_what_has_no_example_is_found():
    class Bare:
        """
        >>> 1
        1
        """

        def method(self):
            """A text alone."""

        @property
        def part(self):
            return 1

    Bare.__module__ = "pleiad.bare"
    pleiad.bare = type(pleiad)("pleiad.bare")
    pleiad.bare.__all__, pleiad.bare.Bare = ["Bare"], Bare
    import sys

    sys.modules["pleiad.bare"] = pleiad.bare
    try:
        assert _without_example(_public(["pleiad.bare"])) == ["pleiad.bare.Bare.method", "pleiad.bare.Bare.part"]
    finally:
        del sys.modules["pleiad.bare"], pleiad.bare


@pytest.mark.parametrize("name", MODULES)
def test_no_example_is_only_skipped(name):
    """A line that is never run proves nothing."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    module = importlib.import_module(name)
    for test in finder.find(module, name):
        assert not any(doctest.SKIP in example.options for example in test.examples), test.name
