"""Multi-task ranking: train, compare, explain and serve PLE and its relatives."""

from . import callbacks
from ._compare import Comparison, compare
from ._explained import Explained
from ._infer import Inferred, infer
from ._pleiad import ConfigError, DataError, Error, RunError, __version__
from ._ranker import NotFittedError, Ranker
from ._scorer import Scorer
from ._structures import (
    AITM,
    CGC,
    ESMM,
    PLE,
    AsymmetricSharing,
    CrossStitch,
    CustomizedSharing,
    HardSharing,
    MLMMoE,
    MMoE,
    SingleTask,
    Sluice,
    Structure,
)
from ._torch import from_state_dict

__all__ = [
    "AITM",
    "CGC",
    "ESMM",
    "PLE",
    "AsymmetricSharing",
    "Comparison",
    "ConfigError",
    "CrossStitch",
    "CustomizedSharing",
    "DataError",
    "Error",
    "Explained",
    "HardSharing",
    "Inferred",
    "MLMMoE",
    "MMoE",
    "NotFittedError",
    "Ranker",
    "RunError",
    "Scorer",
    "SingleTask",
    "Sluice",
    "Structure",
    "__version__",
    "callbacks",
    "compare",
    "from_state_dict",
    "infer",
]
