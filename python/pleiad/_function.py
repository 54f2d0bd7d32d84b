"""What the functions of SQL engines share: columns in an order, and predictions as one struct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _pleiad
from ._scorer import Scorer, nearest, scorer_of

if TYPE_CHECKING:
    import pyarrow


def scorer_of_function(model: Any, options: dict[str, Any]) -> Scorer:
    """The scorer of a function, on one thread: the engine's own threads call it at the same time."""
    scorer = scorer_of(model, options, threads=1)
    if scorer.keep:
        raise ValueError("a function has no columns to keep: name them beside it in SELECT")
    return scorer


def fields_of(scorer: Scorer, schema: "pyarrow.Schema", table: str) -> "list[pyarrow.Field]":
    """The columns that the model reads, as a table has them; in SQL names match whatever their case."""
    names = {name.lower(): name for name in schema.names}
    fields = []
    for column in scorer.columns:
        name = column if column in schema.names else names.get(column.lower())
        if name is None:
            raise _pleiad.DataError(f"table {table!r} has no column {column!r}, which the model reads{nearest(column, schema.names)}")
        fields.append(schema.field(name))
    return fields


def call_of(name: str, fields: "Sequence[pyarrow.Field]") -> str:
    """The call in SQL."""
    return f"{quoted(name)}({', '.join(quoted(field.name) for field in fields)})"


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def answer_type(scorer: Scorer) -> "pyarrow.StructType":
    """What the function gives for a row."""
    import pyarrow

    score = [pyarrow.field(name, pyarrow.float64()) for name in scorer.names[: -len(scorer.tasks)]]
    return pyarrow.struct([*score, *(pyarrow.field(name, pyarrow.float32()) for name in scorer.names[-len(scorer.tasks) :])])


def answer(scorer: Scorer, arrays: "Sequence[Any]") -> "pyarrow.StructArray":
    """The predictions of rows whose columns are these."""
    import pyarrow

    flat = [array.combine_chunks() if isinstance(array, pyarrow.ChunkedArray) else array for array in arrays]
    # A constant comes as one value.
    count = max((len(array) for array in flat), default=0)
    rows = pyarrow.RecordBatch.from_arrays(flat, names=scorer.columns) if flat else None
    if rows is None or any(len(array) != count for array in flat):
        raise _pleiad.DataError("the columns of the function have different numbers of rows")
    found = scorer(rows)
    return pyarrow.StructArray.from_arrays(found.columns, fields=list(answer_type(scorer)))
