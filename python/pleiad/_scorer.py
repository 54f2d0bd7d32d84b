"""``Scorer``: a saved model over record batches, in this process and in the workers of an engine."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _pleiad
from ._packing import packed, unpack
from ._ranker import Ranker

if TYPE_CHECKING:
    import pyarrow

#: Models that a process keeps open, the ones used last. A worker of an engine lives longer than a job.
KEPT_OPEN = 4

_open: "OrderedDict[tuple[Any, ...], _pleiad.Scorer]" = OrderedDict()
_opening = threading.Lock()


class Scorer:
    """Predictions of a saved model, added to record batches.

    A scorer can be pickled. Its copy in another process opens the model with the first batch, once a process, and computes on one
    thread, since engines start a worker for each core.

    Parameters
    ----------
    model : path or Ranker
        The folder of a saved model, or a fitted ranker.
    keep : list of str, or True
        Columns that stand before the predictions, as they are; ``True`` keeps all.
    score : bool or dict
        Whether the column ``score`` is added, equation 1's. A dict changes exponents: ``score={"share": 2}``.
    prefix : str
        What the names of the predictions start with, where the rows have columns of these names.
    threads : int, optional
        Threads to compute with. By default all cores here, and one in a process that the scorer was sent to.
    at : str, optional
        Where workers find the model. By default the files of the model travel with the scorer. For a model of gigabytes, put its
        folder on a disk that all workers see, and name it here.

    Examples
    --------
    >>> import pyarrow
    >>> batch = pyarrow.record_batch({**x, "user": np.arange(400)})
    >>> found = pleiad.Scorer(ranker, keep=["user"], score=True)(batch)
    >>> found.column_names, found.num_rows
    (['user', 'score', 'click', 'watch'], 400)
    """

    def __init__(
        self,
        model: "str | os.PathLike[str] | Ranker",
        *,
        keep: Sequence[str] | bool = (),
        score: bool | Mapping[str, float] = False,
        prefix: str = "",
        threads: int | None = None,
        at: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(keep, str):
            raise TypeError(f"keep is a list of columns: keep=[{keep!r}]")
        self.keep = keep if isinstance(keep, bool) else [str(column) for column in keep]
        self.prefix = prefix
        self.threads = threads
        self._score = bool(score) or isinstance(score, Mapping)
        exponents = score if isinstance(score, Mapping) else {}
        self._sets = [f"rank.score.{json.dumps(task)}={float(power)!r}" for task, power in exponents.items()]
        self._at = None if at is None else os.fspath(at)
        self._from: str | None = None
        if isinstance(model, Ranker):
            if not hasattr(model, "_artifact"):
                model.predict_all({})
            self._files: bytes | None = model._artifact
            self._name = "a ranker"
        else:
            path = Path(model)
            self._name = str(path)
            # A model that workers find for themselves is never held here as bytes.
            self._files = None if self._at is not None else b""
            self._folder = path
        self._digest = ""
        opened = self._opened(first=True)
        self.tasks: list[str] = opened.tasks()
        self.columns: list[str] = opened.columns()
        self._check_names(self.keep if isinstance(self.keep, list) else [])

    @property
    def names(self) -> list[str]:
        """Names of the columns that are added: the score where it is asked for, then each task's prediction.

        Examples
        --------
        >>> pleiad.Scorer(ranker, score=True, prefix="p_").names
        ['p_score', 'p_click', 'p_watch']
        """
        score = [f"{self.prefix}score"] if self._score else []
        return score + [self.prefix + task for task in self.tasks]

    def __call__(self, rows: Any) -> "pyarrow.RecordBatch":
        """The kept columns of the rows, the score, and a column for each task. A row that the model's ``on_bad_row = "skip"`` leaves
        out has nulls.

        Parameters
        ----------
        rows : pyarrow.RecordBatch, pyarrow.Table, or what gives Arrow data
        """
        import pyarrow

        if not isinstance(rows, (pyarrow.RecordBatch, pyarrow.Table)):
            rows = pyarrow.table(rows)
        kept = self._kept(rows.schema.names)
        try:
            tasks, scores, skipped = self._opened().answer_rows(_storage(rows))
        except (_pleiad.Error, ValueError, TypeError) as error:
            raise self._with_place(error) from error
        count = rows.num_rows
        gone = None
        if skipped:
            import numpy as np

            there = np.ones(count, dtype=bool)
            there[skipped] = False
            gone = pyarrow.py_buffer(np.packbits(there, bitorder="little"))
        buffers = ([(pyarrow.float64(), scores)] if self._score else []) + [(pyarrow.float32(), task) for task in tasks]
        added = [pyarrow.Array.from_buffers(of, count, [gone, pyarrow.py_buffer(part)]) for of, part in buffers]
        fields = [rows.schema.field(name) for name in kept]
        fields += [pyarrow.field(name, of) for name, (of, _) in zip(self.names, buffers)]
        schema = pyarrow.schema(fields)
        if isinstance(rows, pyarrow.Table):
            return pyarrow.Table.from_arrays([rows.column(name) for name in kept] + added, schema=schema)
        return pyarrow.RecordBatch.from_arrays([rows.column(name) for name in kept] + added, schema=schema)

    def batches(self, batches: "Iterable[pyarrow.RecordBatch]") -> "Iterator[pyarrow.RecordBatch]":
        """Each batch with its predictions: the function that Spark's ``mapInArrow`` takes.

        Examples
        --------
        >>> import pyarrow
        >>> batches = pyarrow.table(x).to_batches(max_chunksize=150)
        >>> [batch.num_rows for batch in pleiad.Scorer(ranker).batches(batches)]
        [150, 150, 100]
        """
        for batch in batches:
            yield self(batch)

    def stream(self, rows: Any, schema: "pyarrow.Schema | None" = None) -> "pyarrow.RecordBatchReader":
        """A reader of the rows with their predictions, a batch at a time: memory does not grow with the rows.

        Parameters
        ----------
        rows : what gives an Arrow stream
            A ``RecordBatchReader``, a table, a relation of DuckDB, a data frame of DataFusion or polars; or record batches.
        schema : pyarrow.Schema, optional
            The schema of the rows, where they are record batches.

        Examples
        --------
        >>> import pyarrow
        >>> reader = pleiad.Scorer(ranker).stream(pyarrow.table(x))
        >>> reader.schema.names, reader.read_all().num_rows
        (['click', 'watch'], 400)
        """
        import pyarrow

        if schema is None:
            reader = rows if isinstance(rows, pyarrow.RecordBatchReader) else pyarrow.RecordBatchReader.from_stream(rows)
            rows, schema = reader, reader.schema
        return pyarrow.RecordBatchReader.from_batches(self.output_schema(schema), self.batches(rows))

    def output_schema(self, schema: "pyarrow.Schema") -> "pyarrow.Schema":
        """The columns that rows of this schema get. A column that the model needs and that is not there, or has a type that it cannot
        read, is an error here, before any row is read.

        Examples
        --------
        >>> import pyarrow
        >>> pleiad.Scorer(ranker, score=True).output_schema(pyarrow.table(x).schema)
        score: double
        click: float
        watch: float
        """
        return self(schema.empty_table()).schema

    def open(self) -> "Scorer":
        """Opens the model now rather than with the first batch.

        Examples
        --------
        >>> pleiad.Scorer(ranker).open().columns
        ['age', 'city']
        """
        self._opened()
        return self

    # The model

    def _opened(self, first: bool = False) -> "_pleiad.Scorer":
        threads = self.threads if self.threads is not None else (None if self._from is None else 1)
        if first:
            if self._files:
                scorer, self._digest = self._open_files(self._files, threads)
            else:
                scorer = self._open_folder(self._folder, threads)
                self._digest = _digest_of(self._folder)
        key = (self._digest, self._score, tuple(self._sets), threads)
        with _opening:
            if first:
                _open[key] = scorer
            elif key not in _open:
                try:
                    _open[key] = self._open_again(threads)
                except (_pleiad.Error, ValueError, OSError) as error:
                    raise self._with_place(error) from error
            _open.move_to_end(key)
            while len(_open) > KEPT_OPEN:
                _open.popitem(last=False)
            return _open[key]

    def _open_again(self, threads: int | None) -> "_pleiad.Scorer":
        if self._from is None and not self._files:
            folder = self._folder
        elif self._files:
            return self._open_files(self._files, threads)[0]
        else:
            folder = Path(self._at or "")
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"there is no folder {self._at!r}, where at= says that the model lies; put it on a disk that every worker sees, or "
                    "leave at= out, so that the model travels with the job"
                )
        if _digest_of(folder) != self._digest:
            raise _pleiad.DataError(
                f"{folder} holds another model than {self._name} did when the scorer was made; put the same model there, or make the "
                "scorer again"
            )
        return self._open_folder(folder, threads)

    def _open_folder(self, folder: Path, threads: int | None) -> "_pleiad.Scorer":
        return _pleiad.Scorer.open(folder, score=self._score, sets=self._sets, threads=threads)

    def _open_files(self, files: bytes, threads: int | None) -> "tuple[_pleiad.Scorer, str]":
        with tempfile.TemporaryDirectory(prefix="pleiad-") as folder:
            unpacked = Path(folder) / "model"
            unpack(files, unpacked)
            return self._open_folder(unpacked, threads), _digest_of(unpacked)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._at is not None:
            state["_files"] = None
        elif not self._files:
            if _digest_of(self._folder) != self._digest:
                raise _pleiad.DataError(f"{self._folder} holds another model than when the scorer was made; make it again")
            state["_files"] = packed(self._folder)
        state["_from"] = f"{socket.gethostname()}, process {os.getpid()}"
        state.pop("_folder", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # Names and messages

    def _kept(self, names: list[str]) -> list[str]:
        if self.keep is True:
            self._check_names(names)
            return names
        wanted = self.keep if isinstance(self.keep, list) else []
        for name in wanted:
            if name not in names:
                raise self._with_place(_pleiad.DataError(f"keep: the rows have no column {name!r}{nearest(name, names)}"))
            if names.count(name) > 1:
                raise self._with_place(_pleiad.DataError(f"keep: the rows have two columns {name!r}"))
        return wanted

    def _check_names(self, kept: Sequence[str]) -> None:
        names = [*kept, *self.names]
        for at, name in enumerate(names):
            if name in names[:at]:
                raise _pleiad.ConfigError(
                    f"column {name!r} would be there twice: it is kept, and the name of a prediction or of the score, or kept twice; "
                    'leave it out of keep, or give prefix="predicted_"'
                )

    def _with_place(self, error: BaseException) -> BaseException:
        """The error with the name of the worker where it happened. Here it is as it is."""
        if self._from is None:
            return error
        where = f"model {self._name}, worker {socket.gethostname()}, process {os.getpid()}: {error}"
        kinds = (_pleiad.ConfigError, _pleiad.DataError, _pleiad.RunError, FileNotFoundError, TypeError, ValueError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), _pleiad.RunError)
        return kind(where)


def scorer_of(model: Any, options: dict[str, Any], **defaults: Any) -> Scorer:
    """A scorer as it is, or one of a model with these options."""
    if not isinstance(model, Scorer):
        return Scorer(model, **{**defaults, **options})
    if options:
        raise TypeError(f"a scorer has its options already: leave out {', '.join(options)}")
    return model


def nearest(name: str, names: Iterable[str]) -> str:
    """What a message adds that names a column which is not there."""
    import difflib

    known = list(names)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}" if known else "; there is none at all"


def _digest_of(folder: Path) -> str:
    """A hash of the model's description, which itself has a hash of every file."""
    try:
        return hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    except OSError as error:
        raise FileNotFoundError(f"{folder} is no folder of a saved model: {error}") from error


def _storage(rows: Any) -> Any:
    """Extension types, such as tensors of Ray and JSON of DuckDB, as the type beneath them where it is one of Arrow's."""
    import pyarrow

    if not any(isinstance(field.type, pyarrow.BaseExtensionType) for field in rows.schema):
        return rows
    columns, fields = [], []
    for field, column in zip(rows.schema, rows.columns):
        if isinstance(field.type, pyarrow.BaseExtensionType):
            if isinstance(column, pyarrow.ChunkedArray):
                parts = [part.storage for part in column.chunks]
                column = pyarrow.chunked_array(parts, type=field.type.storage_type)
            else:
                column = column.storage
            field = pyarrow.field(field.name, field.type.storage_type)
        columns.append(column)
        fields.append(field)
    return type(rows).from_arrays(columns, schema=pyarrow.schema(fields))
