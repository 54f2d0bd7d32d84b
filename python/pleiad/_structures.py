"""Structures of models: what ``[model]`` of a configuration says, as objects that scikit-learn can clone and search over."""

from __future__ import annotations

from typing import Any


class Structure:
    """A structure and its keys, as ``[model]`` has them. Keys that are not given have the documented defaults.

    >>> MMoE(experts=4, widths=[64, 32], tower=[16])
    MMoE(experts=4, widths=[64, 32], tower=[16])
    """

    kind: str = ""

    def __init__(self, **keys: Any) -> None:
        self._keys = keys

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The keys that were given."""
        return dict(self._keys)

    def set_params(self, **keys: Any) -> "Structure":
        """Replaces or adds keys."""
        self._keys.update(keys)
        return self

    def to_config(self) -> dict[str, Any]:
        """The table ``[model]``."""
        return {"kind": self.kind, **self._keys}

    def __repr__(self) -> str:
        keys = ", ".join(f"{key}={value!r}" for key, value in self._keys.items())
        return f"{type(self).__name__}({keys})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._keys == other._keys  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]


class PLE(Structure):
    """Progressive Layered Extraction (Tang et al., RecSys 2020): levels of task-own and shared experts, joined by gates."""

    kind = "ple"


class CGC(Structure):
    """Customized Gate Control: one level of :class:`PLE`."""

    kind = "cgc"


class MMoE(Structure):
    """Multi-gate Mixture of Experts (Ma et al., KDD 2018): shared experts, a gate per task."""

    kind = "mmoe"


class MLMMoE(Structure):
    """MMoE in several levels."""

    kind = "ml-mmoe"


class HardSharing(Structure):
    """One bottom for all tasks, a tower each."""

    kind = "hard-sharing"


class AsymmetricSharing(Structure):
    """A bottom per task; some tasks read others' bottoms, too."""

    kind = "asymmetric-sharing"


class CustomizedSharing(Structure):
    """A shared bottom and one per task."""

    kind = "customized-sharing"


class CrossStitch(Structure):
    """A network per task, mixed layer by layer (Misra et al., CVPR 2016)."""

    kind = "cross-stitch"


class Sluice(Structure):
    """Sluice network (Ruder et al., AAAI 2019)."""

    kind = "sluice"


class ESMM(Structure):
    """Entire Space Multi-Task Model (Ma et al., SIGIR 2018): a funnel of events."""

    kind = "esmm"


class AITM(Structure):
    """Adaptive Information Transfer (Xi et al., KDD 2021): a funnel of events."""

    kind = "aitm"


class SingleTask(Structure):
    """A network per task, nothing shared: the baseline of every gain."""

    kind = "single-task"


KINDS: dict[str, type[Structure]] = {
    structure.kind: structure
    for structure in (
        PLE,
        CGC,
        MMoE,
        MLMMoE,
        HardSharing,
        AsymmetricSharing,
        CustomizedSharing,
        CrossStitch,
        Sluice,
        ESMM,
        AITM,
        SingleTask,
    )
}


def structure_of(table: dict[str, Any]) -> Structure:
    """The structure of a table ``[model]``."""
    keys = dict(table)
    kind = keys.pop("kind")
    return KINDS[kind](**keys)
