"""Weights that PyTorch trained, without PyTorch: tensors are taken as NumPy arrays."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _pleiad
from ._ranker import Ranker

#: Names of the types that a ``state_dict`` has, as safetensors has them.
_TYPES = {"<f4": "F32", "<f8": "F64", "<f2": "F16", "<i8": "I64", "<i4": "I32"}


def from_state_dict(
    state: Mapping[str, Any],
    config: str | os.PathLike[str],
    *sets: str,
    source: str | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Ranker:
    """A ranker that predicts what a trained PyTorch model predicts, as ``pleiad import`` makes it.

    Parameters
    ----------
    state : mapping of names to tensors
        A ``state_dict``: tensors of PyTorch, or arrays.
    config : path
        A configuration of data, features and tasks; docs/pytorch.md says how it has to look. ``sets`` change it: ``"data.train=log.csv"``.
    source : {"torch-rechub", "deepctr-torch", "mtreclib", "blog"}, optional
        The package that the model is of. Without it tensors have the names of ``weights.safetensors``.
    out : path, optional
        Where the model is saved, too.

    Returns
    -------
    Ranker
        It has a report of the import in ``import_``: the structure that was read off the tensors, and notes.

    Raises
    ------
    ConfigError, RunError
        A tensor that cannot be carried over, by its name and with the reason; a configuration that does not fit.

    Examples
    --------
    >>> from pathlib import Path
    >>> written = Path("log.csv").write_text("age,click\\n20,0\\n60,1\\n")
    >>> written = Path("config.toml").write_text('''
    ... data.train = "log.csv"
    ... feature = [{ columns = ["age"], kind = "numeric" }]
    ... task = [{ name = "click", kind = "binary", label = { column = "click" } }]
    ... model = { kind = "hard-sharing", bottom = [1], tower = [] }
    ... ''')
    >>> state = {"bottom.0.weight": [[0.1]], "bottom.0.bias": [-3.0], "towers.click.0.weight": [[2.0]], "towers.click.0.bias": [-1.0]}
    >>> ranker = pleiad.from_state_dict({name: np.array(values) for name, values in state.items()}, "config.toml")
    >>> ranker.predict_proba({"age": [20.0, 60.0]}).round(3)
    array([[0.731, 0.269],
           [0.007, 0.993]])
    """
    with tempfile.TemporaryDirectory(prefix="pleiad-") as folder:
        weights, model = Path(folder) / "state.safetensors", Path(folder) / "model"
        _write(weights, state)
        report = _pleiad.import_weights(Path(config), list(sets), weights, source, model)
        ranker = Ranker.load(model)
    ranker.import_ = json.loads(report)  # type: ignore[attr-defined]
    if out is not None:
        ranker.save(out)
    return ranker


def _write(path: Path, state: Mapping[str, Any]) -> None:
    """A file of safetensors: the length of a JSON header, the header, the tensors' bytes."""
    header: dict[str, Any] = {}
    parts, end = [], 0
    for name, tensor in state.items():
        if hasattr(tensor, "detach"):
            tensor = tensor.detach().cpu().numpy()
        array = np.ascontiguousarray(tensor)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(np.shape(tensor))
        kind = _TYPES.get(array.dtype.newbyteorder("<").str)
        if kind is None:
            raise TypeError(f"tensor {name!r} has the type {array.dtype}, which no weight has")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        parts.append(array.tobytes())
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)
