"""``Ranker``: a multi-task ranking model by scikit-learn's conventions."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _pleiad
from ._explained import Explained
from ._frames import is_arrow, labels_of, paths_of, rows_of
from ._labels import auc, encoded, kind_of, r2, varies
from ._packing import packed, unpack
from ._progress import Progress
from ._structures import PLE, Structure, structure_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
else:
    try:
        from sklearn.base import BaseEstimator
        from sklearn.exceptions import NotFittedError
    except ImportError:  # scikit-learn is optional

        class NotFittedError(ValueError, AttributeError):
            """The ranker has not been fitted yet."""

        class BaseEstimator:
            """The part of scikit-learn's class that is needed without it."""

            def get_params(self, deep: bool = True) -> dict[str, Any]:
                """The parameters of the constructor."""
                return {name: getattr(self, name) for name in _PARAMETERS}

            def set_params(self, **params: Any) -> "BaseEstimator":
                """Changes parameters."""
                for name, value in params.items():
                    if name not in _PARAMETERS:
                        raise ValueError(f"there is no parameter {name!r}")
                    setattr(self, name, value)
                return self


#: Parameters that are keys of ``[train]``.
_TRAIN = (
    "epochs",
    "batch_size",
    "optimizer",
    "embedding_optimizer",
    "schedule",
    "clip_norm",
    "early_stopping",
    "average",
    "best_epoch",
    "field_dropout",
    "joint_loss",
    "precision",
    "explanation",
    "seed",
)
#: Those whose key has another name, since a method has that one.
_KEYS = {"explanation": "explain"}
_PARAMETER_OF = {key: name for name, key in _KEYS.items()}
_PARAMETERS = ("model", "tasks", "features", "rank", "request", "validation_fraction", "threads", "verbose", *_TRAIN)


class Ranker(BaseEstimator):
    """A multi-task ranking model: probabilities of binary tasks, values of regressions, one score.

    Parameters
    ----------
    model : Structure, default PLE
        The structure, such as ``PLE(levels=[...])``.
    tasks : list of str or dict, optional
        Names, or tables ``[[task]]`` without a label: ``{"name": "share", "where": {"column": "click", "equals": 1}}``. By
        default the columns of ``y``; one whose labels are two values is binary, others are regressions.
    features : list of dict, optional
        Tables ``[[feature]]``. By default what :func:`infer` chooses for the columns of X. A warning names columns that it leaves
        out, and columns that nearly say a label.
    rank : dict, optional
        ``[rank]``: the score of :meth:`score_rows` and :meth:`rank_rows`.
    request : str, optional
        Column of X that names each row's request. Rows with one value that follow one another are one request. Features with
        ``"per": "request"`` are the same in all of them, and are computed once.
    validation_fraction : float, optional
        Share of the rows that decides when to stop, where there is no ``eval_set``.
    threads : int, optional
        Threads to compute with; all cores by default. It changes no result.
    verbose : bool
        Whether epochs are printed.
    **train
        Keys of ``[train]``: ``epochs``, ``batch_size``, ``optimizer``, ``seed``, ... ``explanation`` is the key ``explain``.

    Examples
    --------
    >>> import numpy as np, pleiad
    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> y = {"click": (x[:, 0] > 0).astype(int), "watch": x[:, 1] + x[:, 2]}
    >>> features = [{"columns": ["x[0..3]"], "kind": "numeric"}]
    >>> ranker = pleiad.Ranker(pleiad.PLE(levels=[{"task_experts": 1, "shared_experts": 1, "widths": [16]}], tower=[8]),
    ...                        features=features, epochs=20, batch_size=32)
    >>> [part.shape for part in ranker.fit(x, y).predict_proba(x)]
    [(500, 2)]
    >>> ranker.predict(x).shape
    (500, 2)
    """

    def __init__(
        self,
        model: Structure | None = None,
        tasks: Sequence[str | Mapping[str, Any]] | None = None,
        features: Sequence[Mapping[str, Any]] | None = None,
        *,
        rank: Mapping[str, Any] | None = None,
        request: str | None = None,
        validation_fraction: float | None = None,
        threads: int | None = None,
        verbose: bool = False,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: Mapping[str, Any] | None = None,
        embedding_optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        clip_norm: float | None = None,
        early_stopping: Mapping[str, Any] | None = None,
        average: Mapping[str, Any] | None = None,
        best_epoch: str | None = None,
        field_dropout: float | None = None,
        joint_loss: Any = None,
        precision: str | None = None,
        explanation: Any = None,
        seed: int | None = None,
    ) -> None:
        self.model = model
        self.tasks = tasks
        self.features = features
        self.rank = rank
        self.request = request
        self.validation_fraction = validation_fraction
        self.threads = threads
        self.verbose = verbose
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.embedding_optimizer = embedding_optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.average = average
        self.best_epoch = best_epoch
        self.field_dropout = field_dropout
        self.joint_loss = joint_loss
        self.precision = precision
        self.explanation = explanation
        self.seed = seed

    # Fitting

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        sample_space: Mapping[str, Any] | None = None,
        eval_set: tuple[Any, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> "Ranker":
        """Fits the model to rows.

        Parameters
        ----------
        X : data frame, Arrow table or stream, dict of columns, matrix of shape (n, p), or paths
            The rows. A matrix has the columns ``x0``, ``x1``, ... A path, folder or glob, or a list of them, names files of CSV,
            Parquet or Arrow, which are read as the command line reads them.
        y : data frame, dict, matrix of shape (n, T), array of shape (n,), or names of columns of X
            Labels of each task. A row whose label is NaN is not in the task's sample space. Of files, names of columns.
        sample_weight : array of shape (n,), or name of a column of files, optional
            The weight of each row. A row of weight 0 is left out.
        sample_space : dict of arrays of shape (n,), optional
            By task, which rows it learns from.
        eval_set : (X, y), optional
            Rows that decide which epoch is kept, and when to stop.
        callback : callable, optional
            Called with each event: ``{"event": "config", "config": {...}}``, ``{"event": "epoch", "record": {...}, "best": bool}``, ...
            An exception that it raises stops the fit. ``pleiad.callbacks`` has some.
        out : path, optional
            Folder of the run: checkpoints, figures, ``report.html`` and the model. An interrupted run goes on with
            ``resume=True``. Without it nothing stays on disk.

        Returns
        -------
        Ranker
            Itself.

        Examples
        --------
        >>> def rows(first, end):
        ...     return {name: of[first:end] for name, of in x.items()}, {task: of[first:end] for task, of in y.items()}
        >>> ranker = pleiad.Ranker(small, epochs=20, batch_size=32, early_stopping={"patience": 5})
        >>> ranker = ranker.fit(*rows(0, 300), eval_set=rows(300, 400))
        >>> ranker.history_[0]["epoch"], ranker.report_["valid"]["rows"]
        (1, 100)
        """
        paths = paths_of(X)
        if paths is not None:
            config = self._files(paths, y, sample_weight, sample_space, eval_set)
            parts, columns, classes = None, None, {}
        else:
            config, parts, columns, classes = self._prepare(X, y, sample_weight, sample_space, eval_set)
        self._run(config, parts, callback, out, resume)
        self.task_names_ = [table["name"] for table in config["task"]]
        self._binary = [table["kind"] == "binary" for table in config["task"]]
        self._classes = [classes.get(name, np.array([0, 1])) for name in self.task_names_]
        if columns is None:
            columns = list(dict.fromkeys(json.loads(self._model.describe())["columns"]))
        self.n_features_in_ = len(columns)
        if any(name != f"x{at}" for at, name in enumerate(columns)):
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def _files(self, paths, y, sample_weight, sample_space, eval_set) -> dict[str, Any]:
        """The configuration for rows of files."""
        specs = self._task_tables()
        names = [y] if isinstance(y, str) else None if y is None else [str(name) for name in y]
        if specs is None:
            if names is None:
                raise ValueError("requires y to be passed, but the target y is None: names of the label columns of the files")
            specs = [{"name": name} for name in names]
        if sample_space is not None:
            raise ValueError("sample_space goes with rows in memory; of files, a task says where: {'where': {'column': ..., 'equals': 1}}")
        if sample_weight is not None and not isinstance(sample_weight, str):
            raise ValueError("sample_weight of files is the name of a column")
        tables = [{"label": {"column": spec["name"]}, **spec} for spec in specs]
        found: Any = None
        if self.features is None or any("kind" not in table for table in tables):
            labels = [table["label"] if isinstance(table["label"], str) else table["label"]["column"] for table in tables]
            found = json.loads(_pleiad.infer_files(paths, labels))
            known = {task["label"]["column"]: task for task in found["config"]["task"]}
            for table, label in zip(tables, labels):
                table.setdefault("kind", known[label]["kind"])
        data: dict[str, Any] = {"train": paths}
        if eval_set is not None:
            data["valid"] = paths_of(eval_set[0] if isinstance(eval_set, tuple) else eval_set)
            if data["valid"] is None:
                raise TypeError("rows of files are measured on files: eval_set is a path, or a list of paths")
        elif self.validation_fraction is not None:
            data["valid"] = {"fraction": float(self.validation_fraction)}
        if sample_weight is not None:
            data["weight"] = sample_weight
        return self._config(data, tables, self.features if self.features is not None else found["config"]["feature"])

    def _prepare(self, X, y, sample_weight, sample_space, eval_set, test_set=None) -> tuple[Any, ...]:
        """The configuration, the rows of each split with the columns beside them, the columns of X, the classes by task."""
        rows, columns, count = rows_of(X)
        if count == 0:
            raise _pleiad.DataError(f"Found array with 0 sample(s) (shape=(0, {len(columns)})) while a minimum of 1 is required.")
        if not columns:
            raise _pleiad.DataError(f"0 feature(s) (shape=({count}, 0)) while a minimum of 1 is required.")
        specs = self._task_tables()
        named = [spec["name"] for spec in specs] if specs is not None else None
        own = _own_columns(y, columns)
        if own is not None:
            labels, of_column = None, {name: name for name in own}
            specs = specs if specs is not None else [{"name": name} for name in own]
        else:
            if y is None:
                raise ValueError("requires y to be passed, but the target y is None")
            labels = labels_of(y, named)
            specs = specs if specs is not None else [{"name": name} for name in labels]
            of_column = {name: _free(name, columns) for name in labels}
        classes: dict[str, np.ndarray] = {}
        tables = [self._task(spec, labels, of_column, classes) for spec in specs]
        beside = self._beside(labels, of_column, classes, sample_space, sample_weight, columns, count)
        data: dict[str, Any] = {}
        if sample_weight is not None:
            data["weight"] = _free("weight", columns)
        parts = {"train": (rows, beside)}
        for split, other_set in (("valid", eval_set), ("test", test_set)):
            if other_set is None:
                continue
            data[split] = {"memory": True}
            other, names, size = rows_of(other_set[0])
            theirs = None if own is not None else labels_of(other_set[1], list(of_column))
            weight = np.ones(size) if sample_weight is not None else None
            parts[split] = (other, self._beside(theirs, of_column, classes, None, weight, names, size))
        if eval_set is None and self.validation_fraction is not None:
            data["valid"] = {"fraction": float(self.validation_fraction)}
        features = self.features
        if features is None:
            features = self._inferred(rows, beside, list(of_column.values()), columns, count)
        return self._config(data, tables, features), parts, columns, classes

    def _inferred(self, rows, beside, labels, columns, count) -> list[dict[str, Any]]:
        """Features for the columns of X. The user has chosen X, so a column that nearly says a label is kept, with a
        warning."""
        if count < 2:
            raise _pleiad.DataError("1 sample is too few to see what columns hold; name the features")
        own = [column for column in labels if column in columns]
        chance = _free("label", columns)
        found = json.loads(_pleiad.infer(rows, {chance: np.arange(count, dtype=float) % 2}, [*own, chance]))
        without = {out["column"]: out["reason"] for out in found["left_out"] if out["column"] not in own}
        known = {column: beside[column] for column in labels if column in beside and varies(beside[column])}
        if known:
            suspects = json.loads(_pleiad.infer(rows, known, list(known)))["left_out"]
            leaks = {out["column"]: out["reason"] for out in suspects if out["column"] not in without}
            for column, reason in leaks.items():
                warnings.warn(f"column {column!r}: {reason}", stacklevel=4)
        for column, reason in without.items():
            warnings.warn(f"column {column!r} is no feature: {reason}", stacklevel=4)
        return found["config"]["feature"]

    def _run(self, config, parts, callback, out, resume) -> None:
        folder = None
        if out is None:
            folder = tempfile.TemporaryDirectory(prefix="pleiad-")
            target = Path(folder.name) / "run"
        else:
            target = Path(out)
        if callback is not None:
            callback({"event": "config", "config": config})
        with Progress(self.verbose, warn_at=4) as progress:

            def event(text: str) -> None:
                happened = json.loads(text)
                progress.event(happened)
                if callback is not None:
                    callback(happened)

            report = _pleiad.train(
                json.dumps(config), parts, target, resume=resume, threads=self.threads, callback=event
            )
        self.report_ = json.loads(report)
        self.config_ = config
        self.history_ = self.report_["history"]
        self.run_ = None if out is None else target
        self._model = _pleiad.Model.open(target / "model")
        self._artifact = packed(target / "model")
        explained = target / "explain.json"
        self._explanation = json.loads(explained.read_text(encoding="utf-8")) if explained.exists() else None
        if folder is not None:
            folder.cleanup()

    def _task_tables(self) -> list[dict[str, Any]] | None:
        if self.tasks is None:
            return None
        return [{"name": task} if isinstance(task, str) else dict(task) for task in self.tasks]

    def _task(self, spec, labels, of_column, classes) -> dict[str, Any]:
        name = spec["name"]
        if name not in of_column and "label" not in spec:
            raise ValueError(f"there is no label of task {name!r}; y has {', '.join(of_column)}")
        table = dict(spec)
        table.setdefault("label", {"column": of_column.get(name, name)})
        if "kind" not in table:
            table["kind"] = "binary" if labels is None else kind_of(name, labels[name], classes)
        elif table["kind"] == "binary" and labels is not None:
            kind_of(name, labels[name], classes, binary=True)
        return table

    def _beside(self, labels, of_column, classes, sample_space, sample_weight, columns, count) -> dict[str, Any]:
        beside: dict[str, Any] = {}
        for name, values in (labels or {}).items():
            if name not in of_column:
                continue
            if len(values) != count:
                raise ValueError(f"Found input variables with inconsistent numbers of samples: [{count}, {len(values)}]")
            found = encoded(values, classes.get(name))
            space = None if sample_space is None else sample_space.get(name)
            if space is not None:
                found = np.where(np.asarray(space, dtype=bool), found, np.nan)
            beside[of_column[name]] = np.ascontiguousarray(found)
        if sample_weight is not None:
            weight = np.asarray(sample_weight, dtype=float)
            if weight.ndim != 1 or len(weight) != count:
                raise ValueError(f"sample_weight has the shape {weight.shape}, and there are {count} rows")
            if not weight.any():
                raise _pleiad.DataError("every row has the weight zero, so that there is nothing to learn from")
            beside[_free("weight", columns)] = np.ascontiguousarray(weight)
        return beside

    def _config(self, data, tables, features) -> dict[str, Any]:
        model = self.model if self.model is not None else PLE()
        train = {_KEYS.get(name, name): getattr(self, name) for name in _TRAIN if getattr(self, name) is not None}
        if self.request is not None:
            data["request"] = self.request
        config: dict[str, Any] = {
            "data": data,
            "feature": [dict(feature) for feature in features],
            "task": tables,
            "model": model.to_config() if isinstance(model, Structure) else dict(model),
            "train": train,
        }
        if self.rank is not None:
            config["rank"] = dict(self.rank)
        return config

    # Predicting

    def _fitted(self) -> Any:
        if not hasattr(self, "_model"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' first.")
        return self._model

    @staticmethod
    def _of_files(model: Any, paths: list[str], score: bool) -> tuple[list[bytes], bytes]:
        with tempfile.TemporaryDirectory(prefix="pleiad-") as folder:
            return model.predict_files(paths, Path(folder) / "predictions.arrow", score)

    def _rows(self, X: Any) -> Any:
        self._fitted()
        rows, columns, _ = rows_of(X)
        of_matrix = not (isinstance(X, dict) or hasattr(X, "columns") or is_arrow(X))
        if of_matrix and len(columns) != self.n_features_in_:
            raise ValueError(
                f"X has {len(columns)} features, but {type(self).__name__} is expecting {self.n_features_in_} features as input."
            )
        return rows

    def predict_all(self, X: Any) -> dict[str, np.ndarray]:
        """The prediction of each task, by name: arrays of shape (n,), probabilities of binary tasks and values of regressions.

        Examples
        --------
        >>> {task: values.shape for task, values in ranker.predict_all(x).items()}
        {'click': (400,), 'watch': (400,)}
        """
        paths = paths_of(X)
        if paths is not None:
            parts, _ = self._of_files(self._fitted(), paths, False)
        else:
            rows = self._rows(X)
            parts = self._model.predict(rows)
        return {name: np.frombuffer(part, dtype="<f4") for name, part in zip(self.task_names_, parts)}

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the binary tasks: a list of arrays of shape (n, 2), of one task the array itself.

        Examples
        --------
        >>> [probabilities.shape for probabilities in ranker.predict_proba(x)]
        [(400, 2)]
        """
        predictions = self.predict_all(X)
        parts = []
        for name, is_binary in zip(self.task_names_, self._binary):
            if is_binary:
                of_one = predictions[name].astype(np.float64)
                parts.append(np.column_stack([1.0 - of_one, of_one]))
        if not parts:
            raise AttributeError("predict_proba is of binary tasks, and there is none")
        return parts[0] if len(self.task_names_) == 1 else parts

    def predict(self, X: Any) -> np.ndarray:
        """Classes of binary tasks and values of regressions: an array of shape (n, T), of one task (n,).

        Examples
        --------
        >>> found = ranker.predict(x)
        >>> found.shape, np.unique(found[:, 0])
        ((400, 2), array([0., 1.]))
        """
        predictions = self.predict_all(X)
        columns = [
            classes[(predictions[name] >= 0.5).astype(int)] if is_binary else predictions[name].astype(np.float64)
            for name, is_binary, classes in zip(self.task_names_, self._binary, self._classes)
        ]
        return columns[0] if len(columns) == 1 else np.column_stack(columns)

    @property
    def classes_(self) -> Any:
        """Classes of the binary tasks: a list of arrays of shape (2,), of one task the array itself.

        Examples
        --------
        >>> ranker.classes_
        [array([0, 1])]
        """
        if not hasattr(self, "_classes"):
            raise AttributeError("classes_ is there after fit")
        binary = [classes for classes, is_binary in zip(self._classes, self._binary) if is_binary]
        return binary[0] if len(self._classes) == 1 and binary else binary

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The mean over tasks of AUC (binary) and R2 (regressions) on rows with labels; larger is better.

        Examples
        --------
        >>> ranker.score(x, y) > 0.7
        True
        """
        if paths_of(X) is not None:
            raise TypeError("score is of rows in memory; of files, `pleiad evaluate` measures a saved model")
        predictions = self.predict_all(X)
        own = _own_columns(y, [])
        labels = labels_of(y, self.task_names_) if own is None else {name: np.asarray(X[name]) for name in own}
        scores = []
        for name, is_binary, classes in zip(self.task_names_, self._binary, self._classes):
            truth = encoded(labels[name], classes if is_binary else None)
            there = ~np.isnan(truth)
            weight = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
            found = (auc if is_binary else r2)(predictions[name][there].astype(float), truth[there], weight[there])
            if found is not None:
                scores.append(found)
        if not scores:
            raise ValueError("no task has labels of both classes, or labels that differ")
        return float(np.mean(scores))

    def score_rows(self, X: Any, **exponents: float) -> np.ndarray:
        """The score of each row by equation 1, an array of shape (n,). ``score_rows(X, share=2)`` changes the exponent of a task;
        0 leaves it out.

        Examples
        --------
        >>> ranker.score_rows(x).shape
        (400,)
        >>> np.allclose(ranker.score_rows(x, click=1, watch=0), ranker.predict_all(x)["click"])
        True
        """
        sets = [f"rank.score.{json.dumps(name)}={float(power)!r}" for name, power in exponents.items()]
        paths = paths_of(X)
        if paths is not None:
            model = self._fitted()
            if sets:
                with self._unpacked() as folder:
                    model = _pleiad.Model.open(folder, sets)
            return np.frombuffer(self._of_files(model, paths, True)[1], dtype="<f8")
        return np.frombuffer(self._model.score(self._rows(X), sets), dtype="<f8")

    def rank_rows(self, X: Any, by: Any = None, top: int | None = None, **exponents: float) -> dict[str, np.ndarray]:
        """Orders the rows of each request by score, the highest first; of equal scores the row that stands first.

        Parameters
        ----------
        X : as in :meth:`predict`
            Candidates.
        by : array of shape (n,), or name of a column of X, optional
            The request of each row; without it all rows are one. Requests come in the order in which they are met.
        top : int, optional
            How many rows of each request.
        **exponents
            As in :meth:`score_rows`.

        Returns
        -------
        dict of arrays of shape (m,)
            ``row``, the number of the row in X; ``rank``, from 1 in each request; ``score``.

        Examples
        --------
        >>> best = ranker.rank_rows(x, by="city", top=2)
        >>> best["rank"], best["row"].shape
        (array([1, 2, 1, 2, 1, 2]), (6,))
        """
        if isinstance(by, str) and paths_of(X) is not None:
            raise TypeError("of files by is an array; `pleiad predict --by` orders them by a column")
        scores = self.score_rows(X, **exponents)
        requests = np.zeros(len(scores), dtype=int) if by is None else np.asarray(X[by] if isinstance(by, str) else by)
        if requests.shape != scores.shape:
            raise ValueError(f"by has the shape {requests.shape}, and there are {len(scores)} rows")
        _, first, of = np.unique(requests, return_index=True, return_inverse=True)
        met = first[of]
        # By request, by score, by place: the last key counts most, and scores are negated since sorting goes up.
        order = np.lexsort((np.arange(len(scores)), -scores, met))
        starts = np.r_[True, met[order][1:] != met[order][:-1]] if len(order) else np.array([], dtype=bool)
        position = np.arange(len(order))
        rank = position - np.maximum.accumulate(np.where(starts, position, 0)) + 1 if len(order) else position
        kept = rank <= (len(order) if top is None else top)
        return {"row": order[kept], "rank": rank[kept], "score": scores[order][kept]}

    # Explaining

    def explain(self, X: Any) -> Explained:
        """What gates and experts do on these rows: the weights that each gate gives its experts. Labels are not needed.

        Examples
        --------
        >>> [(row["gate"], row["expert"]) for row in ranker.explain(x).gates[:2]]
        [('gates.click', 'experts.0'), ('gates.click', 'experts.1')]
        """
        paths = paths_of(X)
        if paths is not None:
            return Explained(self._fitted().observe_files(paths))
        rows = self._rows(X)
        return Explained(self._model.observe(rows))

    @property
    def gates_(self) -> list[dict[str, Any]]:
        """:attr:`Explained.gates` over the rows that :meth:`fit` explained the model on: the validation rows, or else the training
        rows. It is there after a fit with ``explanation`` not False.

        Examples
        --------
        >>> weights = [row["mean"] for row in ranker.gates_ if row["gate"] == "gates.click"]
        >>> len(weights), round(sum(weights), 6)
        (2, 1.0)
        """
        explanation: Any = getattr(self, "_explanation", None)
        if explanation is None:
            raise AttributeError("gates_ is there after fit, where explanation is not False; explain(X) looks at rows of your own")
        return Explained(explanation).gates

    # Saving

    def _unpacked(self) -> Any:
        """A folder with the model, while it is looked at."""

        @contextmanager
        def unpacked():
            with tempfile.TemporaryDirectory(prefix="pleiad-") as folder:
                model = Path(folder) / "model"
                unpack(self._artifact, model)
                yield model

        return unpacked()

    def to_onnx(self, path: str | os.PathLike[str], inputs: str = "columns") -> dict[str, Any]:
        """Writes the model as an ONNX file that must not be there.

        Parameters
        ----------
        path : path
            The file. Weights above 2 GiB go to ``path.data`` beside it.
        inputs : {"columns", "ids"}
            The inputs of the file: columns of a log, or their encoded values (for runtimes without ``ai.onnx.ml``).

        Returns
        -------
        dict
            ``inputs`` and ``outputs``, each with ``name``, ``type``, ``shape`` and what it ``holds``.

        Examples
        --------
        >>> written = ranker.to_onnx("model.onnx")
        >>> [(output["name"], output["shape"]) for output in written["outputs"]]
        [('click', ['batch']), ('watch', ['batch']), ('score', ['batch'])]
        """
        self._fitted()
        with self._unpacked() as folder:
            return json.loads(_pleiad.export_onnx(folder, Path(path), inputs))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as the command line writes it: a folder that must not be there, or be empty.

        Examples
        --------
        >>> ranker.save("model")
        >>> pleiad.Ranker.load("model").task_names_
        ['click', 'watch']
        """
        self._fitted()
        target = Path(path)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FileExistsError(f"{target} is there already")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pleiad-") as folder:
            unpacked = Path(folder) / "model"
            unpack(self._artifact, unpacked)
            if target.exists():
                target.rmdir()
            os.rename(unpacked, target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Ranker":
        """A ranker that predicts as the model in a folder does, which Python or the command has saved.

        Examples
        --------
        >>> ranker.save("model")
        >>> bool((pleiad.Ranker.load("model").predict(x) == ranker.predict(x)).all())
        True
        """
        ranker = cls()
        ranker._open(Path(path))
        ranker._artifact = packed(Path(path))
        return ranker

    def _open(self, path: Path) -> None:
        self._model = _pleiad.Model.open(path)
        description = json.loads(self._model.describe())
        self.task_names_ = [task["name"] for task in description["tasks"]]
        self._binary = [task["kind"] == "binary" for task in description["tasks"]]
        if not hasattr(self, "_classes"):
            self._classes = [np.array([0, 1]) for _ in self.task_names_]
        self._columns = list(dict.fromkeys(description["columns"]))
        if not hasattr(self, "n_features_in_"):
            self.n_features_in_ = len(self._columns)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_model", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_artifact" in state:
            with self._unpacked() as folder:
                self._open(folder)

    # Configurations

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], *sets: str) -> "Ranker":
        """A ranker with the parameters of a configuration file: tasks, features, ``[model]``, ``[train]`` and ``[rank]``.

        :meth:`fit` gets the rows. Labels are those of the file, so ``y`` names columns of X.

        Examples
        --------
        >>> from pathlib import Path
        >>> text = ranker.to_config().replace("[data]", '[data]\\ntrain = "rows.csv"')
        >>> written = Path("config.toml").write_text(text)
        >>> again = pleiad.Ranker.from_config("config.toml", "train.epochs=5")
        >>> again.epochs, again.model
        (5, MMoE(experts=2, widths=[8], tower=[4], activation='relu', dropout=0.0, gate_bias=False, gate_start='zero'))
        """
        config = json.loads(_pleiad.load_config(Path(path), list(sets)))
        train = {_PARAMETER_OF.get(key, key): value for key, value in config.get("train", {}).items()}
        train = {name: value for name, value in train.items() if name in _TRAIN}
        model = structure_of(config["model"]) if config.get("model") else None
        return cls(model, config["task"], config["feature"], rank=config.get("rank"), request=config["data"].get("request"), **train)

    def to_config(self) -> str:
        """The configuration that :meth:`fit` trained with, as the text of a file; ``[data]`` still has to name files.

        Examples
        --------
        >>> "epochs = 20" in ranker.to_config()
        True
        """
        if not hasattr(self, "config_"):
            raise NotFittedError("the configuration is known after fit")
        return _pleiad.write_config(json.dumps(self.config_))

    # scikit-learn

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _own_columns(y: Any, columns: list[str]) -> list[str] | None:
    """Names of columns of X, if y is such names."""
    if isinstance(y, str):
        return [y]
    if isinstance(y, (list, tuple)) and y and all(isinstance(name, str) for name in y) and len(y) <= max(len(columns), 1):
        return list(y) if not columns or all(name in columns for name in y) else None
    return None


def _free(name: str, columns: Sequence[str]) -> str:
    """A name that no column of X has."""
    while name in columns:
        name += "_"
    return name
