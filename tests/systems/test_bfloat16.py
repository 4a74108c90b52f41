"""bfloat16 against PyTorch's, bit for bit; and layers that keep it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, GPTConfig, LeNet
from tinytorch.systems import (
    Bfloat16Embedding,
    Bfloat16Linear,
    bfloat16_study,
    file_bytes,
    from_bfloat16,
    save_bfloat16,
    store_bfloat16,
    to_bfloat16,
)


def naive(value: float) -> float:
    """The nearest of the two bfloat16s around a finite value; of two as near, the even one."""
    bits = int(np.float32(value).view(np.uint32))
    below, above = bits >> 16, (bits >> 16) + 1
    rest = bits & 0xFFFF
    chosen = above if rest > 0x8000 or (rest == 0x8000 and below % 2) else below
    return np.uint32(chosen << 16).view(np.float32)


@pytest.mark.nojit_ok
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_rounding_is_to_the_nearest_even(value):
    assert from_bfloat16(to_bfloat16(np.float32([value])))[0] == naive(value)


@pytest.mark.nojit_ok
def test_special_values_and_shapes():
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 3.4e38, -3.4e38, 1e-45], np.float32)
    found = from_bfloat16(to_bfloat16(special))
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf, 0, np.inf, -np.inf, 0])
    assert np.signbit(found[3])
    nans = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(from_bfloat16(to_bfloat16(nans))).all()
    for shape in ((), (0, 3), (2, 1, 3)):
        assert from_bfloat16(to_bfloat16(np.ones(shape, np.float32))).shape == shape
    strided = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(strided)), strided)
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(strided)[:, ::3]), strided[:, ::3])
    assert from_bfloat16(to_bfloat16(np.array([1e300]))) == np.inf


@pytest.mark.parity
@given(hnp.arrays(np.uint32, st.integers(0, 40)))
def test_all_bits_as_pytorch_rounds_them(bits):
    torch = pytest.importorskip("torch")
    values = bits.view(np.float32)
    ours = from_bfloat16(to_bfloat16(values))
    np.testing.assert_array_equal(ours, torch.from_numpy(values).bfloat16().float().numpy())


@pytest.mark.parity
def test_pytorch_reads_our_files_as_bfloat16(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    save_bfloat16(model.state_dict(), tmp_path / "a.safetensors")
    read = load_file(tmp_path / "a.safetensors")
    assert read["0.weight"].dtype == torch.bfloat16
    assert read["1.num_batches_tracked"].dtype == torch.int64
    expected = torch.from_numpy(model[0].weight.data.copy()).bfloat16()
    assert torch.equal(read["0.weight"], expected)
    ours = tt.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(ours["0.weight"].data, expected.float().numpy())


def test_layers_compute_with_the_rounded_weights():
    tt.manual_seed(0)
    model, x = LeNet(1, 8, (4, 8), 16).eval(), tt.randn(3, 1, 8, 8)
    stored = store_bfloat16(model)
    rounded = LeNet(1, 8, (4, 8), 16).eval()
    rounded.load_state_dict(
        {
            name: from_bfloat16(to_bfloat16(t.data)) if name.endswith("weight") else t
            for name, t in model.state_dict().items()
        }
    )
    with tt.no_grad():
        np.testing.assert_array_equal(stored(x).data, rounded(x).data)
    assert [type(a).__name__.removeprefix("Bfloat16") for a in stored.modules()] == [
        type(a).__name__ for a in model.modules()
    ]
    assert {t.dtype for n, t in stored.state_dict().items() if "weight" in n} == {np.dtype(np.uint16)}
    assert list(stored.parameters()) == []
    assert file_bytes(stored) < 0.6 * file_bytes(model)


def test_a_gpt_keeps_its_shared_table_in_bfloat16():
    tt.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8)).eval()
    stored, tokens = store_bfloat16(model), tt.randint(0, 11, (2, 8))
    assert type(stored.wte) is Bfloat16Embedding
    with tt.no_grad():
        np.testing.assert_allclose(stored(tokens).data, model(tokens).data, atol=0.02)
    with pytest.raises(IndexError, match="expected indices from 0 to 10, got 0 to 11"):
        stored.wte(tt.tensor([0, 11]))


def test_a_shared_layer_stays_shared():
    layer = nn.Linear(3, 3)
    stored = store_bfloat16(nn.Sequential(layer, nn.ReLU(), layer))
    assert stored[0] is stored[2]
    assert type(store_bfloat16(layer)) is Bfloat16Linear


def test_a_study_has_measured_both():
    tt.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)), tt.randn(8, 64)
    found = bfloat16_study(model, lambda m: float(m(x).data.mean()), x, seconds=0.0)
    assert found["float32"]["bytes"] == file_bytes(model)
    assert found["smaller"] == found["float32"]["bytes"] / found["bfloat16"]["bytes"] > 1.8
    assert found["file_bytes"] < found["bfloat16"]["bytes"]
    assert found["float32"]["quality"] == pytest.approx(found["bfloat16"]["quality"], abs=0.01)
    assert found["speedup_ci95"][0] <= found["speedup"] <= found["speedup_ci95"][1]
    assert found["pays_in_time"] == (found["speedup_ci95"][0] > 1)
    assert model.training


def test_what_cannot_be_stored():
    with pytest.raises(TypeError, match="to_bfloat16: expected floating point numbers, got int64"):
        to_bfloat16(np.arange(3))
    with pytest.raises(
        TypeError, match="from_bfloat16: expected uint16, as to_bfloat16 makes them, got int16"
    ):
        from_bfloat16(np.zeros(3, np.int16))
    with pytest.raises(ValueError, match="expected a model with Linear, Conv2d or Embedding layers, got Seq"):
        store_bfloat16(nn.Sequential(nn.ReLU()))
    with pytest.raises(TypeError, match="store_bfloat16: expected a module, got int"):
        store_bfloat16(3)
