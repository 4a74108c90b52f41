"""Clipping of gradients, and parameters as a vector."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok

utils = nn.utils


def with_gradients(*gradients):
    params = []
    for g in gradients:
        p = nn.Parameter(tt.zeros(len(g)))
        p.grad = tt.tensor(g)
        params.append(p)
    return params


def test_clip_grad_norm_scales_all_gradients():
    params = with_gradients([3.0, 0.0], [0.0, 4.0])
    norm = utils.clip_grad_norm_(params, 1.0)
    assert norm.item() == 5.0
    assert params[0].grad.tolist() == pytest.approx([0.6, 0.0], rel=1e-5)
    assert params[1].grad.tolist() == pytest.approx([0.0, 0.8], rel=1e-5)


def test_small_gradients_stay():
    params = with_gradients([0.3], [0.4])
    assert utils.clip_grad_norm_(iter(params), 1.0).item() == pytest.approx(0.5)
    assert params[0].grad.item() == np.float32(0.3)


@pytest.mark.parametrize(
    ("norm_type", "expected"), [(1.0, 7.0), (math.inf, 4.0), (3, 91.0 ** (1 / 3)), (0, 2.0), (-math.inf, 3.0)]
)
def test_other_norms(norm_type, expected):
    params = with_gradients([3.0], [-4.0])
    assert utils.clip_grad_norm_(params, 1e9, norm_type).item() == pytest.approx(expected)


def test_norm_of_large_and_of_no_gradients():
    assert utils.clip_grad_norm_(with_gradients([3e30, 4e30]), 1.0).item() == pytest.approx(5e30)
    assert utils.clip_grad_norm_(nn.Parameter(tt.zeros(2)), 1.0).item() == 0.0
    assert utils.get_total_norm([tt.tensor([3.0]), tt.tensor([4.0])]).item() == 5.0


def test_non_finite_norms():
    with pytest.raises(RuntimeError, match=r"the norm of the gradients is nan.*detect_anomaly"):
        utils.clip_grad_norm_(with_gradients([math.nan]), 1.0, error_if_nonfinite=True)
    params = with_gradients([1.0], [math.nan])
    assert math.isnan(utils.clip_grad_norm_(params, 1.0).item())
    assert math.isnan(params[0].grad.item())
    with pytest.raises(RuntimeError, match=r"get_total_norm: the norm of the gradients is inf"):
        utils.get_total_norm([tt.tensor([math.inf])], error_if_nonfinite=True)


@pytest.mark.parametrize("gradients", [([math.nan], [1.0]), ([1.0], [math.nan]), ([1.0, math.nan], [2.0])])
def test_the_largest_value_does_not_lose_a_nan(gradients):
    params = with_gradients(*gradients)
    assert math.isnan(utils.clip_grad_norm_(params, 1.0, math.inf, foreach=True).item())
    assert all(math.isnan(p.grad.numpy()[0]) for p in params)


def test_the_norm_has_the_dtype_of_its_tensors():
    single, double = tt.tensor([3.0]), tt.tensor([4.0], dtype=np.float64)
    assert utils.get_total_norm([double], foreach=False).dtype == np.float64
    assert utils.get_total_norm(single).dtype == np.float32
    assert utils.get_total_norm([single, double]).dtype == np.float64
    assert utils.get_total_norm([]).dtype == np.float32


def test_clip_grad_value():
    params = with_gradients([3.0, -0.5], [-4.0])
    utils.clip_grad_value_(params, 1.0, foreach=True)
    assert [p.grad.tolist() for p in params] == [[1.0, -0.5], [-1.0]]


def test_vector_there_and_back():
    model = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (8,)
    (vector * 2).sum().backward()
    assert (model.weight.grad.numpy() == 2).all()
    utils.vector_to_parameters(tt.arange(8).to(np.float32), model.parameters())
    assert model.weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert model.bias.tolist() == [6.0, 7.0]
    with pytest.raises(ValueError, match=r"expected a vector of 8 elements, got shape \(7,\)"):
        utils.vector_to_parameters(tt.zeros(7), model.parameters())
