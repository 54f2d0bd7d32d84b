"""Multi-task structures in plain PyTorch, one file per structure, written to be read rather than to be fast.

State dicts carry Pleiad's tensor names, so a file saved here can be imported there and the other way round.
"""

from .aitm import AITM
from .asymmetric_sharing import AsymmetricSharing
from .cross_stitch import CrossStitch
from .customized_sharing import CustomizedSharing
from .esmm import ESMM
from .hard_sharing import HardSharing
from .interaction import cross, widened
from .ml_mmoe import MultiLevelMMoE
from .mmoe import MMoE
from .ple import PLE, as_ple
from .single_task import SingleTask
from .sluice import Sluice

STRUCTURES = {
    "ple": PLE,
    "cgc": lambda features, tasks, model: PLE(features, tasks, as_ple(model)),
    "mmoe": MMoE,
    "ml-mmoe": MultiLevelMMoE,
    "cross-stitch": CrossStitch,
    "sluice": Sluice,
    "esmm": ESMM,
    "aitm": AITM,
    "customized-sharing": CustomizedSharing,
    "asymmetric-sharing": AsymmetricSharing,
    "hard-sharing": HardSharing,
    "single-task": SingleTask,
}


def build(features, tasks, model, interaction=None):
    """The structure that the `[model]` table of a configuration describes, over the crosses of `[interaction]`."""
    structure = STRUCTURES[model["kind"]]
    if interaction is None:
        return structure(features, tasks, model)
    return cross(structure(widened(features, interaction), tasks, model), features, interaction)
