"""Sparse files: what is read is what was written, and the bytes are those of the disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import MLP
from tinytorch.systems import file_bytes, load_sparse, prune_magnitude, save_sparse, sparse_file_bytes


@given(
    shape=st.lists(st.integers(0, 9), max_size=3),
    share=st.floats(0, 1),
    dtype=st.sampled_from(["float32", "float64", "int8", "int64", "bool"]),
)
@pytest.mark.nojit_ok
def test_any_array_comes_back(tmp_path_factory, shape, share, dtype):
    rng = np.random.default_rng(0)
    array = np.asarray(rng.integers(1, 100, shape) * (rng.random(shape) > share)).astype(dtype)
    path = tmp_path_factory.mktemp("sparse") / "array.safetensors"
    save_sparse({"a.b": array}, path)
    read = load_sparse(path)["a.b"].data
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert (read == array).all()


@pytest.mark.nojit_ok
def test_a_model_comes_back(tmp_path):
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    prune_magnitude(model, 0.8)
    path = tmp_path / "model.safetensors"
    assert save_sparse(model, path) == path.stat().st_size
    other = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    other.load_state_dict(load_sparse(path))
    for name, tensor in model.state_dict().items():
        assert (other.state_dict()[name].data == tensor.data).all()


@pytest.mark.nojit_ok
def test_only_zeros_save_bytes():
    model = MLP(256, (128, 64), 10)
    dense = file_bytes(model)
    assert sparse_file_bytes(model) > dense, "a bit for each weight, or a larger header, and nothing saved"
    pruner = prune_magnitude(model, 0.8)
    assert file_bytes(model) == dense, "a dense file stores the zeros"
    weights = sum(mask.size for mask in pruner.masks.values())
    assert sparse_file_bytes(model) < 0.2 * 4 * weights + weights / 8 + 4 * 202 + 3000


@pytest.mark.nojit_ok
def test_other_files_are_refused(tmp_path):
    tt.save({"weight": tt.ones(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match=r"expected a file that save_sparse wrote, got .*plain"):
        load_sparse(tmp_path / "plain.safetensors")
    broken = {"shape": [4], "bits": np.packbits([1, 1, 0, 0]), "values": np.ones(3, np.float32)}
    tt.save({"dense": {}, "sparse": {"w": broken}}, tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match="the bits of w do not fit its values"):
        load_sparse(tmp_path / "broken.safetensors")
    with pytest.raises(FileNotFoundError, match="no file"):
        load_sparse(tmp_path / "nothing.safetensors")
