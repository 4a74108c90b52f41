"""One token through a block in one launch: the same as in plain NumPy, and for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import naive_decode as naive
from tests.kernels.layouts import FLOATS, assert_same_for_any_threads, tolerance
from tinytorch.kernels import decode as lib
from tinytorch.kernels.rotary import turns


def case(dtype, *, batch=2, heads=2, size=6, context=7, start=3, bias=True, rotary=True, width=None):
    """The arguments of `block_step`, in its order."""
    rng, across = np.random.default_rng(0), heads * size
    c = width or across
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    shapes = ((c,), (3 * across, c), (c, across), (c,), (4 * c, c), (c, 4 * c))
    weights = [part for shape in shapes for part in (draw(*shape) / c**0.5, draw(shape[0] if bias else 0))]
    angles = turns(np.arange(context), size // 2, 1e4, False, np.dtype(dtype))
    table = angles if rotary else np.empty((2, 0, 0), dtype)
    kept = [draw(batch, heads, context, size) for _ in range(2)]
    return [draw(batch, c), *weights, 1e-5, table, start, *kept]


def step(arguments):
    """`block_step` with the weights as one argument."""
    lib.block_step(arguments[0], arguments[1:13], *arguments[13:])


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"start": 0},
        {"start": 6},
        {"bias": False},
        {"rotary": False},
        {"batch": 1, "heads": 1, "size": 2},
        {"heads": 1, "width": 12},  # heads that are narrower than the sum
        {"heads": 3, "size": 14},  # 42 columns: more than one share of rows, the last not full
        {"heads": 4, "size": 48, "batch": 1},  # on all threads
    ],
    ids=str,
)
def test_a_step(dtype, how):
    arguments = case(dtype, **how)
    expected = naive.block_step(
        *(np.array(a, np.float64) if isinstance(a, np.ndarray) else a for a in arguments)
    )
    step(arguments)
    for found, wanted in zip((arguments[0], *arguments[-2:]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, **tolerance(dtype, 2e-5))


@pytest.mark.nojit_ok
def test_large_scores_do_not_overflow():
    arguments = case(np.float32)
    arguments[3] *= 1e4
    step(arguments)
    assert np.isfinite(arguments[0]).all()


def test_threads_do_not_change_a_bit():
    def wide():
        arguments = case(np.float32, batch=3, heads=4, size=48, context=50, start=40)
        assert arguments[3].size > lib.ALONE
        step(arguments)
        return np.concatenate([part.ravel() for part in (arguments[0], *arguments[-2:])])

    assert_same_for_any_threads(wide)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [True, False])
def test_final_norm(dtype, bias):
    x, weight, shift = (
        (np.random.default_rng(0).standard_normal((3, 10)) + 1).astype(dtype),
        *np.ones((2, 10)),
    )
    weight, shift = (2 * weight).astype(dtype), shift[: 10 * bias].astype(dtype)
    kept = x.copy()
    expected = naive.norm(x.astype(np.float64), weight, shift, 1e-5)
    np.testing.assert_allclose(lib.final_norm(x, weight, shift, 1e-5), expected, **tolerance(dtype, 1e-5))
    np.testing.assert_array_equal(x, kept)
