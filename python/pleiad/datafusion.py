"""A model as a function of DataFusion: ``pip install pleiad[datafusion]``."""

from __future__ import annotations

from typing import Any

from ._function import answer, answer_type, call_of, fields_of, scorer_of


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
        Those of :class:`pleiad.Scorer` but ``keep``. ``threads`` is 1 by default, since DataFusion's own threads ask at once.
    """
    import datafusion

    scorer = scorer_of(model, options)
    fields = fields_of(scorer, ctx.table(of).schema(), of)

    def predict(*arrays: Any) -> Any:
        return answer(scorer, arrays)

    types = [field.type for field in fields]
    ctx.register_udf(datafusion.udf(predict, types, answer_type(scorer), volatility="immutable", name=name))
    return call_of(name, fields)
