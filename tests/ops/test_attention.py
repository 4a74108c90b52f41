"""Attention as users call it: PyTorch's arguments, refusals, masks that are learnt, dropout, memory."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import ops
from tinytorch.autograd import gradcheck, gradgradcheck
from tinytorch.nn import functional as F


def tensors(*shapes, dtype=np.float64, requires_grad=True):
    rng = np.random.default_rng(0)
    return [tt.Tensor(rng.standard_normal(s).astype(dtype)).requires_grad_(requires_grad) for s in shapes]


def test_heads_side_by_side_in_memory_stay_there():
    (x,) = tensors((2, 5, 3, 4))
    q = x.transpose(1, 2)
    out = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    assert out.shape == (2, 3, 5, 4)
    merged = out.transpose(1, 2).reshape(2, 5, 12)
    assert np.shares_memory(merged._data, out._data)


@pytest.mark.parametrize("kv_heads", [None, 1, 2])
def test_packed_is_the_same_as_apart(kv_heads):
    of_keys = kv_heads or 4
    (qkv,) = tensors((2, 5, (4 + 2 * of_keys) * 3))
    out = ops.self_attention(qkv, 4, kv_heads, is_causal=True)
    out.square().sum().backward()
    packed, qkv.grad = qkv.grad, None
    split = qkv.reshape(2, 5, 4 + 2 * of_keys, 3).transpose(1, 2)
    q, k, v = split[:, :4], split[:, 4 : 4 + of_keys], split[:, 4 + of_keys :]
    apart = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    apart.square().sum().backward()
    np.testing.assert_allclose(out._data, apart.transpose(1, 2).reshape(2, 5, 12)._data, rtol=1e-12)
    np.testing.assert_allclose(packed._data, qkv.grad._data, rtol=1e-10, atol=1e-13)


def test_a_mask_can_be_learnt():
    q, k, v, bias = tensors((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (2, 1, 5))
    gradcheck(F.scaled_dot_product_attention, (q, k, v, bias))
    gradgradcheck(F.scaled_dot_product_attention, (q, k, v, bias), fast_mode=True)


def test_a_query_that_meets_no_key_gives_zeros_and_has_no_gradient():
    q, k, v = tensors((1, 1, 3, 4), (1, 1, 5, 4), (1, 1, 5, 4))
    mask = np.ones((3, 5), np.bool_)
    mask[1] = False
    for given in (mask, np.where(mask, 0.0, -np.inf)):
        out = F.scaled_dot_product_attention(q, k, v, tt.Tensor(given))
        assert not out._data[0, 0, 1].any()
        out.sum().backward()
        assert np.isfinite(q.grad._data).all()
        assert not q.grad._data[0, 0, 1].any()


def test_dropout_draws_again_from_its_counter():
    q, k, v = tensors((2, 2, 6, 4), (2, 2, 7, 4), (2, 2, 7, 4))

    def drop(*xs):
        return F.scaled_dot_product_attention(*xs, dropout_p=0.5, generator=tt.Generator().manual_seed(3))

    gradcheck(drop, (q, k, v))
    gradgradcheck(drop, (q, k, v), fast_mode=True)
    tt.manual_seed(0)
    first, second = (F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)._data for _ in range(2))
    assert not np.array_equal(first, second)
    assert not F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)._data.any()
    (qkv,) = tensors((2, 5, 12))
    tt.manual_seed(0)
    out = ops.self_attention(qkv, 2, dropout_p=0.3)
    tt.manual_seed(0)
    np.testing.assert_array_equal(ops.self_attention(qkv, 2, dropout_p=0.3)._data, out._data)


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_refuses_a_probability_outside_of_0_to_1(p):
    (x,) = tensors((1, 2, 3))
    with pytest.raises(ValueError, match=rf"attention: expected dropout_p from 0 to 1, got {p}"):
        F.scaled_dot_product_attention(x, x, x, dropout_p=p)
    with pytest.raises(ValueError, match=rf"self_attention: expected dropout_p from 0 to 1, got {p}"):
        ops.self_attention(x, 1, dropout_p=p)


def test_a_future_key_changes_nothing():
    q, k, v = tensors((1, 2, 70, 8), (1, 2, 70, 8), (1, 2, 70, 8), dtype=np.float32)
    before = F.scaled_dot_product_attention(q, k, v, is_causal=True)._data.copy()
    k._data[:, :, 40:] += 9
    v._data[:, :, 40:] = 1e30
    after = F.scaled_dot_product_attention(q, k, v, is_causal=True)._data
    np.testing.assert_array_equal(before[:, :, :40], after[:, :, :40])


def test_watched_and_unwatched_gradients_are_counted_alike():
    from tinytorch.systems.profiling.counting import count_ops

    (qkv,) = tensors((2, 8, 12))
    with count_ops() as counted:
        ops.self_attention(qkv, 2, is_causal=True).sum().backward()
    flops = {op.name: op.flops for op in counted.ops}
    assert flops["self_attention"] == 4 * 4 * 36 * 2
    assert flops["self_attention_grad"] == 2.5 * flops["self_attention"]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case",
    [
        {"l": 70, "s": 70, "is_causal": True},
        {"l": 33, "s": 90, "is_causal": True},
        {"l": 90, "s": 33, "is_causal": True},
        {"l": 1, "s": 300},
        {"l": 70, "s": 130, "scale": 0.3},
        {"l": 40, "s": 70, "mask": "boolean"},
        {"l": 40, "s": 70, "mask": "added"},
        {"l": 40, "s": 70, "key_heads": 2, "enable_gqa": True},
    ],
)
def test_like_torch(case, dtype):
    torch = pytest.importorskip("torch")
    case = dict(case)
    l, s, key_heads = case.pop("l"), case.pop("s"), case.pop("key_heads", 4)
    kind, rng = case.pop("mask", None), np.random.default_rng(1)
    shapes = (2, 4, l, 24), (2, key_heads, s, 24), (2, key_heads, s, 24)
    mask = None
    if kind == "boolean":
        mask = rng.random((2, 1, l, s)) < 0.6
        mask[0, 0, 3] = False
    elif kind == "added":
        mask = rng.standard_normal((4, l, s)).astype(dtype)
    ours = tensors(*shapes, dtype=dtype)
    theirs = [torch.from_numpy(x._data.copy()).requires_grad_() for x in ours]
    out = F.scaled_dot_product_attention(*ours, None if mask is None else tt.Tensor(mask), **case)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *theirs, None if mask is None else torch.from_numpy(mask), **case
    )
    out.square().sum().backward()
    expected.square().sum().backward()
    single = {"rtol": 1e-4, "atol": 2e-5}
    tolerance = single if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(out._data, expected.detach().numpy(), **tolerance)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad._data, y.grad.numpy(), **tolerance)


def test_a_scale_of_0_gives_the_mean():
    q, k, v = tensors((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4))
    out = F.scaled_dot_product_attention(q, k, v, scale=0.0)
    np.testing.assert_allclose(out._data, v._data.mean(axis=2, keepdims=True).repeat(3, axis=2), rtol=1e-12)
