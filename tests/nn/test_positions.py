from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok


def normal(*shape):
    return tt.tensor(np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize("dim", [1, 6, 7])
def test_sines_by_their_formula(dim):
    module = nn.SinusoidalPositionalEncoding(dim, max_len=20, dtype=np.float64)
    table = module(tt.zeros(20, dim, dtype=np.float64)).numpy()
    for t in range(20):
        for column in range(dim):
            angle = t / 10000 ** (column // 2 * 2 / dim)
            assert table[t, column] == pytest.approx(
                np.cos(angle) if column % 2 else np.sin(angle), abs=1e-12
            )


def test_sines_of_a_shift_are_a_rotation():
    """What the paper chose them for: moving by k is one linear map, whatever the position."""
    table = nn.SinusoidalPositionalEncoding(8, 30, dtype=np.float64)(
        tt.zeros(30, 8, dtype=np.float64)
    ).numpy()
    step, *_ = np.linalg.lstsq(table[:-3], table[3:], rcond=None)
    np.testing.assert_allclose(table[:-3] @ step, table[3:], atol=1e-9)


def test_sines_are_not_learned_and_not_saved():
    module = nn.SinusoidalPositionalEncoding(4)
    assert list(module.parameters()) == []
    assert list(module.state_dict()) == []
    assert module.max_len == 5000
    assert module.double().table.dtype == np.float64


MODULES = {
    "sines": lambda: nn.SinusoidalPositionalEncoding(4, 6),
    "learned": lambda: nn.LearnedPositionalEmbedding(4, 6),
}
modules = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


@modules
def test_added_to_every_example_and_from_an_offset(make):
    module, x = make(), normal(3, 5, 4)
    rows = module(tt.zeros(6, 4)).detach().numpy()
    np.testing.assert_allclose(module(x).detach().numpy(), x.numpy() + rows[:5])
    np.testing.assert_allclose(module(x[:, :2], offset=4).detach().numpy(), x.numpy()[:, :2] + rows[4:])
    np.testing.assert_allclose(module(normal(2, 3, 5, 4))[0, 1].detach().numpy().shape, (5, 4))


@modules
def test_a_context_that_is_too_long_is_refused(make):
    module = make()
    name = type(module).__name__
    text = rf"{name}: expected a context of at most max_len=6 positions, got 0 to 6 \(input \(2, 7, 4\)\)"
    with pytest.raises(ValueError, match=text):
        module(tt.zeros(2, 7, 4))
    with pytest.raises(ValueError, match="got 5 to 6"):
        module(tt.zeros(2, 4), offset=5)
    with pytest.raises(ValueError, match="got -1 to 0"):
        module(tt.zeros(2, 4), offset=-1)
    with pytest.raises(ValueError, match=rf"{name}: expected an input \(..., t, 4\), got \(2, 5\)"):
        module(tt.zeros(2, 5))
    with pytest.raises(ValueError, match=rf"{name}: expected an input \(..., t, 4\), got \(4,\)"):
        module(tt.zeros(4))


@pytest.mark.parametrize("kind", [nn.SinusoidalPositionalEncoding, nn.LearnedPositionalEmbedding])
@pytest.mark.parametrize(("sizes", "text"), [((0, 5), "dim .* got 0"), ((4, -1), "max_len .* got -1")])
def test_sizes_that_are_refused(kind, sizes, text):
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected {text}"):
        kind(*sizes)


def test_learned_positions():
    tt.manual_seed(0)
    module = nn.LearnedPositionalEmbedding(64, 128)
    assert list(module.state_dict()) == ["weight"]
    assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
    module(tt.zeros(3, 5, 64), offset=2).sum().backward()
    used = module.weight.grad.numpy()
    assert (used[2:7] == 3).all()
    assert not used[:2].any()
    assert not used[7:].any()
    assert repr(module) == "LearnedPositionalEmbedding(64, max_len=128)  # 8,192 parameters"


def test_rotary_positions():
    """Of heads (batch, heads, t, dim): only the distance of a query and a key matters."""
    rotary, q, k = nn.RotaryEmbedding(8, base=100.0), normal(2, 3, 5, 8), normal(2, 3, 5, 8) + 1.0

    def scores(offset):
        return (rotary(q, offset=offset) @ rotary(k, offset=offset).transpose(-1, -2)).numpy()

    np.testing.assert_allclose(scores(0), scores(77), rtol=1e-9, atol=1e-9)
    assert not np.allclose(scores(0), (q @ k.transpose(-1, -2)).numpy())
    np.testing.assert_allclose(rotary(q, offset=np.arange(3, 8)).numpy(), rotary(q, offset=3).numpy())
    assert list(rotary.state_dict()) == []
    assert repr(rotary) == "RotaryEmbedding(8, base=100.0)"


def test_what_rotary_positions_refuse():
    with pytest.raises(ValueError, match=r"RotaryEmbedding: expected an even dim above 0, .* got 5"):
        nn.RotaryEmbedding(5)
    with pytest.raises(ValueError, match="RotaryEmbedding: expected a base above 0, got -1"):
        nn.RotaryEmbedding(4, base=-1)
    with pytest.raises(
        ValueError, match=r"expected an input \(..., t, 4\), got \(2, 8\). Split it into heads"
    ):
        nn.RotaryEmbedding(4)(tt.zeros(2, 8))
