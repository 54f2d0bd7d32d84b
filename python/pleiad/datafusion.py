"""A model as a function of DataFusion: the extra ``pleiad[datafusion]``."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

from ._function import answer, answer_type, call_of, fields_of, scorer_of_function

__all__ = ["register"]


def register(ctx: Any, model: Any, name: str = "pleiad", *, of: str, **options: Any) -> str:
    """Makes a model a function of a session, and gives its call as SQL: ``pleiad("age", "city")``.

    The function gives a struct, ``pleiad(...)['click']``. Its columns have the types that they have in the table ``of``; the same
    function serves any table with such columns.

    Parameters
    ----------
    ctx : datafusion.SessionContext
        The session.
    model : path, Ranker or Scorer
        The model.
    name : str
        Name of the function.
    of : str
        A table or view with the columns of the model.
    **options
        Those of :class:`pleiad.Scorer` but ``keep``. ``threads`` is 1 by default, since DataFusion's own threads call the function at the
        same time.

    Examples
    --------
    >>> import datafusion, pyarrow, pleiad.datafusion
    >>> ctx = datafusion.SessionContext()
    >>> people = ctx.from_arrow(pyarrow.table(x), name="people")
    >>> call = pleiad.datafusion.register(ctx, ranker, of="people")
    >>> call, ctx.sql(f"SELECT {call}['click'] AS click FROM people").count()
    ('"pleiad"("age", "city")', 400)
    """
    import datafusion

    scorer = scorer_of_function(model, options)
    fields = fields_of(scorer, ctx.table(of).schema(), of)

    known: "OrderedDict[tuple[Any, ...], tuple[Any, Any]]" = OrderedDict()
    most = 2 * (os.cpu_count() or 1)

    def predict(*arrays: Any) -> Any:
        # DataFusion calls a function once for each field that a query takes of its struct, with the same arrays; its threads do so at
        # once. Where the values lie finds the arrays of before, which are held, and comparing makes sure of them.
        key = tuple(_address(array) for array in arrays)
        found = known.get(key)
        if found is None or not all(one.equals(other) for one, other in zip(arrays, found[0])):
            found = known[key] = (arrays, answer(scorer, arrays))
            while len(known) > most:
                try:
                    known.popitem(last=False)
                except KeyError:  # another thread took the last one
                    break
        return found[1]

    types = [field.type for field in fields]
    ctx.register_udf(datafusion.udf(predict, types, answer_type(scorer), volatility="immutable", name=name))
    return call_of(name, fields)


def _address(array: Any) -> tuple[int, int]:
    """Where the values of an array lie. Its bits of missing values are copied on their way here, where they do not begin a byte."""
    parts = [part.address for part in array.buffers()[1:] if part is not None]
    return len(array), parts[-1] + array.offset if parts else 0
