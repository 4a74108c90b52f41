"""Accuracy of the vectorised functions over the whole range of float32, against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.kernels.layouts import AWKWARD
from tinytorch.kernels import activations, elementwise, vecmath
from tinytorch.kernels._jit import JIT, kernel


def sigmoid(x):
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


# function, float64 reference, units in the last place it may be off
FUNCTIONS = {
    "exp": (elementwise.exp, np.exp, 1.1),
    "expm1": (elementwise.expm1, np.expm1, 1.5),
    "log": (elementwise.log, np.log, 1.0),
    "log1p": (elementwise.log1p, np.log1p, 1.6),
    "erf": (elementwise.erf, np.vectorize(math.erf, otypes=[np.float64]), 1.1),
    "tanh": (activations.tanh, np.tanh, 2.5),
    "sigmoid": (activations.sigmoid, sigmoid, 2.4),
}


def whole_range(size: int) -> np.ndarray:
    """Random bit patterns (all exponents, NaN and infinity among them), the usual range, and the limits."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**32, size, dtype=np.uint32).view(np.float32)
    near = rng.standard_normal(size).astype(np.float32) * 3
    limits = np.array([*AWKWARD, 88.72283, 88.72284, -87.33, -103.9, 0.92773, -0.92774, 1, -1], np.float32)
    # Signalling NaN would warn when it is cast to float64.
    return np.where(np.isnan(x := np.concatenate([patterns, near, limits])), np.float32(np.nan), x)


def ulps(computed: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units of the last place of float32; 0 where both are NaN or the same infinity."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    same = (computed == rounded) | (np.isnan(computed) & np.isnan(rounded))
    unit = np.spacing(np.where(np.isfinite(rounded), np.abs(rounded), 1), dtype=np.float32)
    distance = np.abs(computed - exact) / unit
    return np.where(same, 0, np.where(np.isfinite(rounded), distance, np.inf))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference
def test_float32_is_right_to_the_last_digits(name):
    function, reference, allowed = FUNCTIONS[name]
    x = whole_range(100_000 if JIT else 100)
    distance = ulps(function(x), reference(x.astype(np.float64)))
    worst = np.argmax(distance)
    assert distance[worst] <= allowed, f"{name}({x[worst]!r}) is {distance[worst]:.2f} ulp off"


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_float64_is_right_to_1e_15(name):
    function, reference, _ = FUNCTIONS[name]
    x = np.concatenate([np.random.default_rng(1).standard_normal(200) * 10, AWKWARD])
    np.testing.assert_allclose(function(x), reference(x), rtol=2e-15, atol=0)


def test_the_limits_of_exp():
    x = np.array([88.72284, -104.0, -np.inf, 0.0], np.float32)
    assert elementwise.exp(x).tolist() == [np.inf, 0.0, 0.0, 1.0]


def test_tanh_and_erf_keep_the_sign_of_zero():
    zeros = np.array([0.0, -0.0], np.float32)
    assert np.signbit(activations.tanh(zeros)).tolist() == [False, True]
    assert np.signbit(elementwise.erf(zeros)).tolist() == [False, True]


def test_sigmoid_does_not_vanish_early():
    assert activations.sigmoid(np.array([-100.0], np.float32))[0] == pytest.approx(math.exp(-100), rel=0.03)


@kernel
def _normal_exp_of(x, out):
    for i in range(x.size):
        out[i] = vecmath.normal_exp(x[i])


@pytest.mark.nojit_ok
@pytest.mark.parametrize(("dtype", "end"), [(np.float32, 87), (np.float64, 700)])
def test_an_exponential_that_stays_normal(dtype, end):
    x = np.linspace(-end, end, 1001, dtype=dtype)
    out = np.empty_like(x)
    _normal_exp_of(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=2e-7 if dtype == np.float32 else 1e-14)
    ends = np.array([-np.inf, -1e4, 1e4, np.inf, np.nan], dtype)
    beyond = np.empty_like(ends)
    _normal_exp_of(ends, beyond)
    assert beyond.tolist()[:4] == [out[0], out[0], out[-1], out[-1]]
    assert np.isnan(beyond[4])
    assert out[0] >= np.finfo(dtype).tiny
