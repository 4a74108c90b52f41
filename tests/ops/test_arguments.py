"""Arguments may be given by position or by name, under PyTorch's names and NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok


def matrix() -> tt.Tensor:
    return tt.tensor([[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]])


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (lambda x: tt.pow(x, exponent=2), lambda x: x**2),
        (lambda x: tt.pow(exponent=x, input=2), lambda x: 2**x),
        (lambda x: tt.mul(input=x, other=x), lambda x: x * x),
        (lambda x: tt.exp(input=x), lambda x: x.exp()),
        (lambda x: tt.masked_fill(x, mask=x > 2, value=0.0), lambda x: x * (x <= 2)),
        (lambda x: tt.where(condition=x > 2, input=x, other=0.0), lambda x: x * (x > 2)),
        (lambda x: tt.clip(input=x, max=2.0), lambda x: x.clip(None, 2.0)),
        (lambda x: tt.add(x, x, alpha=3), lambda x: x * 4),
        (lambda x: tt.sub(x, 2, alpha=3), lambda x: x - 6),
        (lambda x: x.add(1, alpha=3).sub_(1, alpha=2), lambda x: x + 1),
        (lambda x: tt.div(x, 2, rounding_mode="floor"), lambda x: x // 2),
        (lambda x: x.cumsum(axis=1), lambda x: x.cumsum(1)),
        (lambda x: tt.cumsum(x, axis=1), lambda x: x.cumsum(1)),
        (lambda x: tt.sum(x, axis=0, keepdims=True), lambda x: x.sum(0, keepdim=True)),
        (lambda x: tt.sum(input=x, dim=1, dtype=tt.float64), lambda x: x.double().sum(1)),
        (lambda x: tt.mean(x.long(), dtype=tt.float32), lambda x: x.mean()),
        (lambda x: tt.var(x, dim=1, unbiased=False), lambda x: x.var(1, correction=0)),
        (lambda x: tt.std(x, unbiased=False), lambda x: x.std(correction=0)),
        (lambda x: tt.cat([x, x], axis=1), lambda x: tt.cat([x, x], 1)),
        (lambda x: tt.stack(tensors=[x, x], axis=-1), lambda x: tt.stack([x, x], -1)),
        (lambda x: x.permute(dims=(1, 0)), lambda x: x.T),
        (lambda x: x.topk(2, sorted=True).values, lambda x: x.topk(2).values),
        (lambda x: tt.topk(x, 2, sorted=False).values, lambda x: x.topk(2).values),
        (lambda x: x.sort(stable=True).values, lambda x: x.sort().values),
        (lambda x: tt.sort(x, stable=True).values, lambda x: x.sort().values),
        (lambda x: x.argsort(stable=True), lambda x: x.argsort()),
        (lambda x: x.norm("fro"), lambda x: x.norm()),
        (lambda x: tt.cross_entropy(input=x, target=tt.tensor([0, 1])), lambda x: tt.tensor(4.1429)),
        (lambda x: tt.mse_loss(input=x, target=x), lambda x: tt.tensor(0.0)),
        (lambda x: x.scatter(0, tt.tensor([[1, 1]]), value=9.0)[1], lambda x: tt.tensor([9.0, 9.0, 6.0])),
    ],
)  # fmt: skip
def test_names_of_arguments(called, expected):
    got, wanted = called(matrix()), expected(matrix())
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-4)


def test_gradients_of_arguments_by_name():
    x = tt.tensor([2.0, 3.0], requires_grad=True)
    tt.add(x, other=tt.pow(x, exponent=2), alpha=0.5).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("called", "text"),
    [
        (lambda x: tt.pow(x, exponents=2), "pow: unexpected argument 'exponents'; expected no other"),
        (lambda x: tt.exp(x, other=2), "exp: unexpected argument 'other'; expected no other"),
        (lambda x: tt.pow(x, 2, other=2), "pow: argument 'other' was given twice, by position and by name"),
        (lambda x: tt.pow(exponent=2), "pow: expected the tensor 'a', which is missing"),
        (lambda x: tt.add(tt.tensor([1]), 1, alpha=0.5), "add: expected a whole alpha .* int64, got 0.5"),
        (lambda x: tt.where(x > 0, x), "where: expected two values to choose from, or neither, got one"),
        (lambda x: x.scatter(0, tt.tensor([[0]])), "scatter: expected src, a tensor, or value, a number"),
        (lambda x: x.sum(out=x), "sum: unexpected argument 'out'"),
    ],
)
def test_wrong_names_are_named(called, text):
    with pytest.raises(TypeError, match=text):
        called(matrix())


@pytest.mark.parametrize(
    ("called", "text"),
    [
        (lambda x: x.norm("nuc"), "norm: expected a number or 'fro' as p, got 'nuc'"),
        (lambda x: x.masked_fill(x > 0, x[0]), r"masked_fill: expected a number or a 0-d tensor, .* \(3,\)"),
        (lambda x: x.fill_(x[0]), r"fill_: expected a number or a 0-d tensor, got shape \(3,\)"),
        (lambda x: x.to(tt.uint8).fill_(300), "fill_: expected a number from -255 to 255 .* got 300"),
        (lambda x: x.index_add(0, tt.tensor([0]), x), r"index_add: .* source of shape \(1, 3\), .* \(2, 3\)"),
        (lambda x: tt.diag(x[None]), r"diag: expected 1 or 2 dimensions, got shape \(1, 2, 3\)"),
        (lambda x: tt.trace(x[0]), r"trace: expected a matrix, got shape \(3,\)"),
        (lambda x: tt.median(x[:, :0], 1), r"median: a tensor of shape \(2, 0\) has no elements along dim 1"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(called, text):
    with pytest.raises(ValueError, match=text):
        called(matrix())


def test_a_mask_must_be_one():
    with pytest.raises(TypeError, match="masked_select: expected a mask of dtype bool, got int64"):
        matrix().masked_select(tt.tensor([1, 0, 1]))


def test_places_outside_are_refused():
    with pytest.raises(IndexError, match="index_add: expected indices from 0 to 1, got 2"):
        matrix().index_add(0, tt.tensor([2]), tt.ones(1, 3))


def test_small_integers_are_compared_with_any_number():
    x = tt.tensor([5, 200], dtype=tt.uint8)
    assert (x < 256).tolist() == [True, True]
    assert (x > -1).tolist() == [True, True]


def test_a_number_too_large_for_any_dtype_is_refused():
    with pytest.raises(
        TypeError, match=r"expected a tensor or numbers, got 1180.*, which NumPy reads as object"
    ):
        tt.tensor([1]) + 2**70
