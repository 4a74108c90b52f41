"""`einsum` against NumPy's, values and gradients, and what it says to equations that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok

EQUATIONS = [
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("ji,jk->ki", (3, 2), (3, 4)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->i", (3,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,j->", (2, 3), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
    ("bhtd,bhsd->bhts", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bijk,bk->bji", (2, 3, 4, 5), (2, 5)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("bn,anm,bm->ba", (2, 3), (5, 3, 4), (2, 4)),
    ("i,j,k->kji", (2,), (3,), (4,)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (6, 4, 5)),
    ("...i,...i", (2, 3), (2, 3)),
    ("i...->...", (2, 3, 4)),
    ("...ij->...", (2, 3, 4)),
    ("ij , jk -> ik", (2, 3), (3, 4)),
    ("ij,jk->ik", (0, 3), (3, 4)),
    ("ij,jk->ik", (2, 0), (0, 4)),
    ("abcd,cd->", (2, 3, 4, 5), (4, 5)),
    ("i,->i", (3,), ()),
    ("ij,jk->ik", (2, 1), (3, 4)),
]


@pytest.mark.parametrize(
    ("equation", "shapes"), [(e, s) for e, *s in EQUATIONS], ids=lambda v: str(v).replace(" ", "")
)
def test_like_numpy(equation, shapes):
    generator = np.random.default_rng(0)
    arrays = [np.asarray(generator.standard_normal(shape)) for shape in shapes]
    tensors = [tt.tensor(a, requires_grad=True) for a in arrays]
    out = tt.einsum(equation, *tensors)
    if equation == "ij,jk->ik" and shapes[0] == (2, 1):  # a length of 1 broadcasts here, as in PyTorch
        expected = np.einsum("i,jk->ik", arrays[0][:, 0], arrays[1])
    else:
        expected = np.einsum(equation, *arrays)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    if out.numel():
        tt.gradcheck(lambda *xs: tt.einsum(equation, *xs), tensors)


def test_operands_may_come_as_a_list():
    assert tt.einsum("i,i->", [tt.ones(3), tt.ones(3)]).item() == 3.0


def test_second_order():
    a, b = (
        tt.tensor(np.random.default_rng(i).standard_normal((2, 3, 3)), requires_grad=True) for i in range(2)
    )
    assert tt.gradgradcheck(lambda a, b: tt.einsum("bij,bjk->bik", a, b), [a, b])


@pytest.mark.parametrize(
    ("equation", "shapes", "text"),
    [
        ("ij,jk->ik", [(2, 3)], "names 2 operands, got 1"),
        ("ij->ji", [(2,)], "'ij' names 2 axes, but its operand has 1"),
        ("i->i", [(2, 3)], "'i' names 1 axes, but its operand has 2"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "axis 'j' of 'ij,jk->ik' is 3 long in one operand and 4 in another"),
        (
            "...i,...i->i",
            [(2, 3), (4, 3)],
            r"an axis of '\.\.\.' of .* is 2 long in one operand and 4 in another",
        ),
        ("ij->ik", [(2, 3)], "'k' on the right of 'ij->ik' is on no operand"),
        ("ij->ii", [(2, 3)], "the right of 'ij->ii' names an axis twice"),
        ("i1->i", [(2, 3)], "expected letters, at most one '...' an operand"),
    ],
)
def test_equations_that_do_not_fit(equation, shapes, text):
    with pytest.raises(ValueError, match=text):
        tt.einsum(equation, *(tt.zeros(*shape) for shape in shapes))
