"""Functions that are spelled with other ops: values and gradients equal PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

LABELS = np.array([2, 0, 1])
PICTURE_LABELS = np.array([[0, 2], [1, -100], [2, 2]])

# (what both libraries are asked, the shape of its argument): `t` is tinytorch or torch.
SHARED: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "movedim": (lambda t, x: t.movedim(x, (0, 2), (1, 0)), (2, 3, 4)),
    "flatten": (lambda t, x: t.flatten(x, 1), (2, 3, 4)),
    "unflatten": (lambda t, x: t.unflatten(x, 1, (2, -1)), (2, 6)),
    "stack": (lambda t, x: t.stack([x, x * 2], -1), (2, 3)),
    "split": (lambda t, x: t.split(x, 2, 1)[1] * 3, (2, 5)),
    "split lengths": (lambda t, x: t.split(x, [1, 3, 1], 1)[1], (2, 5)),
    "chunk": (lambda t, x: t.chunk(x, 3, 1)[2], (2, 7)),
    "unbind": (lambda t, x: t.unbind(x, 1)[2], (2, 5)),
    "cat with empty ones": (lambda t, x: t.cat([t.tensor([]), x, t.tensor([]), x * 2], 1), (2, 3)),
    "vstack": (lambda t, x: t.vstack([x, x[0] * 2]), (2, 3)),
    "hstack": (lambda t, x: t.hstack([x, x[:, :1] * 2]), (2, 3)),
    "hstack of vectors": (lambda t, x: t.hstack([x[0], x[1, 1], x[1]]), (2, 3)),
    "narrow": (lambda t, x: t.narrow(x, 1, 1, 3), (2, 5)),
    "repeat": (lambda t, x: x.repeat(2, 1, 3), (2, 3)),
    "tile": (lambda t, x: t.tile(x, (2,)), (2, 3)),
    "repeat_interleave": (lambda t, x: t.repeat_interleave(x, 3, dim=1), (2, 3)),
    "repeat_interleave flat": (lambda t, x: t.repeat_interleave(x, 2), (2, 3)),
    "repeat once": (lambda t, x: x.repeat(1, 1) * 2, (2, 3)),
    "index_add": (
        lambda t, x: t.index_add(x, 1, t.tensor([2, 0, 2]), x[:, :3] * 2, alpha=3),
        (2, 4),
    ),
    "masked_select": (lambda t, x: t.masked_select(x, t.tensor([True, False, True])), (2, 3)),
    "where": (lambda t, x: t.where(x > 0, x * 2, x[:1]), (3, 4)),
    "integer before a slice and an array": (
        lambda t, x: x[0, :, t.tensor([0, 2])] * x[1, None, :, 1:],
        (2, 3, 3),
    ),
    "index_select": (lambda t, x: t.index_select(x, 1, t.tensor([2, 0, 2])), (2, 3)),
    "take_along_dim": (lambda t, x: t.take_along_dim(x, t.tensor([[2, 0]]), 1), (2, 3)),
    "max along": (lambda t, x: t.max(x, 1).values, (3, 4)),
    "min along": (lambda t, x: t.min(x, 0, keepdim=True).values, (3, 4)),
    "max of all": (lambda t, x: t.max(x), (3, 4)),
    "median": (lambda t, x: t.median(x), (3, 4)),
    "median along": (lambda t, x: t.median(x, 1, keepdim=True).values, (3, 4)),
    "median of NaN": (lambda t, x: t.median(t.where(x > 1, x, float("nan")), 1).values, (3, 4)),
    "trace": (lambda t, x: t.trace(x * x), (3, 4)),
    "diag of a matrix": (lambda t, x: t.diag(x, 1) * 2, (3, 4)),
    "diag of a vector": (lambda t, x: t.diag(x, -1) * 2, (3,)),
    "t": (lambda t, x: t.t(x) * 2, (3, 4)),
    "rsqrt": (lambda t, x: t.rsqrt(x * x), (3, 4)),
    "nan_to_num": (lambda t, x: t.nan_to_num(t.log(x), neginf=1.0), (3, 4)),
    "sort": (lambda t, x: t.sort(x, 1, descending=True).values[:, :2], (3, 4)),
    "topk": (lambda t, x: t.topk(x, 2, 0).values, (3, 4)),
    "topk smallest": (lambda t, x: t.topk(x, 2, largest=False).values, (3, 4)),
    "norm": (lambda t, x: t.norm(x), (3, 4)),
    "norm 1": (lambda t, x: t.norm(x, 1, 1), (3, 4)),
    "norm 3": (lambda t, x: t.norm(x, 3, 0), (3, 4)),
    "frobenius norm": (lambda t, x: t.norm(x, "fro"), (3, 4)),
    "norm inf": (lambda t, x: t.norm(x, float("inf"), 0), (3, 4)),
    "matmul vector": (lambda t, x: t.matmul(x, x[0]), (3, 3)),
    "vector matmul": (lambda t, x: t.matmul(x[0], x), (3, 3)),
    "vector batch": (lambda t, x: t.matmul(x[0, 0], x), (2, 3, 3)),
    "batch vector": (lambda t, x: t.matmul(x, x[0, 0]), (2, 3, 3)),
    "dot": (lambda t, x: t.dot(x, x), (3,)),
    "outer": (lambda t, x: t.outer(x, x * 2), (3,)),
    "addmm": (lambda t, x: t.addmm(x, x, x, beta=0.5, alpha=2.0), (3, 3)),
    "bmm": (lambda t, x: t.bmm(x, x), (2, 3, 3)),
    "einsum": (lambda t, x: t.einsum("ijk,ilk->jl", x, x), (2, 3, 4)),
    "softplus": (lambda t, x: (t if t is tt else t.nn.functional).softplus(x), (3, 4)),
    "power": (lambda t, x: 2**x + x**2 + x**3 + abs(x) ** 0.5, (3, 4)),
    "remainder": (lambda t, x: x % 0.3 + (x + 5) % x, (3, 4)),
    "clamp": (lambda t, x: t.clamp(x, min=-0.1), (3, 4)),
    "clamp by tensors": (lambda t, x: t.clamp(x, x.flip(1) * 0.5, abs(x[0]) * 0.3), (3, 4)),
    "clamp by a tie": (lambda t, x: t.clamp(x, min=x * 1.0), (3, 4)),
    "clamp by 0-d and 1-d": (lambda t, x: x.clamp(t.tensor(-0.1), x[0] * 2), (3, 4)),
    "clamp in place": (lambda t, x: (x * 2).clamp_(max=x[0]), (3, 4)),
    "masked_fill by a tensor": (lambda t, x: t.masked_fill(x, x > 0, x[0, 0] * 2), (3, 4)),
    "masked_fill_ by a tensor": (lambda t, x: (x * 2).masked_fill_(x > 0, x[0, 0]), (3, 4)),
    "fill_ by a tensor": (lambda t, x: (x * 2).fill_(x[0, 0]) + x, (3, 4)),
    "scatter_": (lambda t, x: (x * 2).scatter_(1, t.tensor([[2], [0]]), x[:, 1:2]), (2, 3)),
    "scatter_ a value": (lambda t, x: (x * 2).scatter_(1, t.tensor([[2], [0]]), value=3.0), (2, 3)),
    "scatter_add_": (lambda t, x: (x * 2).scatter_add_(1, t.tensor([[2, 2], [0, 1]]), x[:, 1:]), (2, 3)),
    "index_add_": (lambda t, x: (x * 2).index_add_(0, t.tensor([1, 1]), x, alpha=0.5), (2, 3)),
    "squeeze_ and unsqueeze_": (lambda t, x: (x * 2).unsqueeze_(0).mul_(x).squeeze_().mul_(x[0]), (2, 3)),
    "written in place": (lambda t, x: (x * 1.0).mul_(x).clamp_(max=0.8).add_(1.0).exp_(), (3, 4)),
    "mask assigned": (lambda t, x: _assigned(x), (3, 4)),
    "nll": (lambda t, x: _f(t).nll_loss(x, t.tensor(LABELS)), (3, 4)),
    "nll of pictures": (lambda t, x: _f(t).nll_loss(x, t.tensor(PICTURE_LABELS)), (3, 4, 2)),
    "cross entropy of pictures": (lambda t, x: _f(t).cross_entropy(x, t.tensor(PICTURE_LABELS)), (3, 4, 2)),
    "cross entropy of one": (lambda t, x: _f(t).cross_entropy(x, t.tensor(2)), (4,)),
    "cross entropy of probabilities": (
        lambda t, x: _f(t).cross_entropy(x, t.softmax(x.detach(), 1), label_smoothing=0.1),
        (3, 4),
    ),
    "cross entropy, weighted probabilities": (
        lambda t, x: _f(t).cross_entropy(x, t.softmax(x.detach(), 1), weight=t.arange(1.0, 5.0)),
        (3, 4, 2),
    ),
    "l1": (lambda t, x: _f(t).l1_loss(x, x.detach() * 2), (3, 4)),
    "smooth l1": (lambda t, x: _f(t).smooth_l1_loss(x, x.detach() * 3, beta=0.5), (3, 4)),
    "huber": (lambda t, x: _f(t).huber_loss(x, x.detach() * 3, delta=0.5), (3, 4)),
    "mse of each": (lambda t, x: _f(t).mse_loss(x, x.detach() * 3, reduction="none"), (3, 4)),
    "kl": (
        lambda t, x: _f(t).kl_div(t.log_softmax(x, 1), t.softmax(x.detach() * 2, 1), reduction="batchmean"),
        (3, 4),
    ),
    "kl of both": (
        lambda t, x: _f(t).kl_div(t.log_softmax(x, 1), t.softmax(x * 2, 1), reduction="sum"),
        (3, 4),
    ),
    "bce": (lambda t, x: _f(t).binary_cross_entropy(t.sigmoid(x), t.sigmoid(x * 2)), (3, 4)),
}


def _f(t: Any) -> Any:
    """Where a library keeps its losses."""
    return tt if t is tt else torch.nn.functional


def _assigned(x: Any) -> Any:
    y = x * 1.0
    y[x > 0] = y[0, 0] * 2
    y[1] = 5.0
    return y


@pytest.mark.parametrize("name", SHARED)
def test_like_torch(name):
    function, shape = SHARED[name]
    array = np.random.default_rng(len(name)).standard_normal(shape)
    ours, theirs = tt.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    result, expected = function(tt, ours), function(torch, theirs)
    np.testing.assert_allclose(result.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    weights = np.random.default_rng(0).standard_normal(result.shape)
    result.backward(tt.tensor(weights))
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "question",
    [
        lambda t: t.argsort(t.tensor([3.0, 1.0, 2.0])),
        lambda t: t.nonzero(t.tensor([[0, 1], [2, 0]])),
        lambda t: t.eye(3, 2),
        lambda t: t.arange(1, 2, 0.1),
        lambda t: t.linspace(0, 1, 7),
        lambda t: t.full((2,), 3),
        lambda t: t.tensor([1, 2]) / 2,
        lambda t: t.tensor([7, -7]) // 2,
        lambda t: t.tensor([7, -7]) % 3,
        lambda t: t.tensor([True, False]) + 1,
        lambda t: t.tensor([1, 2]) * 1.5,
        lambda t: t.tensor([1.0, 2.0]).to(t.int64).sum(),
        lambda t: t.tensor([3, 2], dtype=t.uint8) + t.tensor([1, 2], dtype=t.int8),
        lambda t: t.tensor([1, 2]).float().mean(),
        lambda t: t.tensor([[True, False]]).any(1),
        lambda t: t.round(t.tensor([0.5, 1.5, -0.5, 2.5])),
        lambda t: t.tril(t.ones(3, 3), -1) + t.triu(t.ones(3, 3), 1),
        lambda t: t.isclose(t.tensor([1.0, 2.0]), t.tensor([1.0, 2.1])),
        lambda t: t.cumsum(t.tensor([True, True]), 0),
        lambda t: t.prod(t.tensor([2, 3])),
        lambda t: t.cat([t.ones(2), t.arange(2)]),
        lambda t: t.cat([t.tensor([]), t.arange(2)]),
        lambda t: t.cat([t.tensor([]), t.tensor([])]),
        lambda t: t.cat([t.ones(1, dtype=t.uint8), t.ones(1, dtype=t.int8)]),
        lambda t: t.stack([t.arange(2), t.ones(2)], axis=1),
        lambda t: t.tensor(1.0) * np.float64(2),
        lambda t: t.tensor([1]) * np.float64(2),
        lambda t: np.float64(2) * t.tensor([1.0]),
        lambda t: t.tensor([1], dtype=t.int32) * np.int64(2),
        lambda t: t.tensor([5, 200], dtype=t.uint8) + 300,
        lambda t: t.tensor([5, 200], dtype=t.uint8) * -1,
        lambda t: t.tensor([5, 100], dtype=t.int8) - 200,
        lambda t: t.tensor([5, 200], dtype=t.uint8) == 300,
        lambda t: t.tensor([1, 2]).masked_fill(t.tensor([True, False]), 1.7),
        lambda t: t.tensor([1, 2]).masked_fill(t.tensor([True, False]), t.tensor(1.7)),
        lambda t: t.ones(2).masked_fill(t.tensor([[True, False], [False, True]]), 5),
        lambda t: t.tensor([1, 2]).fill_(1.7),
        lambda t: t.tensor([1, 5]).clamp(min=t.tensor(1.5)),
        lambda t: t.tensor([1.0, 5.0]).clamp(min=t.tensor([float("nan"), 7.0])),
        lambda t: t.where(t.tensor([[True, False], [True, True]]))[1],
        lambda t: t.div(t.tensor([7, -7]), 2, rounding_mode="trunc"),
        lambda t: t.tensor([7.0, -7.0]).div(2, rounding_mode="floor"),
        lambda t: t.median(t.tensor([4, 1, 3, 2])),
        lambda t: t.trace(t.ones(2, 3, dtype=t.int32)),
        lambda t: t.log2(t.tensor([8, 2])),
        lambda t: t.nan_to_num(t.tensor([1, 2])),
        lambda t: t.nan_to_num(t.tensor([float("nan"), float("inf"), -float("inf")]), nan=float("inf")),
        lambda t: t.bincount(t.tensor([0, 2, 2]), minlength=5),
        lambda t: t.bincount(t.tensor([0, 2, 2]), weights=t.tensor([0.5, 1, 2])),
        lambda t: t.unique(t.tensor([[3, 1], [3, 2]]), return_inverse=True)[1],
        lambda t: t.unique(
            t.tensor([[3, 1], [3, 2], [3, 1]]), dim=0, return_inverse=True, return_counts=True
        )[2],
        lambda t: t.tensor([[3, 1], [3, 2]]).unique(),
    ],
)
def test_values_and_dtypes_like_torch(question):
    ours, theirs = question(tt), question(torch)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
