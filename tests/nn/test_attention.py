"""`MultiheadAttention` without PyTorch beside it: by hand, its ways to the same result, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok


def layer(width=6, heads=2, **options):
    tt.manual_seed(0)
    return nn.MultiheadAttention(width, heads, dtype=np.float64, **options)


def normal(*shape, seed=0):
    return tt.tensor(np.random.default_rng(seed).standard_normal(shape))


def run(attention, query, key=None, value=None, **options):
    """The output, the weights, and the gradients of query and parameters."""
    attention.zero_grad()
    query = query.clone().detach().requires_grad_()
    key = query if key is None else key
    output, weights = attention(query, key, key if value is None else value, **options)
    (output * normal(*output.shape, seed=1)).sum().backward()
    gradients = [query.grad, *(p.grad for p in attention.parameters())]
    return output.detach().numpy(), weights, [None if g is None else g.numpy() for g in gradients]


def assert_same(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-10, atol=1e-12)
    for a, b in zip(one[2], other[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_by_hand():
    """One head of width 1: a query that agrees with one key by log 3 more than with the other."""
    attention = nn.MultiheadAttention(1, 1, bias=False, batch_first=True)
    attention.load_state_dict({"in_proj_weight": np.ones((3, 1)), "out_proj.weight": np.full((1, 1), 2.0)})
    query, key = tt.ones(1, 1, 1), tt.tensor([[[0.0], [np.log(3.0)]]])
    output, weights = attention(query, key, tt.tensor([[[4.0], [8.0]]]))
    np.testing.assert_allclose(weights.detach().numpy(), [[[0.25, 0.75]]], rtol=1e-6)
    np.testing.assert_allclose(output.detach().numpy(), [[[2 * 7.0]]], rtol=1e-6)


def test_weights_add_up_to_one_and_are_the_mean_over_heads():
    attention, x = layer(batch_first=True), normal(2, 5, 6)
    _, weights = attention(x, x, x)
    _, of_heads = attention(x, x, x, average_attn_weights=False)
    assert weights.shape == (2, 5, 5)
    assert of_heads.shape == (2, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(-1).detach().numpy(), 1.0)
    np.testing.assert_allclose(of_heads.mean(1).detach().numpy(), weights.detach().numpy())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_every_way_gives_the_same(causal, batch_first, bias):
    """Packed, as three inputs that are equal, with the weights, and with a mask that hides nothing."""
    attention, x = layer(batch_first=batch_first, bias=bias), normal(3, 4, 6)
    length = 4 if batch_first else 3
    options = {"is_causal": causal}
    packed = run(attention, x, need_weights=False, **options)
    assert packed[1] is None
    assert_same(packed, run(attention, x, **options))
    mask = np.triu(np.ones((length, length), np.bool_), 1) & causal
    assert_same(packed, run(attention, x, need_weights=False, attn_mask=mask))
    assert_same(packed, run(attention, x, attn_mask=np.where(mask, -np.inf, 0.0)))
    nobody = np.zeros((3, 4) if batch_first else (4, 3), np.bool_)
    assert_same(packed, run(attention, x, need_weights=False, key_padding_mask=nobody, **options))
    np.testing.assert_allclose(
        attention(x, x.clone(), x.clone(), need_weights=False, **options)[0].detach().numpy(), packed[0]
    )


def test_without_a_batch():
    attention, x, memory = layer(batch_first=True), normal(4, 6), normal(5, 6, seed=2)
    padding = tt.tensor([False, False, True, False, True])
    batched, weights = attention(
        x[None], memory[None], memory[None], key_padding_mask=padding[None], attn_mask=normal(4, 5)
    )
    output, of_one = attention(x, memory, memory, key_padding_mask=padding, attn_mask=normal(4, 5))
    np.testing.assert_allclose(output.detach().numpy(), batched[0].detach().numpy())
    np.testing.assert_allclose(of_one.detach().numpy(), weights[0].detach().numpy())
    assert attention(x, x, x, need_weights=False)[0].shape == (4, 6)


def test_what_is_padding_does_not_matter():
    attention, x = layer(batch_first=True), normal(2, 5, 6)
    memory = normal(2, 7, 6, seed=3)
    padding = np.arange(7) >= np.array([[7], [4]])
    noise = memory + tt.tensor(padding[..., None] * 100.0)
    for need_weights in (True, False):
        options = {"key_padding_mask": padding, "need_weights": need_weights}
        one, other = (attention(x, m, m, **options) for m in (memory, noise))
        np.testing.assert_allclose(one[0].detach().numpy(), other[0].detach().numpy(), rtol=1e-10)
        if need_weights:
            assert not one[1].detach().numpy()[1, :, 4:].any()


def test_the_future_does_not_matter():
    attention, x = layer(batch_first=True), normal(1, 5, 6)
    later = x.clone()
    later[:, 3:] = 9.0
    for need_weights in (True, False):
        one, other = (attention(y, y, y, is_causal=True, need_weights=need_weights)[0] for y in (x, later))
        np.testing.assert_allclose(one[:, :3].detach().numpy(), other[:, :3].detach().numpy(), rtol=1e-12)


def test_more_keys_are_seen_by_all():
    """A learned key and one of zeros stand behind the others, also where the mask is causal."""
    attention, x = layer(batch_first=True, add_bias_kv=True, add_zero_attn=True), normal(2, 3, 6)
    output, weights = attention(x, x, x, is_causal=True)
    assert weights.shape == (2, 3, 5)
    np.testing.assert_array_equal(
        weights.detach().numpy() > 0, [[[1, 0, 0, 1, 1], [1, 1, 0, 1, 1], [1] * 5]] * 2
    )
    fast, _ = attention(x, x, x, need_weights=False, is_causal=True)
    np.testing.assert_allclose(fast.detach().numpy(), output.detach().numpy(), rtol=1e-10)


def test_a_mask_of_numbers_can_be_learned():
    attention, x = layer(batch_first=True), normal(2, 4, 6)
    for need_weights in (True, False):
        bias = tt.zeros(4, 4, requires_grad=True)
        output, _ = attention(x, x, x, attn_mask=bias, need_weights=need_weights)
        (output * normal(2, 4, 6, seed=1)).sum().backward()
        assert bias.grad.dtype == np.float32
        assert np.abs(bias.grad.numpy()).min() > 0


def test_dropout_in_training_only():
    attention, x = layer(batch_first=True, dropout=0.5), normal(4, 8, 6)
    for need_weights in (True, False):
        outputs = [attention(x, x, x, need_weights=need_weights)[0].detach().numpy() for _ in range(2)]
        assert not np.allclose(*outputs)
    _, weights = attention(x, x, x, average_attn_weights=False)
    assert 0.3 < (weights.detach().numpy() == 0).mean() < 0.7
    attention.eval()
    outputs = [attention(x, x, x, need_weights=w)[0].detach().numpy() for w in (True, False)]
    np.testing.assert_allclose(*outputs, rtol=1e-10)


def test_names_and_repr():
    assert list(layer(add_bias_kv=True).state_dict()) == [
        "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias",
    ]  # fmt: skip
    assert list(layer(kdim=3, bias=False).state_dict()) == [
        "q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight",
    ]  # fmt: skip
    assert "MultiheadAttention(\n  6, num_heads=2, dropout=0.0, batch_first=False" in repr(layer())


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: nn.MultiheadAttention(10, 3), ValueError,
            "expected num_heads to divide embed_dim, both above 0, got embed_dim=10 and num_heads=3",
        ),
        (lambda: nn.MultiheadAttention(4, 0), ValueError, "embed_dim=4 and num_heads=0"),
        (lambda: nn.MultiheadAttention(4, 2, 1.5), ValueError, "expected a dropout from 0 to 1, got 1.5"),
    ],
)  # fmt: skip
def test_what_the_constructor_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call()


Q, K = (2, 4, 6), (2, 6, 6)


@pytest.mark.parametrize(
    ("query", "key", "value", "masks", "error", "text"),
    [
        (Q, K, (2, 5, 6), {}, ValueError, r"a value for each key, .* \(2, 6, 6\) and values \(2, 5, 6\)"),
        (Q, (3, 6, 6), (3, 6, 6), {}, ValueError, r"queries and keys of one batch, got 2 and 3 \(que"),
        ((2, 4, 5), K, K, {}, ValueError, r"a query of width 6, got 5 \(query \(2, 4, 5\)\)"),
        (Q, (2, 6, 5), K, {}, ValueError, r"a key of width 6, got 5 \(key \(2, 6, 5\)\)"),
        (Q, K, (2, 6, 5), {}, ValueError, r"a value of width 6, got 5"),
        (Q, (6, 6), (6, 6), {}, ValueError, r"of shape \(N, L, width\), or all three without the batch N"),
        ((6,), (6,), (6,), {}, ValueError, r"of shape \(N, L, width\), .*, got \(6,\), \(6,\) and \(6,\)"),
        (
            Q, K, K, {"attn_mask": (6, 4)}, ValueError,
            r"attn_mask of shape \(L, S\)=\(4, 6\) or \(N \* num_heads, L, S\)=\(4, 4, 6\), got \(6, 4\)",
        ),
        (Q, K, K, {"attn_mask": (2, 4, 6)}, ValueError, r"num_heads, L, S\)=\(4, 4, 6\), got \(2, 4, 6\)"),
        (
            Q, K, K, {"key_padding_mask": (2, 4)}, ValueError,
            r"expected key_padding_mask of shape \(N, S\)=\(2, 6\), got \(2, 4\)",
        ),
        (
            (4, 6), (6, 6), (6, 6), {"key_padding_mask": (1, 6)}, ValueError,
            r"expected key_padding_mask of shape \(S,\)=\(6,\), got \(1, 6\)",
        ),
        (Q, K, K, {"attn_mask": (4, 4), "is_causal": True}, ValueError, r"\(L, S\)=\(4, 6\)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("need_weights", [True, False])
def test_what_a_call_refuses(query, key, value, masks, error, text, need_weights):
    masks = {name: np.zeros(m, np.bool_) if isinstance(m, tuple) else m for name, m in masks.items()}
    with pytest.raises(error, match="MultiheadAttention: expected .*" + text.removeprefix("expected ")):
        layer(batch_first=True)(
            normal(*query), normal(*key), normal(*value), need_weights=need_weights, **masks
        )


def test_a_mask_of_integers_is_refused():
    x = normal(4, 6)
    with pytest.raises(TypeError, match=r"expected attn_mask to hold booleans, True for what .* got int64"):
        layer()(x, x, x, attn_mask=tt.zeros(4, 4, dtype=np.int64))


def test_a_query_that_may_look_at_nothing_gets_zeros():
    attention, x = layer(batch_first=True), normal(2, 3, 6)
    mask = np.zeros((3, 3), np.bool_)
    mask[1] = True
    for key in (x, x.clone()):
        output = attention(x, key, key, attn_mask=mask, need_weights=False)[0].detach().numpy()
        assert not output[:, 1].any()  # nor is there a bias yet
        assert output[:, [0, 2]].all()
    with_weights, _ = attention(x, x, x, attn_mask=mask)
    assert np.isnan(with_weights.detach().numpy()[:, 1]).all()
