"""Weights of PyTorch packages: the fixtures of the command's own tests (tools/golden/torch_packages.py made them)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pleiad

FIXTURES = Path(__file__).parents[2] / "crates/cli/tests/torch_packages"


def state_of(case):
    """The tensors of a safetensors file."""
    data = (FIXTURES / case / "state.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    types = {"F32": "<f4", "I64": "<i8"}
    state = {}
    for name, tensor in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            first, end = (8 + size + at for at in tensor["data_offsets"])
            state[name] = np.frombuffer(data[first:end], types[tensor["dtype"]]).reshape(tensor["shape"])
    return state


class Tensor:
    """As much of a tensor of PyTorch as is asked for."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


@pytest.mark.parametrize("case", ["rechub_ple", "rechub_mmoe", "deepctr_mmoe", "mtreclib_ple", "blog_ple"])
def test_a_package_is_predicted_alike(case, tmp_path):
    source = {"rechub": "torch-rechub", "deepctr": "deepctr-torch"}.get(case.split("_")[0], case.split("_")[0])
    state = {name: Tensor(array) for name, array in state_of(case).items()}
    ranker = pleiad.from_state_dict(state, FIXTURES / case / "config.toml", source=source, out=tmp_path / "model")
    expected = pd.read_csv(FIXTURES / case / "predictions.csv")
    found = ranker.predict_all(FIXTURES / case / "rows.csv")
    for task in expected:
        assert np.allclose(found[task], expected[task], rtol=1e-6, atol=1e-6), task
    assert ranker.import_["model"]["kind"] in ("ple", "mmoe", "cgc")
    again = pleiad.Ranker.load(tmp_path / "model")
    assert (again.predict_all(FIXTURES / case / "rows.csv")[task] == found[task]).all()


def test_what_cannot_be_carried_over_is_named():
    config = FIXTURES / "rechub_ple/config.toml"
    state = state_of("rechub_ple")
    with pytest.raises(ValueError, match="torch-rechub, deepctr-torch"):
        pleiad.from_state_dict(state, config, source="rechub")
    with pytest.raises((ValueError, RuntimeError), match="stranger"):
        pleiad.from_state_dict({**state, "stranger.weight": np.zeros((2, 2), np.float32)}, config, source="torch-rechub")
    with pytest.raises(TypeError, match="'odd'"):
        pleiad.from_state_dict({**state, "odd": np.array(["a"])}, config, source="torch-rechub")
