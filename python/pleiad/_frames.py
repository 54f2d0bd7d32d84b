"""Frames: rows and labels of users in the few forms that the extension reads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def is_arrow(rows: Any) -> bool:
    """Whether an object gives Arrow data (pyarrow, polars, DuckDB; pandas where pyarrow is installed)."""
    return hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__")


def is_pandas(rows: Any) -> bool:
    """Whether it is a data frame of pandas."""
    return type(rows).__module__.split(".")[0] == "pandas" and hasattr(rows, "columns")


def paths_of(rows: Any) -> list[str] | None:
    """The files that are meant by a path, folder or glob, or a list of them; None for rows that are something else."""
    if isinstance(rows, (str, os.PathLike)):
        return [os.fspath(rows)]
    if isinstance(rows, (list, tuple)) and rows and all(isinstance(path, (str, os.PathLike)) for path in rows):
        return [os.fspath(path) for path in rows]
    return None


def column_of(values: Any) -> Any:
    """A column that the extension reads: an Arrow array, or a buffer of numbers or truth values, or a list of texts."""
    if hasattr(values, "__arrow_c_array__"):
        return values
    if type(values).__module__.split(".")[0] == "pandas":
        values = values.to_numpy()
    if hasattr(values, "to_numpy") and not isinstance(values, np.ndarray):
        values = values.to_numpy()
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"a column has one dimension, not {array.ndim}")
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported")
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array, dtype=np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize == 2:
        array = array.astype(np.float32)
    if array.dtype.kind in "iuf":
        native = array.dtype.newbyteorder("=")
        return np.ascontiguousarray(array, dtype=native)
    # Of objects each has its text; None and NaN are missing values.
    missing = [value is None or value != value for value in array]
    return [None if gone else str(value) for value, gone in zip(array, missing)]


def rows_of(rows: Any) -> tuple[Any, list[str], int]:
    """Rows as the extension reads them, their columns and their number.

    Arrow data is taken as it is. A matrix of NumPy has the columns ``x0``, ``x1``, ...
    """
    # One of scikit-learn's sparse matrices is a dict.
    if hasattr(rows, "toarray") or hasattr(rows, "todense"):
        raise TypeError("Sparse input is not supported; hand over dense rows, or a list column for each set of ids")
    if isinstance(rows, dict):
        columns = {str(name): column_of(values) for name, values in rows.items()}
        return columns, list(columns), _length(next(iter(columns.values()))) if columns else 0
    if is_pandas(rows):
        names = [str(name) for name in rows.columns]
        if len(set(names)) < len(names):
            raise ValueError("two columns of X have the same name")
        try:
            import pyarrow
        except ImportError:
            columns = {name: column_of(rows.iloc[:, at]) for at, name in enumerate(names)}
            return columns, names, len(rows)
        # Of a copy, since Arrow takes numbers where they lie, and their owner may change them meanwhile. The index is no column,
        # and names are texts.
        table = pyarrow.Table.from_pandas(rows.copy(), preserve_index=False).rename_columns(names)
        return table, names, len(rows)
    if is_arrow(rows):
        if hasattr(rows, "column_names"):
            return rows, [str(name) for name in rows.column_names], _length(rows)
        if hasattr(rows, "columns") and hasattr(rows, "height"):
            return rows, [str(name) for name in rows.columns], int(rows.height)
        import pyarrow

        table = pyarrow.table(rows)
        return table, list(table.column_names), table.num_rows
    matrix = np.asarray(rows)
    if matrix.ndim != 2:
        # scikit-learn's own words, which its checks look for.
        raise ValueError(f"Expected 2D array, got {matrix.ndim}D array instead. Reshape your data.")
    columns = {f"x{at}": column_of(matrix[:, at]) for at in range(matrix.shape[1])}
    return columns, list(columns), matrix.shape[0]


def _length(values: Any) -> int:
    for name in ("num_rows", "length"):
        found = getattr(values, name, None)
        if found is not None and not callable(found):
            return int(found)
    return len(values)


def labels_of(y: Any, names: list[str] | None) -> dict[str, Any]:
    """Labels by task: of a frame, a dict, a matrix with a column per task, or one column."""
    if isinstance(y, dict):
        return {str(name): _values(values) for name, values in y.items()}
    if is_pandas(y):
        return {str(name): _values(y[name]) for name in y.columns}
    if hasattr(y, "columns") and hasattr(y, "height"):
        return {str(name): _values(y[name]) for name in y.columns}
    if hasattr(y, "column_names") and hasattr(y, "column"):
        return {str(name): _values(y.column(name)) for name in y.column_names}
    array = _values(y)
    if array.ndim == 1:
        return {names[0] if names else "y": array}
    if array.ndim != 2:
        raise ValueError(f"y has one or two dimensions, not {array.ndim}")
    named = names if names is not None else [f"y{at}" for at in range(array.shape[1])]
    if len(named) != array.shape[1]:
        raise ValueError(f"y has {array.shape[1]} columns, and there are {len(named)} tasks")
    return {name: array[:, at] for at, name in enumerate(named)}


def _values(values: Any) -> np.ndarray:
    if hasattr(values, "to_numpy"):
        try:
            values = values.to_numpy()
        except Exception:  # an Arrow column with missing values
            values = values.to_numpy(zero_copy_only=False)
    array = np.asarray(values)
    if array.dtype == object and all(value is None or isinstance(value, (int, float, np.number)) for value in array.flat):
        array = np.array([np.nan if value is None else value for value in array.flat], dtype=float).reshape(array.shape)
    return array
