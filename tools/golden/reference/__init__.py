"""Multi-task structures in plain PyTorch, one file per structure, written to be read rather than to be fast.

State dicts carry Pleiad's tensor names, so a file saved here can be imported there and the other way round.
"""

from .hard_sharing import HardSharing
from .mmoe import MMoE
from .ple import PLE, as_ple
from .single_task import SingleTask

STRUCTURES = {
    "ple": PLE,
    "cgc": lambda features, tasks, model: PLE(features, tasks, as_ple(model)),
    "mmoe": MMoE,
    "hard-sharing": HardSharing,
    "single-task": SingleTask,
}


def build(features, tasks, model):
    """The structure that the `[model]` table of a configuration describes."""
    return STRUCTURES[model["kind"]](features, tasks, model)
