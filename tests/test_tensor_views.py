"""Views of a tensor: what shares memory, what counts as one change, and mistakes that are named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


VIEWS: dict[str, Callable] = {
    "reshape": lambda x: x.reshape(6, 4),
    "view": lambda x: x.view(-1, 12),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "permute": lambda x: x.permute(1, 2, 0),
    "transpose": lambda x: x.transpose(0, -1),
    "movedim": lambda x: x.movedim(0, -1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.unsqueeze(0).squeeze(0),
    "flatten": lambda x: x.flatten(1),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "diagonal": lambda x: x.diagonal(),
    "flip": lambda x: x.flip(0, 2),
    "slice": lambda x: x[1:, ::2],
    "integer": lambda x: x[-1],
    "ellipsis": lambda x: x[..., None, 1],
    "narrow": lambda x: x.narrow(1, 1, 2),
    "split": lambda x: x.split(2, dim=1)[1],
    "chunk": lambda x: x.chunk(2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "expand": lambda x: x.unsqueeze(0).expand(5, -1, -1, -1),
    "detach": lambda x: x.detach(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name):
    x = tt.tensor(values(2, 3, 4))
    view = VIEWS[name](x)
    assert np.shares_memory(view.numpy(), x.numpy())
    x.fill_(3.0)
    assert (view == 3.0).all()


@pytest.mark.parametrize("name", VIEWS)
def test_views_count_the_same_changes(name):
    x = tt.tensor(values(2, 3, 4))
    view = VIEWS[name](x)
    before = view._version
    x.add_(1.0)
    assert view._version == before + 1


def test_copies_do_not_share_memory():
    x = tt.tensor(values(3, 4))
    for own in (
        x.clone(),
        x[[0, 2]],
        x[x > 0],
        x.T.contiguous(),
        x.repeat(1, 2),
        x.repeat(1, 1),
        x.tile((1,)),
        x.repeat_interleave(1, 0),
        x[:1, :1].repeat(3, 1),
        x.roll(1),
        x.to(tt.float64),
    ):
        assert not np.shares_memory(own.numpy(), x.numpy())


def test_a_view_that_would_copy_is_refused():
    x = tt.zeros(2, 3)
    with pytest.raises(
        RuntimeError, match=r"view: shape \(3, 2\) .* cannot be seen as \(6,\) without a copy"
    ):
        x.T.view(6)
    assert x.T.contiguous().view(6).shape == (6,)
    assert x.T.reshape(6).shape == (6,)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda x: x.reshape(5), ValueError, r"cannot bring shape \(2, 3\) with 6 elements into \(5,\)"),
        (lambda x: x.permute(0, 0), ValueError, r"permute: expected each of 0 to 1 once .* got \(0, 0\)"),
        (
            lambda x: x.transpose(0, 2),
            IndexError,
            "transpose: expected dim from -2 to 1, got 2 for a 2-d tensor",
        ),
        (lambda x: x.unsqueeze(4), IndexError, "unsqueeze: expected dim from -3 to 2, got 4"),
        (lambda x: x.squeeze(2), IndexError, "squeeze: expected dim from -2 to 1, got 2"),
        (lambda x: x.flatten(1, 0), ValueError, "flatten: expected start_dim not after end_dim, got 1 and 0"),
        (lambda x: x.expand(2, 4), ValueError, r"expand: shape \(2, 3\) does not stretch to \(2, 4\)"),
        (lambda x: x.split(0), ValueError, "split: expected a positive size, got 0"),
        (
            lambda x: x.split([1, 3]),
            ValueError,
            r"split: expected lengths that add up to 2, that of dim 0, got \[1, 3\]",
        ),
        (lambda x: x.chunk(0), ValueError, "chunk: expected a positive number of parts, got 0"),
        (
            lambda x: x.narrow(1, 2, 2),
            IndexError,
            r"narrow: expected a part of dim 1, of length 3, got 2 \+ 2",
        ),
        (
            lambda x: x.repeat(2),
            ValueError,
            r"repeat: expected at least 2 numbers for shape \(2, 3\), got \(2,\)",
        ),
        (lambda x: x.movedim((0, 1), (0, 0)), ValueError, "movedim: expected as many different axes"),
        (lambda x: x[0].mT, ValueError, r"mT: expected at least 2 dimensions, got shape \(3,\)"),
        (
            lambda x: x.unsqueeze(0).t(),
            ValueError,
            r"t: expected at most 2 dimensions, got shape \(1, 2, 3\)",
        ),
        (lambda x: x.sum(dim=2), IndexError, "sum: expected dim from -2 to 1, got 2 for a 2-d tensor"),
        (lambda x: x.sum(axes=1), TypeError, r"sum: unexpected argument 'axes'; expected dim \(or axis\)"),
        (lambda x: x.argmax(dim=(0, 1)), TypeError, r"argmax: expected one dim, got \(0, 1\)"),
        (lambda x: x.topk(4), ValueError, "topk: expected k from 0 to 3, the length of dim -1, got 4"),
        (
            lambda x: x.dot(x),
            ValueError,
            r"dot: expected two vectors of one length, got shapes \(2, 3\) and \(2, 3\)",
        ),
        (
            lambda x: x.mm(x),
            ValueError,
            "matmul: shapes .* do not fit: the first has 3 columns, the second 2 rows",
        ),
        (lambda x: x.bmm(x), ValueError, r"bmm: expected two batches .* got \(2, 3\) and \(2, 3\)"),
        (
            lambda x: x @ 3,
            ValueError,
            r"matmul: expected at least one dimension each, got shapes \(2, 3\) and \(\)",
        ),
        (
            lambda x: x.index_select(0, tt.tensor([2])),
            IndexError,
            "index_select: expected indices from 0 to 1, got 2",
        ),
        (lambda x: tt.cat([]), ValueError, "cat: expected at least one tensor, got none"),
        (
            lambda x: tt.stack([x, x.T]),
            ValueError,
            r"stack: expected tensors of one shape, got \(2, 3\) and \(3, 2\)",
        ),
        (lambda x: tt.exp(x, 2), TypeError, "exp: expected at most 1 arguments, got 2"),
        (lambda x: tt.sum(x, dims=0), TypeError, "sum: unexpected argument 'dims'; expected dim, keepdim"),
    ],
)
def test_mistakes_are_named(mistake, error, text):
    with pytest.raises(error, match=text):
        mistake(tt.tensor(values(2, 3)))
