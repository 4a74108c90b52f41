"""Weights in 8 and 4 bits: the same numbers as in plain NumPy, for any shape and number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_decode
from tests.kernels.layouts import assert_same_for_any_threads, tolerance
from tests.kernels.test_decode import case
from tinytorch.kernels import weight_only as lib

BITS = (8, 4)


def weights(n: int, k: int, bits: int, group: int = 8, seed: int = 0):
    """Weights in panels, and the matrix (n, k) that they stand for, in float64."""
    rng, most = np.random.default_rng(seed), 2 ** (bits - 1)
    inputs = -(-k // 4) * 4
    group = group if bits == 4 else inputs
    codes = rng.integers(-most, most, (n, k)).astype(np.int8)
    scales = rng.uniform(0.5, 1, (-(-n // 16) * 16, -(-inputs // group))).astype(np.float32) / most
    full = codes * np.repeat(scales[:n], group, 1)[:, :k].astype(np.float64)
    panels = lib.in_panels(codes)
    by_panel = np.ascontiguousarray(scales.reshape(len(panels), 16, -1).transpose(0, 2, 1))
    return (lib.pack_int4(panels) if bits == 4 else panels, by_panel, group), full


@pytest.mark.nojit_ok
@pytest.mark.parametrize("bits", BITS)
@given(
    n=st.integers(1, 40), k=st.integers(1, 30), m=st.integers(1, 3),
    group=st.sampled_from([4, 8, 16, 64]), bias=st.booleans(), seed=st.integers(0, 9),
)  # fmt: skip
def test_rows_times_codes(bits, n, k, m, group, bias, seed):
    weight, full = weights(n, k, bits, group, seed)
    rng = np.random.default_rng(seed)
    x, shift = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal(n).astype(np.float32)
    expected = x.astype(np.float64) @ full.T + (shift if bias else 0)
    found = lib.rows_times_codes(x, weight, n, shift if bias else None)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, **tolerance(np.float32, 1e-5))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(1, 1), (16, 8), (37, 21), (48, 64)])
def test_dequantize_is_code_times_scale(bits, shape):
    weight, full = weights(*shape, bits)
    found = lib.dequantize(weight, *shape)
    assert found.shape == shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, full.astype(np.float32))


@pytest.mark.nojit_ok
def test_no_inputs_leave_the_bias():
    weight = np.zeros((1, 0, 16), np.int8), np.zeros((1, 0, 16), np.float32), 4
    x, bias = np.empty((2, 0), np.float32), np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(lib.rows_times_codes(x, weight, 3, bias), [bias, bias])
    np.testing.assert_array_equal(lib.rows_times_codes(x, weight, 3), np.zeros((2, 3)))
    assert lib.dequantize(weight, 3, 0).shape == (3, 0)


@pytest.mark.nojit_ok
def test_nan_and_infinity_come_through():
    weight, _ = weights(20, 8, 8)
    x = np.ones((2, 8), np.float32)
    x[0, 3], x[1, 5] = np.nan, np.inf
    found = lib.rows_times_codes(x, weight, 20)
    assert np.isnan(found[0]).all()
    assert not np.isfinite(found[1]).any()


def test_panels_have_outputs_side_by_side():
    codes = np.arange(-6, 6, dtype=np.int8).reshape(2, 6)
    panels = lib.in_panels(codes)
    assert panels.shape == (1, 8, 16)
    np.testing.assert_array_equal(panels[0, :6, :2], codes.T)
    assert not panels[0, 6:].any()
    assert not panels[0, :, 2:].any()


def test_two_codes_in_a_byte():
    panels = np.random.default_rng(0).integers(-8, 8, (3, 12, 16)).astype(np.int8)
    packed = lib.pack_int4(panels)
    assert packed.shape == (3, 6, 16)
    assert packed.dtype == np.uint8
    assert packed[0, 0, 0] & 15 == panels[0, 0, 0] % 16
    assert packed[0, 0, 0] >> 4 == panels[0, 1, 0] % 16
    np.testing.assert_array_equal(lib.unpack_int4(packed), panels)


def block_case(bits: int, **how):
    """Arguments of `block_step` with weights in `bits` bits, and those of the naive one, in float64."""
    arguments = case(np.float32, **how)
    plain = [np.array(a, np.float64) if isinstance(a, np.ndarray) else a for a in arguments]
    for i, part in enumerate(arguments[1:13], start=1):
        if part.ndim == 2:
            arguments[i], plain[i] = weights(*part.shape, bits, seed=i)
    return arguments, plain


def step(arguments):
    x, parts, inside = arguments[0], arguments[1:13], 4 * arguments[0].shape[1]
    lib.block_step(x, parts, inside, *arguments[13:])


@pytest.mark.nojit_ok
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"start": 0},
        {"bias": False, "rotary": False},
        {"batch": 1, "heads": 1, "size": 4},
        {"heads": 2, "size": 4, "width": 12},
        {"heads": 3, "size": 12},  # 36 columns: panels that are not full
    ],
    ids=str,
)
def test_a_step(bits, how):
    arguments, plain = block_case(bits, **how)
    expected = naive_decode.block_step(*plain)
    step(arguments)
    for found, wanted in zip((arguments[0], *arguments[-2:]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, **tolerance(np.float32, 2e-5))


@pytest.mark.parametrize("bits", BITS)
def test_threads_do_not_change_a_bit(bits):
    weight, _ = weights(700, 512, bits, 32)
    x = np.random.default_rng(0).standard_normal((2, 512)).astype(np.float32)
    assert x.size * 700 > lib.ALONE

    def run():
        arguments, _ = block_case(bits, heads=5, size=64, context=50, start=40)
        assert 3 * arguments[0].shape[1] ** 2 > lib.ALONE
        step(arguments)
        parts = lib.rows_times_codes(x, weight, 700), lib.dequantize(weight, 700, 512), arguments[0]
        return np.concatenate([part.ravel() for part in (*parts, *arguments[-2:])])

    assert_same_for_any_threads(run)
