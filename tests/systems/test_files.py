"""The size of a model is that of a file."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import MLP
from tinytorch.systems import file_bytes
from tinytorch.systems.quantization import quantize_dynamic

pytestmark = pytest.mark.nojit_ok


def test_it_is_the_size_of_a_file_with_all_that_the_state_holds(tmp_path, monkeypatch):
    import safetensors.numpy

    written = {}
    save_file = safetensors.numpy.save_file

    def keep(arrays, path):
        written.update(path=path)
        save_file(arrays, path)
        save_file(arrays, tmp_path / "copy.safetensors")

    monkeypatch.setattr(safetensors.numpy, "save_file", keep)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    size = file_bytes(model)
    assert size == (tmp_path / "copy.safetensors").stat().st_size
    assert not written["path"].exists()
    with safe_open(tmp_path / "copy.safetensors", framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state = model.state_dict()
    assert found.keys() == state.keys()
    for name, array in found.items():
        assert np.array_equal(array, state[name].data)
        assert array.dtype == state[name].dtype


def test_codes_that_are_kept_in_float_show():
    small = quantize_dynamic(MLP(64, (128, 64), 10))
    size = file_bytes(small)
    for module in small.modules():
        if hasattr(module, "codes"):
            module.codes = tt.Tensor(module.codes.data.astype(np.float32))
    assert file_bytes(small) > 3 * size


def test_a_transposed_parameter_is_written_whole():
    model = nn.Linear(3, 5)
    model.weight = nn.Parameter(np.arange(15, dtype=np.float32).reshape(3, 5).T)
    assert file_bytes(model) == file_bytes(nn.Linear(3, 5))
