"""nn.init: the distribution of each, against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok

init = nn.init
FAN_IN, FAN_OUT = 300, 200


@pytest.fixture
def weight():
    tt.manual_seed(3)
    return nn.Parameter(tt.zeros(FAN_OUT, FAN_IN))


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda w: init.uniform_(w, -0.5, 0.5), 0.5),
        (init.xavier_uniform_, math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(6 / FAN_IN)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(FAN_IN)),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="linear"), math.sqrt(3 / FAN_OUT)),
    ],
)
def test_uniform(weight, fill, bound):
    assert fill(weight) is weight
    values = weight.data
    assert np.abs(values).max() == pytest.approx(bound, rel=1e-3)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert abs(values.mean()) < bound / 50
    assert weight.requires_grad
    assert weight.is_leaf


@pytest.mark.parametrize(
    ("fill", "mean", "std"),
    [
        (lambda w: init.normal_(w, 1.0, 2.0), 1.0, 2.0),
        (init.xavier_normal_, 0.0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), 0.0, math.sqrt(2 / FAN_OUT)),
        (lambda w: init.trunc_normal_(w, 0.0, 0.02), 0.0, 0.02),
        (lambda w: init.trunc_normal_(w, 0.0, 1.0, -1.0, 1.0), 0.0, 0.5396),
    ],
)
def test_normal(weight, fill, mean, std):
    fill(weight)
    assert weight.data.mean() == pytest.approx(mean, abs=std / 50)
    assert weight.data.std() == pytest.approx(std, rel=0.01)


def test_truncation_keeps_the_bounds(weight):
    init.trunc_normal_(weight, 1.0, 3.0, a=-1.0, b=1.5)
    assert weight.data.min() >= -1.0
    assert weight.data.max() <= 1.5


def test_constants():
    w = tt.zeros(2, 3)
    assert init.constant_(w, 2.5).tolist() == [[2.5] * 3] * 2
    assert init.ones_(w).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(w).tolist() == [[0.0] * 3] * 2
    assert init.eye_(w).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (4, 4), (4, 2, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(tt.zeros(*shape), gain=2.0).numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.allclose(product, 4.0 * np.eye(len(product)), atol=1e-5)


def test_generator_and_fans_of_kernels():
    draw = [init.normal_(tt.zeros(3), generator=tt.Generator().manual_seed(1)).tolist() for _ in range(2)]
    assert draw[0] == draw[1]
    w = init.kaiming_uniform_(tt.zeros(64, 16, 3, 3), nonlinearity="relu")
    assert np.abs(w.numpy()).max() == pytest.approx(math.sqrt(6 / (16 * 9)), rel=1e-3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: init.kaiming_uniform_(tt.zeros(3)),
            r"kaiming_uniform_: expected a weight of 2 or more .* \(3,\)",
        ),
        (lambda: init.xavier_normal_(tt.zeros(3)), "xavier_normal_: expected a weight of 2 or more"),
        (
            lambda: init.kaiming_normal_(tt.zeros(3, 3), mode="in"),
            "expected mode 'fan_in' or 'fan_out', got 'in'",
        ),
        (lambda: init.eye_(tt.zeros(3)), r"eye_: expected 2 dimensions, got shape \(3,\)"),
        (lambda: init.orthogonal_(tt.zeros(3)), r"orthogonal_: expected 2 or more dimensions"),
        (lambda: init.trunc_normal_(tt.zeros(3), a=1.0, b=1.0), r"expected a < b, got a=1.0, b=1.0"),
        (lambda: init.trunc_normal_(tt.zeros(3), 0.0, 0.1, a=5.0, b=6.0), "almost nothing of a normal"),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ValueError, match=text):
        call()
