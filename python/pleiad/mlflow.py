"""Runs and models in MLflow: the extra ``pleiad[mlflow]``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._pleiad import __version__
from ._ranker import Ranker
from .callbacks import metrics_of, params_of

if TYPE_CHECKING:
    from mlflow.models import Model

__all__ = [
    "FLAVOR_NAME",
    "Callback",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME = "pleiad"
#: The folder of the artifact within a model of MLflow: the files that the command saves.
_FOLDER = "model"


class Callback:
    """Logs the settings of a fit and the metrics of each epoch into the active run, or the run ``run_id``.

    Parameters
    ----------
    run_id : str, optional
        The run. By default the active one; if there is none, a new one is started.
    prefix : str
        What the names of metrics start with.

    Examples
    --------
    >>> import mlflow, pleiad.mlflow
    >>> with mlflow.start_run() as run:
    ...     fit = pleiad.Ranker(small, epochs=20, batch_size=32).fit(x, y, callback=pleiad.mlflow.Callback())
    >>> found = mlflow.get_run(run.info.run_id).data
    >>> found.params["model.kind"], "loss/click" in found.metrics
    ('mmoe', True)
    """

    def __init__(self, run_id: str | None = None, prefix: str = "") -> None:
        self.run_id = run_id
        self.prefix = prefix

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes an event of :meth:`pleiad.Ranker.fit`."""
        import mlflow

        if event["event"] == "config":
            # MLflow takes 6,000 characters a value; a structure of many levels may have more.
            params = {name: str(value)[:6000] for name, value in params_of(event["config"]).items()}
            mlflow.MlflowClient().log_batch(self._run(), params=[mlflow.entities.Param(*each) for each in params.items()])
        elif event["event"] == "epoch":
            # Names such as ndcg@10 have what MLflow does not take.
            named = {re.sub(r"[^\w/.\- :]", "_", self.prefix + name): of for name, of in metrics_of(event["record"]).items()}
            mlflow.log_metrics(named, step=event["record"]["epoch"], run_id=self._run())

    def _run(self) -> str:
        import mlflow

        if self.run_id is None:
            active = mlflow.active_run() or mlflow.start_run()
            self.run_id = active.info.run_id
        return self.run_id


def get_default_pip_requirements() -> list[str]:
    """What an environment needs that serves the model.

    Examples
    --------
    >>> import pleiad.mlflow
    >>> pleiad.mlflow.get_default_pip_requirements() == [f"pleiad=={pleiad.__version__}"]
    True
    """
    return [f"pleiad=={__version__}"]


def get_default_conda_env() -> dict[str, Any]:
    """What an environment needs that serves the model, as an environment of conda.

    Examples
    --------
    >>> import mlflow, pleiad.mlflow
    >>> pleiad.mlflow.get_default_conda_env()["name"]
    'mlflow-env'
    """
    from mlflow.utils.environment import _mlflow_conda_env

    return _mlflow_conda_env(additional_pip_deps=get_default_pip_requirements())


def save_model(
    ranker: Ranker,
    path: str | os.PathLike[str],
    *,
    mlflow_model: "Model | None" = None,
    signature: Any = None,
    input_example: Any = None,
    conda_env: Any = None,
    pip_requirements: Any = None,
    extra_pip_requirements: Any = None,
    code_paths: Any = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Saves a ranker as a model of MLflow: the flavour ``pleiad``, and ``python_function``, which serves it.

    Parameters
    ----------
    ranker : Ranker
        A fitted ranker.
    path : path
        A folder that is not there.
    signature : mlflow.models.ModelSignature, optional
        Columns and their types. By default those of the input example.
    input_example : data frame, optional
        Some rows.
    conda_env, pip_requirements, extra_pip_requirements, code_paths, metadata
        As for every flavour of MLflow.

    Examples
    --------
    >>> import mlflow, pandas, pleiad.mlflow
    >>> pleiad.mlflow.save_model(ranker, "saved", input_example=pandas.DataFrame(x).head(3))
    >>> served = mlflow.pyfunc.load_model("saved")
    >>> served.predict(pandas.DataFrame(x)).shape
    (400, 3)
    """
    import yaml
    from mlflow import pyfunc
    from mlflow.models import Model, infer_signature
    from mlflow.models.model import MLMODEL_FILE_NAME
    from mlflow.models.utils import _save_example
    from mlflow.utils.environment import _process_conda_env, _process_pip_requirements, _PythonEnv
    from mlflow.utils.model_utils import _validate_and_copy_code_paths, _validate_and_prepare_target_save_path

    target = Path(path)
    _validate_and_prepare_target_save_path(str(target))
    code = _validate_and_copy_code_paths(code_paths, str(target))
    ranker.save(target / _FOLDER)
    description = mlflow_model if mlflow_model is not None else Model()
    if input_example is not None:
        saved = _save_example(description, input_example, str(target))
        if signature is None:
            rows = saved.inference_data if saved is not None else input_example
            signature = infer_signature(rows, _Served(ranker).predict(rows))
    if signature is not None:
        description.signature = signature
    if metadata is not None:
        description.metadata = metadata
    pyfunc.add_to_model(
        description,
        loader_module="pleiad.mlflow",
        data=_FOLDER,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        code=code,
    )
    description.add_flavor(FLAVOR_NAME, pleiad_version=__version__, data=_FOLDER, tasks=list(ranker.task_names_), code=code)
    description.save(str(target / MLMODEL_FILE_NAME))
    if conda_env is None:
        default = get_default_pip_requirements() if pip_requirements is None else None
        conda_env, requirements, constraints = _process_pip_requirements(default, pip_requirements, extra_pip_requirements)
    else:
        conda_env, requirements, constraints = _process_conda_env(conda_env)
    (target / "conda.yaml").write_text(yaml.safe_dump(conda_env, default_flow_style=False), encoding="utf-8")
    (target / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
    if constraints:
        (target / "constraints.txt").write_text("\n".join(constraints), encoding="utf-8")
    _PythonEnv.current().to_yaml(str(target / "python_env.yaml"))


def log_model(ranker: Ranker, name: str = "model", *, registered_model_name: str | None = None, **options: Any) -> Any:
    """Logs a ranker into the active run, and gives its ``ModelInfo``; options are those of :func:`save_model`.

    Examples
    --------
    >>> import mlflow, pandas, pleiad.mlflow
    >>> with mlflow.start_run():
    ...     info = pleiad.mlflow.log_model(ranker, input_example=pandas.DataFrame(x).head(3))
    >>> pleiad.mlflow.load_model(info.model_uri).task_names_
    ['click', 'watch']
    """
    import sys

    from mlflow.models import Model

    return Model.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        ranker=ranker,
        registered_model_name=registered_model_name,
        **options,
    )


def load_model(model_uri: str, dst_path: str | None = None) -> Ranker:
    """The ranker of a model that :func:`save_model` or :func:`log_model` has written: ``models:/name/1``, ``runs:/id/model``, a path.

    Examples
    --------
    >>> import mlflow, pleiad.mlflow
    >>> pleiad.mlflow.save_model(ranker, "saved")
    >>> pleiad.mlflow.load_model("saved").predict(x).shape
    (400, 2)
    """
    from mlflow.tracking.artifact_utils import _download_artifact_from_uri
    from mlflow.utils.model_utils import _get_flavor_configuration

    folder = _download_artifact_from_uri(artifact_uri=model_uri, output_path=dst_path)
    flavor = _get_flavor_configuration(model_path=folder, flavor_name=FLAVOR_NAME)
    return Ranker.load(Path(folder) / flavor.get("data", _FOLDER))


class _Served:
    """The model that ``python_function`` serves. It gives a frame with a column for each task, and ``score`` where the model has one."""

    def __init__(self, ranker: Ranker) -> None:
        self.ranker = ranker

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        import json

        import pandas

        found: dict[str, Any] = dict(self.ranker.predict_all(rows))
        if json.loads(self.ranker._model.describe())["rank"] is not None:
            found = {"score": self.ranker.score_rows(rows), **found}
        return pandas.DataFrame(found, index=getattr(rows, "index", None) if hasattr(rows, "iloc") else None)


def _load_pyfunc(path: str) -> _Served:
    """MLflow calls this to serve the model, with the folder of the artifact."""
    return _Served(Ranker.load(path))
