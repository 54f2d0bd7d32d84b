"""Structures of models: what ``[model]`` of a configuration says, as objects that scikit-learn can clone and search over."""

from __future__ import annotations

from typing import Any


class Structure:
    """A structure and its keys, as ``[model]`` has them. Keys that are not given have the documented defaults.

    Examples
    --------
    >>> pleiad.MMoE(experts=4, widths=[64, 32], tower=[16])
    MMoE(experts=4, widths=[64, 32], tower=[16])
    """

    kind: str = ""

    def __init__(self, **keys: Any) -> None:
        self._keys = keys

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The keys that were given.

        Examples
        --------
        >>> pleiad.MMoE(experts=4).get_params()
        {'experts': 4}
        """
        return dict(self._keys)

    def set_params(self, **keys: Any) -> "Structure":
        """Replaces or adds keys.

        Examples
        --------
        >>> pleiad.MMoE(experts=4).set_params(experts=8, tower=[16])
        MMoE(experts=8, tower=[16])
        """
        self._keys.update(keys)
        return self

    def to_config(self) -> dict[str, Any]:
        """The table ``[model]``.

        Examples
        --------
        >>> pleiad.MMoE(experts=4).to_config()
        {'kind': 'mmoe', 'experts': 4}
        """
        return {"kind": self.kind, **self._keys}

    def __repr__(self) -> str:
        keys = ", ".join(f"{key}={value!r}" for key, value in self._keys.items())
        return f"{type(self).__name__}({keys})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._keys == other._keys  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]


class PLE(Structure):
    """Progressive Layered Extraction (Tang et al., RecSys 2020): levels of task-own and shared experts, joined by gates.

    Examples
    --------
    >>> level = {"task_experts": 1, "shared_experts": 1, "widths": [16]}
    >>> ranker = pleiad.Ranker(pleiad.PLE(levels=[level, level], tower=[8]), epochs=20, batch_size=32).fit(x, y)
    >>> ranker.predict(x).shape
    (400, 2)
    """

    kind = "ple"


class CGC(Structure):
    """Customized Gate Control: one level of :class:`PLE`.

    Examples
    --------
    >>> pleiad.Ranker(pleiad.CGC(task_experts=1, shared_experts=1, widths=[16]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "cgc"


class MMoE(Structure):
    """Multi-gate Mixture of Experts (Ma et al., KDD 2018): shared experts, a gate per task.

    Examples
    --------
    >>> pleiad.Ranker(pleiad.MMoE(experts=3, widths=[16], tower=[8]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "mmoe"


class MLMMoE(Structure):
    """MMoE in several levels.

    Examples
    --------
    >>> levels = [{"experts": 2, "widths": [16]}, {"experts": 2, "widths": [8]}]
    >>> pleiad.Ranker(pleiad.MLMMoE(levels=levels), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "ml-mmoe"


class HardSharing(Structure):
    """One bottom for all tasks, a tower each.

    Examples
    --------
    >>> pleiad.Ranker(pleiad.HardSharing(bottom=[16], tower=[8]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "hard-sharing"


class AsymmetricSharing(Structure):
    """A bottom per task; some tasks read others' bottoms, too.

    Examples
    --------
    >>> sharing = pleiad.AsymmetricSharing(bottom=[16], tower=[8], borrow={"watch": ["click"]})
    >>> pleiad.Ranker(sharing, epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "asymmetric-sharing"


class CustomizedSharing(Structure):
    """A shared bottom and one per task.

    Examples
    --------
    >>> pleiad.Ranker(pleiad.CustomizedSharing(bottom=[16], tower=[8]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "customized-sharing"


class CrossStitch(Structure):
    """A network per task, mixed layer by layer (Misra et al., CVPR 2016).

    Examples
    --------
    >>> pleiad.Ranker(pleiad.CrossStitch(bottom=[16, 8], tower=[4]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "cross-stitch"


class Sluice(Structure):
    """Sluice network (Ruder et al., AAAI 2019).

    Examples
    --------
    >>> pleiad.Ranker(pleiad.Sluice(bottom=[8, 8], tower=[4]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

    kind = "sluice"


class ESMM(Structure):
    """Entire Space Multi-Task Model (Ma et al., SIGIR 2018): a funnel of events.

    Examples
    --------
    >>> events = {"click": click, "buy": click * (x["city"] == "Oslo")}
    >>> ranker = pleiad.Ranker(pleiad.ESMM(funnel=["click", "buy"], tower=[16]), epochs=20, batch_size=32).fit(x, events)
    >>> ranker.predict_all(x)["buy"].shape
    (400,)
    """

    kind = "esmm"


class AITM(Structure):
    """Adaptive Information Transfer (Xi et al., KDD 2021): a funnel of events.

    Examples
    --------
    >>> events = {"click": click, "buy": click * (x["city"] == "Oslo")}
    >>> ranker = pleiad.Ranker(pleiad.AITM(funnel=["click", "buy"], bottom=[16], tower=[8]), epochs=20, batch_size=32).fit(x, events)
    >>> ranker.predict_all(x)["buy"].shape
    (400,)
    """

    kind = "aitm"


class SingleTask(Structure):
    """A network per task, nothing shared: the baseline of every gain.

    Examples
    --------
    >>> pleiad.Ranker(pleiad.SingleTask(bottom=[16], tower=[8]), epochs=20, batch_size=32).fit(x, y).predict(x).shape
    (400, 2)
    """

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
