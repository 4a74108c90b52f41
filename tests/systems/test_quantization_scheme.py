"""Scales, zero points, and the observers that find ranges."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.systems.quantization import (
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MSEObserver,
    PercentileObserver,
    UncalibratedModel,
    choose_qparams,
)
from tinytorch.systems.quantization._observers import BINS, make_observer

pytestmark = pytest.mark.nojit_ok
ALL = (MinMaxObserver, MovingAverageMinMaxObserver, PercentileObserver, MSEObserver)
HISTOGRAMS = (PercentileObserver, MSEObserver)
numbers = st.floats(-1e4, 1e4, width=32)


# --- schemes --------------------------------------------------------------------------------------------


@given(st.lists(numbers, min_size=1, max_size=30), st.booleans(), st.sampled_from([np.uint8, np.int8]))
def test_what_lies_in_the_range_comes_back_within_half_a_step(values, symmetric, dtype):
    x = np.array(values, np.float32)
    p = choose_qparams(x.min(), x.max(), symmetric, dtype)
    codes = p.quantize(x)
    assert codes.dtype == dtype
    least, most = p.limits
    assert least <= codes.min()
    assert codes.max() <= most
    off = np.abs(p.dequantize(codes) - x)
    assert (off <= (0.5 if symmetric else 1.0) * p.scale[0] + 1e-5 * np.abs(x)).all()  # zero point rounded
    assert p.dequantize(p.quantize(np.zeros(1, np.float32)))[0] == 0.0


def test_schemes_by_hand():
    affine = choose_qparams(-1.0, 1.55)
    assert affine.scale[0] == np.float32(0.01)
    assert affine.zero[0] == 100
    assert affine.limits == (0, 255)
    signed = choose_qparams(-1.0, 1.55, dtype=np.int8)
    assert signed.zero[0] == -28
    assert signed.limits == (-128, 127)
    symmetric = choose_qparams(-1.0, 1.27, True, np.int8)
    assert symmetric.scale[0] == np.float32(0.01)
    assert symmetric.zero[0] == 0
    assert symmetric.limits == (-127, 127)
    shifted = choose_qparams(-1.27, 1.0, True)
    assert shifted.zero[0] == 128
    assert shifted.limits == (1, 255)


def test_the_range_always_has_zero():
    assert choose_qparams(2.0, 5.1).zero[0] == 0
    assert choose_qparams(-5.1, -2.0).zero[0] == 255


def test_a_range_without_width():
    p = choose_qparams(0.0, 0.0)
    assert p.scale[0] == 1.0


def test_a_scale_for_each_channel():
    x = np.array([[1.0, -1.0], [100.0, 50.0]], np.float32)
    p = choose_qparams(x.min(1), x.max(1), True, np.int8, axis=0)
    np.testing.assert_allclose(p.dequantize(p.quantize(x)), x, rtol=1e-2)
    q = choose_qparams(x.T.min(0), x.T.max(0), True, np.int8, axis=1)
    assert np.array_equal(q.quantize(np.ascontiguousarray(x.T)), p.quantize(x).T)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_ranges_that_are_none(low, high):
    with pytest.raises(ValueError, match="choose_qparams: expected finite numbers low <= high"):
        choose_qparams(low, high)


def test_other_codes_are_refused():
    with pytest.raises(TypeError, match="expected uint8 or int8 codes, got int16"):
        choose_qparams(0, 1, dtype=np.int16)


# --- observers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_asked_too_early(kind):
    with pytest.raises(UncalibratedModel, match=f"{kind.__name__}: nothing was observed yet"):
        kind().qparams()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(kind, bad):
    observer = kind()
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected finite numbers"):
        observer(np.array([0.0, bad, 1.0], np.float32))
    assert not observer.seen


@pytest.mark.parametrize("kind", ALL)
def test_it_returns_what_it_is_given_and_forgives_nothing_at_all(kind):
    observer, x = kind(), tt.tensor([1.0])
    assert observer(x) is x
    assert observer(tt.zeros(0, 3)).shape == (0, 3)
    assert "seen: 1 to 1" in repr(observer)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_constant(kind, symmetric):
    observer = kind(symmetric=symmetric)
    observer(np.full(10, 2.5, np.float32))
    p = observer.qparams()
    np.testing.assert_allclose(p.dequantize(p.quantize(np.float32([2.5, 0.0]))), [2.5, 0.0], rtol=1e-2)
    zeros = kind()
    zeros(np.zeros(4, np.float32))
    assert zeros.qparams().scale[0] > 0


def test_min_and_max():
    observer = MinMaxObserver()
    for batch in ([[1.0, -3.0]], [[0.5, 7.0]]):
        observer(tt.tensor(batch))
    assert (observer.low.item(), observer.high.item()) == (-3.0, 7.0)
    channels = MinMaxObserver(True, np.int8, axis=1)
    channels(tt.tensor([[1.0, -3.0], [0.5, 2.0]]))
    assert channels.high.tolist() == [1.0, 2.0]
    assert channels.qparams().axis == 1
    np.testing.assert_allclose(channels.qparams().scale, np.float32([1.0, 3.0]) / 127)


def test_a_moving_average():
    observer = MovingAverageMinMaxObserver(momentum=0.25)
    for top in (4.0, 8.0):
        observer(np.float32([-top, top]))
    assert (observer.low.item(), observer.high.item()) == (-5.0, 5.0)
    with pytest.raises(ValueError, match="expected a momentum above 0, up to 1, got 0"):
        MovingAverageMinMaxObserver(momentum=0)


@given(st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=5), st.randoms())
def test_a_histogram_forgets_nothing_and_does_not_depend_on_the_order(batches, random):
    first, second = PercentileObserver(), PercentileObserver()
    for batch in batches:
        first(np.array(batch, np.float32))
    shuffled = list(batches)
    random.shuffle(shuffled)
    for batch in shuffled:
        second(np.array(batch, np.float32))
    assert first.counts._data.sum() == sum(map(len, batches))
    assert np.array_equal(first.counts._data, second.counts._data)
    assert np.array_equal(first.place._data, second.place._data)
    edges = first._edges()
    values = np.concatenate([np.array(batch, np.float32) for batch in batches])
    assert edges[0] <= values.min()
    assert values.max() < edges[-1]
    if (values != 0).any():
        counts, _ = np.histogram(values.astype(np.float64), np.append(edges[:-1], np.inf))
        assert np.array_equal(counts, first.counts._data)


def test_percentiles():
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    observer = PercentileObserver(percentile=99.0)
    for part in np.split(values, 10):
        observer(part)
    low, high = observer._range()
    np.testing.assert_allclose([low[0], high[0]], np.percentile(values, [1, 99]), atol=2e-3)
    whole = PercentileObserver(percentile=100.0)
    whole(values)
    assert [float(end[0]) for end in whole._range()] == [values.min(), values.max()]
    with pytest.raises(ValueError, match="expected a percentile above 50"):
        PercentileObserver(percentile=3)


def test_memory_is_fixed():
    observer = PercentileObserver()
    for scale in (1.0, 1e-3, 1e4):
        observer(np.linspace(-scale, scale, 5000, dtype=np.float32))
    assert observer.counts.shape == (BINS,)


@pytest.mark.parametrize("symmetric", [True, False])
def test_least_squares_beats_min_max_where_there_are_outliers(symmetric):
    values = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    values[0] = 12.0

    def error(p):
        codes = np.clip(np.rint(values / p.scale) + p.zero, *p.limits)
        return float((((codes - p.zero) * p.scale - values) ** 2).mean())

    def found(observer):
        observer(values)
        return error(observer.qparams())

    best = found(MSEObserver(symmetric))
    assert best < 0.8 * found(MinMaxObserver(symmetric))
    ends = [(values.min() * i / 20, 12.0 * j / 20) for i in range(10, 21) for j in range(4, 21)]
    searched = min(error(choose_qparams(*pair, symmetric)) for pair in ends)
    assert best < 1.05 * searched


@pytest.mark.parametrize("kind", ALL)
def test_what_was_seen_is_part_of_the_state(kind):
    observer, fresh = kind(), kind()
    observer(np.random.default_rng(1).uniform(-1, 3, 500).astype(np.float32))
    fresh.load_state_dict(observer.state_dict())
    assert fresh.qparams().scale == observer.qparams().scale == copy.deepcopy(observer).qparams().scale


def test_by_name_and_by_maker():
    assert type(make_observer("mse")) is MSEObserver
    assert make_observer(partial(PercentileObserver, percentile=99.0)).percentile == 99.0
    with pytest.raises(
        ValueError, match="expected an observer among minmax, moving, percentile, mse, got 'max'"
    ):
        make_observer("max")
    with pytest.raises(TypeError, match="makes an Observer; it made a float"):
        make_observer(float)
