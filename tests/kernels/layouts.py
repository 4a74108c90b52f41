"""Arrays as callers have them: transposed, sliced, reversed, read-only, empty, without axes, holding NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tinytorch.kernels._jit import get_num_threads, set_num_threads

LAYOUTS = ("contiguous", "transposed", "sliced", "reversed", "read-only")
AWKWARD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 88.8, -88.8, -104.0, 1e-8, -1e-8)
FLOATS = (np.float32, np.float64)


def lay_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers as `x`, in memory in another way."""
    if layout == "transposed":
        return np.array(x.T, order="C").T
    if layout == "sliced" and x.ndim:
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 7, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed":
        return np.flip(np.flip(x).copy())
    x = x.copy()
    x.setflags(write=layout != "read-only")
    return x


shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
filled_shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@st.composite
def arrays(
    draw: Any, shape: Any = shapes, dtype: Any = None, low: float = -4, high: float = 4, awkward: bool = False
) -> np.ndarray:
    """A float array of any layout; `awkward` puts NaN, infinities, denormals and limits at drawn places."""
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    dtype = draw(st.sampled_from(FLOATS)) if dtype is None else dtype
    x = np.random.default_rng(draw(st.integers(0, 99))).uniform(low, high, shape).astype(dtype)
    if awkward and x.size:
        for place in draw(st.lists(st.integers(0, x.size - 1), max_size=4)):
            x.flat[place] = draw(st.sampled_from(AWKWARD))
    return lay_out(x, draw(st.sampled_from(LAYOUTS)))


@st.composite
def twins(draw: Any, count: int = 2, **options: Any) -> list[np.ndarray]:
    """`count` arrays of one shape and dtype, each of a layout of its own."""
    shape, dtype = draw(shapes), draw(st.sampled_from(FLOATS))
    return [draw(arrays(shape=shape, dtype=dtype, **options)) for _ in range(count)]


def tolerance(dtype: Any, single: float = 1e-6, double: float = 1e-14) -> dict[str, float]:
    """Relative and absolute tolerance of a comparison in `dtype`."""
    wanted = single if dtype == np.float32 else double
    return {"rtol": wanted, "atol": wanted}


def assert_same_for_any_threads(run: Callable[[], Any]) -> None:
    """`run()` has the same bits on one thread and on all."""
    most = get_num_threads()
    if most == 1:
        pytest.skip("needs two threads")
    many = run()
    try:
        set_num_threads(1)
        one = run()
    finally:
        set_num_threads(most)
    for a, b in zip(np.atleast_1d(one), np.atleast_1d(many), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
