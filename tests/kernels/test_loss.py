from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_loss as naive
from tests.kernels.layouts import FLOATS, arrays, assert_same_for_any_threads, tolerance
from tinytorch.kernels import loss as lib
from tinytorch.kernels.memory import empty_cache

REDUCTIONS = ("mean", "sum", "none")
IGNORED = -100


@st.composite
def classification(draw):
    """logits, labels (some ignored), weight or None, smoothing, reduction."""
    n, c, dtype = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from(FLOATS))
    logits = draw(arrays(shape=(n, c), dtype=dtype, low=-20, high=20))
    labels = np.array(draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n)))
    labels[0 : draw(st.integers(0, n))] = IGNORED
    weight = draw(st.none() | arrays(shape=(c,), dtype=dtype, low=0.1, high=2))
    return logits, labels, weight, draw(st.sampled_from((0.0, 0.1, 1.0))), draw(st.sampled_from(REDUCTIONS))


@pytest.mark.nojit_ok
@given(case=classification())
def test_cross_entropy(case):
    logits, labels, weight, smoothing, reduction = case
    ref = naive.cross_entropy(logits, labels, weight, IGNORED, smoothing, reduction)
    comp, logsumexp, _ = lib.cross_entropy(logits, labels, weight, IGNORED, smoothing, reduction)
    assert (comp.shape, comp.dtype) == (np.shape(ref), logits.dtype)
    np.testing.assert_allclose(comp, ref, **tolerance(logits.dtype, 2e-6))
    np.testing.assert_allclose(
        logsumexp, np.log(np.exp(logits.astype(np.float64)).sum(1)), rtol=1e-6, atol=1e-5
    )


@pytest.mark.nojit_ok
@given(case=classification(), seed=st.integers(0, 9))
def test_cross_entropy_grad(case, seed):
    logits, labels, weight, smoothing, reduction = case
    options = (weight, IGNORED, smoothing, reduction)
    loss, *saved = lib.cross_entropy(logits, labels, *options)
    g = np.asarray(np.random.default_rng(seed).standard_normal(loss.shape)).astype(logits.dtype)
    comp = lib.cross_entropy_grad(g, logits, labels, *saved, *options)
    assert (comp.shape, comp.dtype) == (logits.shape, logits.dtype)
    if (labels == IGNORED).all():
        assert not comp.any()
    else:
        ref = naive.slope(lambda x: naive.cross_entropy(x, labels, *options), logits, g)
        np.testing.assert_allclose(comp, ref, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [lib.LONG - 1, lib.LONG, 2 * lib.PIECE + 3])
def test_cross_entropy_over_a_vocabulary(dtype, smoothing, classes):
    """Rows of many classes go through one by one."""
    rng = np.random.default_rng(0)
    logits, labels = (rng.standard_normal((9, classes)) * 5).astype(dtype), rng.integers(0, classes, 9)
    labels[4] = IGNORED
    weight = rng.uniform(0.5, 1.5, classes).astype(dtype)
    options = (weight, IGNORED, smoothing, "mean")
    loss, *saved = lib.cross_entropy(logits, labels, *options)
    np.testing.assert_allclose(
        loss, naive.cross_entropy(logits, labels, *options), **tolerance(dtype, 1e-6, 1e-13)
    )
    comp = lib.cross_entropy_grad(np.ones((), dtype), logits, labels, *saved, *options)
    exact = logits.astype(np.float64)
    p = np.exp(exact - exact.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    target = smoothing / classes * weight * np.ones((9, 1))
    target[np.arange(9), labels] += (1 - smoothing) * weight[labels]
    ref = (p * target.sum(1, keepdims=True) - target) / weight[labels[labels != IGNORED]].sum()
    ref[4] = 0
    np.testing.assert_allclose(comp, ref, rtol=1e-5, atol=1e-8)
    assert_same_for_any_threads(lambda: lib.cross_entropy(logits, labels, *options)[0])
    assert_same_for_any_threads(
        lambda: lib.cross_entropy_grad(np.ones((), dtype), logits, labels, *saved, *options)
    )


def test_classes_that_are_masked_out_get_no_gradient():
    logits = np.zeros((2, lib.LONG), np.float32)
    logits[:, 5:] = -np.inf
    loss, *saved = lib.cross_entropy(logits, np.array([0, 4]))
    np.testing.assert_allclose(loss, np.log(5), rtol=1e-6)
    comp = lib.cross_entropy_grad(np.ones((), np.float32), logits, np.array([0, 4]), *saved)
    assert not comp[:, 5:].any()


def test_cross_entropy_over_a_vocabulary_keeps_a_number_a_row():
    """Neither way makes an array of the logits' size beside the gradient."""
    n, classes = 16, 50_257
    logits, labels = np.zeros((n, classes), np.float32), np.arange(n)
    one = np.ones((), np.float32)
    _, *saved = lib.cross_entropy(logits, labels)
    lib.cross_entropy_grad(one, logits, labels, *saved)
    empty_cache()
    tracemalloc.start()
    lib.cross_entropy(logits, labels)
    forward = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    lib.cross_entropy_grad(one, logits, labels, *saved)
    backward = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert forward < logits.nbytes / 100
    assert backward < 1.2 * logits.nbytes


@pytest.mark.nojit_ok
def test_cross_entropy_of_large_logits():
    logits = np.array([[1e4, 0.0, -1e4]], np.float32)
    loss, logsumexp, weights = lib.cross_entropy(logits, np.array([0]))
    assert (loss, logsumexp[0], weights) == (0, 1e4, 1)
    assert lib.cross_entropy(logits, np.array([2]))[0] == 2e4


@pytest.mark.nojit_ok
def test_nan_logits_make_a_nan_loss():
    logits = np.array([[0.0, np.nan], [0.0, 0.0]])
    losses = lib.cross_entropy(logits, np.array([0, 1]), reduction="none")[0]
    assert np.isnan(losses).tolist() == [True, False]


def test_a_mean_over_nothing_is_nan():
    assert np.isnan(lib.cross_entropy(np.zeros((0, 3)), np.zeros(0, np.int64))[0])
    assert np.isnan(lib.cross_entropy(np.zeros((2, 3)), np.full(2, IGNORED))[0])
    assert lib.cross_entropy(np.zeros((0, 3)), np.zeros(0, np.int64), reduction="sum")[0] == 0


@pytest.mark.nojit_ok
@pytest.mark.parametrize("bad", [3, -1])
def test_labels_out_of_range_are_refused(bad):
    message = rf"expected labels from 0 to 2 \(or ignore_index -100\), got {bad} at position 1"
    with pytest.raises(IndexError, match=message):
        lib.cross_entropy(np.zeros((4, 3), np.float32), np.array([0, bad, 7, 1]))


def test_labels_out_of_range_are_refused_on_all_threads():
    labels = np.zeros(5000, np.int64)
    labels[[2000, 4000]] = 10
    with pytest.raises(IndexError, match="got 10 at position 2000"):
        lib.cross_entropy(np.zeros((5000, 10), np.float32), labels)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(3000, 10), (30, 3000)])
def test_cross_entropy_is_the_same_for_any_threads(shape, reduction):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0])
    weight, g = rng.uniform(0.5, 2, shape[1]).astype(np.float32), np.ones((), np.float32)
    options = (weight, IGNORED, 0.1, reduction)
    loss, *saved = lib.cross_entropy(logits, labels, *options)
    np.testing.assert_allclose(loss, naive.cross_entropy(logits, labels, *options), rtol=1e-6)
    assert_same_for_any_threads(lambda: lib.cross_entropy(logits, labels, *options)[0])
    assert_same_for_any_threads(lambda: lib.cross_entropy_grad(g, logits, labels, *saved, *options))


@st.composite
def binary(draw):
    """x, target, weight or None, pos_weight or None, reduction."""
    n, c, dtype = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from(FLOATS))
    x = draw(arrays(shape=(n, c), dtype=dtype, low=-20, high=20))
    target = draw(arrays(shape=(n, c), dtype=dtype, low=0, high=1))
    weight = draw(st.none() | arrays(shape=(n, 1), dtype=dtype, low=0.1, high=2))
    pos_weight = draw(st.none() | arrays(shape=(c,), dtype=dtype, low=0.1, high=2))
    return x, target, weight, pos_weight, draw(st.sampled_from(REDUCTIONS))


@pytest.mark.nojit_ok
@given(case=binary(), seed=st.integers(0, 9))
def test_bce_with_logits(case, seed):
    x, target, *options = case
    comp, ref = lib.bce_with_logits(x, target, *options), naive.bce_with_logits(x, target, *options)
    assert (comp.shape, comp.dtype) == (np.shape(ref), x.dtype)
    np.testing.assert_allclose(comp, ref, **tolerance(x.dtype, 5e-6))  # of terms up to 40, which cancel
    g = np.asarray(np.random.default_rng(seed).standard_normal(comp.shape)).astype(x.dtype)
    ref_grad = naive.slope(lambda x: naive.bce_with_logits(x, target, *options), x, g)
    np.testing.assert_allclose(
        lib.bce_with_logits_grad(g, x, target, *options), ref_grad, rtol=1e-5, atol=1e-5
    )


@pytest.mark.nojit_ok
def test_bce_of_large_logits():
    x, target = np.array([1e4, -1e4, 1e4], np.float32), np.array([1, 0, 0], np.float32)
    assert lib.bce_with_logits(x, target, reduction="none").tolist() == [0, 0, 1e4]
    assert np.isnan(lib.bce_with_logits(np.array([np.nan, 1.0]), np.zeros(2)))


@pytest.mark.parametrize("bad", [-0.5, 1.5, np.nan])
def test_targets_that_are_no_probability_are_refused_on_all_threads(bad):
    target = np.zeros(20_001, np.float32)
    target[[15_000, 17_000]] = bad
    with pytest.raises(ValueError, match=rf"expected targets from 0 to 1, got {bad} at position \(15000,\)"):
        lib.bce_with_logits(np.zeros(20_001, np.float32), target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce_and_mse_are_the_same_for_any_threads(reduction):
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(20_001).astype(np.float32), rng.random(20_001, dtype=np.float32)
    g = np.ones((), np.float32)
    np.testing.assert_allclose(
        lib.bce_with_logits(x, target, reduction=reduction),
        naive.bce_with_logits(x, target, None, None, reduction),
        rtol=1e-5,
        atol=1e-5,
    )
    assert_same_for_any_threads(lambda: lib.bce_with_logits(x, target, reduction=reduction))
    assert_same_for_any_threads(lambda: lib.bce_with_logits_grad(g, x, target, reduction=reduction))
    if reduction != "none":
        np.testing.assert_allclose(lib.mse(x, target, reduction), naive.mse(x, target, reduction), rtol=1e-6)
        assert_same_for_any_threads(lambda: lib.mse(x, target, reduction))
        assert_same_for_any_threads(lambda: lib.mse_grad(g, x, target, reduction))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@given(case=binary())
def test_mse(reduction, case):
    x, target, *_ = case
    comp = lib.mse(x, target, reduction)
    assert (comp.shape, comp.dtype) == ((), x.dtype)
    np.testing.assert_allclose(comp, naive.mse(x, target, reduction), **tolerance(x.dtype))
    g = np.array(0.7, x.dtype)
    ref = naive.slope(lambda x: naive.mse(x, target, reduction), x, g)
    np.testing.assert_allclose(lib.mse_grad(g, x, target, reduction), ref, rtol=1e-5, atol=1e-5)


def test_an_unknown_reduction_is_refused():
    message = "reduction: expected 'mean', 'sum' or 'none', got 'avg'"
    with pytest.raises(ValueError, match=message):
        lib.cross_entropy(np.zeros((1, 2)), np.zeros(1, np.int64), reduction="avg")
    with pytest.raises(ValueError, match=message):
        lib.bce_with_logits(np.zeros(2), np.zeros(2), reduction="avg")
