"""What rotary positions are for: products of queries and keys that know distances, and no places."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.nn import functional as F

pytestmark = pytest.mark.nojit_ok


def normal(*shape):
    return tt.tensor(np.random.default_rng(0).standard_normal(shape))


def test_products_depend_on_the_distance_alone():
    q, k = normal(1, 16), normal(2, 16)[1:]

    def product(m, n):
        return (F.rotary_embedding(q, offset=m) * F.rotary_embedding(k, offset=n)).sum().item()

    for distance in (-3, 0, 5):
        expected = product(distance, 0)
        for n in (1, 10, 1000):
            assert product(n + distance, n) == pytest.approx(expected, abs=1e-10)
    assert product(1, 0) != pytest.approx(product(2, 0), abs=1e-3)


def test_lengths_are_kept_and_the_inverse_turns_back():
    x = normal(2, 3, 5, 8)
    y = F.rotary_embedding(x, offset=9, head_size=4)
    pairs = [t.reshape(2, 3, 5, 2, 2, 2).norm(dim=-2).numpy() for t in (x, y)]
    np.testing.assert_allclose(*pairs, rtol=1e-12)
    back = F.rotary_embedding(y, offset=9, head_size=4, inverse=True)
    np.testing.assert_allclose(back.numpy(), x.numpy(), rtol=1e-12)


def test_one_pass_over_packed_queries_keys_and_values():
    """(b, t, 3c): the same as turning the heads of q and k by themselves, and v as it was."""
    b, t, c, d = 2, 5, 8, 4
    qkv = normal(b, t, 3 * c)
    out = F.rotary_embedding(qkv, offset=2, head_size=d, rotated=2 * c)
    for part in range(2):
        heads = qkv[..., part * c : (part + 1) * c].reshape(b, t, c // d, d).transpose(1, 2)
        expected = F.rotary_embedding(heads, offset=2).transpose(1, 2).reshape(b, t, c)
        np.testing.assert_allclose(out[..., part * c : (part + 1) * c].numpy(), expected.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(out[..., 2 * c :].numpy(), qkv[..., 2 * c :].numpy())


@pytest.mark.parametrize("positions", [np.arange(4, 9), tt.arange(4, 9), np.arange(4, 9, dtype=np.int32)])
def test_positions_one_by_one(positions):
    x = normal(3, 5, 6)
    expected = F.rotary_embedding(x, offset=4).numpy()
    np.testing.assert_array_equal(F.rotary_embedding(x, offset=positions).numpy(), expected)
