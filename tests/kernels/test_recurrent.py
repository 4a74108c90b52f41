"""The recurrences against naive ones, for widths that fill the register tile or do not, on any threads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import naive_recurrent as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import recurrent as lib

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
every_kind = pytest.mark.parametrize("kind", GATES)
every_dtype = pytest.mark.parametrize("dtype", FLOATS)


def arguments(kind, steps, n, hidden, dtype, layout="contiguous"):
    """x and the initial states, weight and bias, as the kernels take them."""
    s, width = np.random.default_rng(0), GATES[kind] * hidden
    shapes = [(steps, n, width), (n, hidden), *([(n, hidden)] if kind == "lstm" else []), (width, hidden)]
    shapes += [(width,)] if kind == "gru" else []
    return [lay_out(s.uniform(-1, 1, shape).astype(dtype), layout) for shape in shapes]


def forward(kind, given):
    """h of all steps, with c of the last of an LSTM."""
    if kind in ("tanh", "relu"):
        return lib.rnn(*given, kind)[1:]
    return (lib.lstm if kind == "lstm" else lib.gru)(*given)[0][1:]


def expected(kind, given):
    if kind in ("tanh", "relu"):
        return naive.rnn(*given, kind)[1:]
    return naive.lstm(*given) if kind == "lstm" else naive.gru(*given)[1:]


def back(kind, g, given):
    """The gradients to x and the initial states; of a GRU also those to its products."""
    if kind in ("tanh", "relu"):
        x, h0, weight = given
        return lib.rnn_grad(g, weight, lib.rnn(x, h0, weight, kind), kind)
    if kind == "lstm":
        _, cells, gates = lib.lstm(*given)
        return lib.lstm_grad(g, given[-1], cells, gates)
    x, _, weight, _ = given
    return lib.gru_grad(g, x, weight, *lib.gru(*given))


@pytest.mark.nojit_ok
@every_dtype
@every_kind
@pytest.mark.parametrize(("steps", "n", "hidden"), [(1, 1, 1), (3, 2, 3), (2, 3, 17), (2, 0, 2)])
def test_values(kind, steps, n, hidden, dtype):
    given = arguments(kind, steps, n, hidden, dtype)
    np.testing.assert_allclose(forward(kind, given), expected(kind, given), **tolerance(dtype, 5e-6, 1e-13))


@every_kind
@pytest.mark.parametrize(("n", "hidden"), [(13, 16), (25, 33), (5, 40), (12, 64)])
def test_values_of_many_rows_and_panels(kind, n, hidden):
    given = arguments(kind, 3, n, hidden, np.float32)
    given[-1] *= 0.2
    np.testing.assert_allclose(forward(kind, given), expected(kind, given), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_kind
def test_layouts(kind, layout):
    plain, laid_out = (arguments(kind, 4, 3, 5, np.float32, how) for how in ("contiguous", layout))
    np.testing.assert_array_equal(forward(kind, laid_out), forward(kind, plain))
    g = np.random.default_rng(1).uniform(-1, 1, forward(kind, plain).shape).astype(np.float32)
    for found, wanted in zip(back(kind, lay_out(g, layout), laid_out), back(kind, g, plain), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.nojit_ok
@every_kind
@pytest.mark.parametrize(("steps", "n", "hidden"), [(1, 1, 1), (3, 2, 2)])
def test_gradients(kind, steps, n, hidden):
    given = arguments(kind, steps, n, hidden, np.float64)
    g = np.random.default_rng(1).uniform(-1, 1, forward(kind, given).shape)
    found = back(kind, g, given)
    states = 2 if kind == "lstm" else 1
    for k in range(1 + states):
        wanted = naive.gradient(lambda _: float((expected(kind, given) * g).sum()), given[k])
        np.testing.assert_allclose(found[k], wanted, rtol=1e-6, atol=1e-8)
    if kind == "gru":
        wanted = naive.gradient(lambda _: float((expected(kind, given) * g).sum()), given[3])
        np.testing.assert_allclose(found[2].sum((0, 1)), wanted, rtol=1e-6, atol=1e-8)


@every_kind
@pytest.mark.parametrize(("n", "hidden"), [(7, 64), (33, 50)])
def test_threads_do_not_change_a_bit(kind, n, hidden):
    given = arguments(kind, 15, n, hidden, np.float32)
    assert lib._parts(given[0], given[1 + (kind == "lstm") + 1]) == lib.get_num_threads()
    g = np.random.default_rng(1).uniform(-1, 1, forward(kind, given).shape).astype(np.float32)
    assert_same_for_any_threads(lambda: forward(kind, given).ravel())
    assert_same_for_any_threads(lambda: np.concatenate([a.ravel() for a in back(kind, g, given)]))


@pytest.mark.nojit_ok
@every_kind
def test_nan_stays_in_its_row(kind):
    given = arguments(kind, 3, 2, 2, np.float32)
    given[0][1, 0] = np.nan
    out = forward(kind, given)
    assert np.isnan(out[1:, 0]).all()
    assert np.isfinite(out[:, 1]).all()
    assert np.isfinite(out[0]).all()
