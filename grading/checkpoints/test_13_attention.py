"""Module 13: queries, keys and values."""

import numpy as np

from grading.checkpoints.checking import array, near
from grading.gates import require


def _plain(q, k, v, causal):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def test_attention(names, rng):
    q, k, v = rng.normal(size=(3, 2, 2, 5, 4)).astype("f4")
    for causal in (False, True):
        found = names("scaled_dot_product_attention")(*map(names.tensor, (q, k, v)), is_causal=causal)
        near(found, _plain(q, k, v, causal), f"attention, is_causal={causal}", 1e-4)


def test_the_future_is_hidden(names, rng):
    q, k, v = rng.normal(size=(3, 1, 1, 6, 4)).astype("f4")
    attend = names("scaled_dot_product_attention")
    before = array(attend(*map(names.tensor, (q, k, v)), is_causal=True))
    k[..., 4:, :], v[..., 4:, :] = 9.0, 9.0
    after = array(attend(*map(names.tensor, (q, k, v)), is_causal=True))
    near(after[..., :4, :], before[..., :4, :], "what is said before a change")
    require(
        not np.allclose(after[..., 4:, :], before[..., 4:, :]), "a change is not noticed behind it either"
    )


def test_heads_are_projected_and_joined(names, rng):
    layer, x = names("MultiheadAttention")(8, 2, batch_first=True), rng.normal(size=(2, 5, 8)).astype("f4")
    t = names.tensor(x)
    found = layer(t, t, t, need_weights=False)[0]
    qkv = x @ array(layer.in_proj_weight).T + array(layer.in_proj_bias)
    q, k, v = qkv.reshape(2, 5, 3, 2, 4).transpose(2, 0, 3, 1, 4)
    y = _plain(q, k, v, False).transpose(0, 2, 1, 3).reshape(2, 5, 8)
    near(
        found,
        y @ array(layer.out_proj.weight).T + array(layer.out_proj.bias),
        "MultiheadAttention(8, 2)",
        1e-4,
    )
