"""A model as a function of DuckDB: the extra ``pleiad[duckdb]``."""

from __future__ import annotations

from typing import Any

from ._function import answer, call_of, fields_of, quoted, scorer_of_function

__all__ = ["register"]


def register(con: Any, model: Any, name: str = "pleiad", *, of: str, **options: Any) -> str:
    """Makes a model a function of a connection, and gives its call as SQL: ``pleiad("age", "city")``.

    The function gives a struct, ``pleiad(...).click``. Its columns have the types that they have in the table ``of``; the same
    function serves any table with such columns.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The connection.
    model : path, Ranker or Scorer
        The model.
    name : str
        Name of the function.
    of : str
        A table or view with the columns of the model.
    **options
        Those of :class:`pleiad.Scorer` but ``keep``. ``threads`` is 1 by default, since DuckDB's own threads call the function at the
        same time.

    Examples
    --------
    >>> import duckdb, pandas, pleiad.duckdb
    >>> con = duckdb.connect()
    >>> con = con.register("people", pandas.DataFrame(x))
    >>> call = pleiad.duckdb.register(con, ranker, of="people")
    >>> call, con.sql(f"SELECT count({call}.click) FROM people").fetchall()
    ('"pleiad"("age", "city")', [(400,)])
    """
    scorer = scorer_of_function(model, options)
    relation = con.sql(f"SELECT * FROM {'.'.join(quoted(part) for part in of.split('.'))} LIMIT 0")
    types = dict(zip(relation.columns, relation.types))
    fields = fields_of(scorer, _arrow(relation).schema, of)
    returned = {column: con.type("DOUBLE" if column in scorer.names[: -len(scorer.tasks)] else "FLOAT") for column in scorer.names}
    con.create_function(
        name,
        _function(scorer, len(fields)),
        [types[field.name] for field in fields],
        con.struct_type(returned),
        type="arrow",
        null_handling="special",
    )
    return call_of(name, fields)


def _arrow(relation: Any) -> Any:
    return relation.to_arrow_table() if hasattr(relation, "to_arrow_table") else relation.arrow()


def _function(scorer: Any, columns: int) -> Any:
    """A function with that many parameters: DuckDB counts them."""
    names = ", ".join(f"a{at}" for at in range(columns))
    scope: dict[str, Any] = {"answer": lambda *arrays: answer(scorer, arrays)}
    exec(f"def predict({names}):\n    return answer({names})", scope)
    return scope["predict"]
