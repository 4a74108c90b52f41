"""Random programs: their gradients agree with finite differences, and with PyTorch's to the last digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import tinytorch as tt
from tests.autograd.expressions import Program, programs
from tinytorch.autograd import grad, gradcheck, gradgradcheck


def leaves(program: Program) -> list[tt.Tensor]:
    return [tt.Tensor(a, requires_grad=True) for a in program.arrays()]


@given(programs())
def test_gradients_agree_with_finite_differences(program):
    assert gradcheck(program, leaves(program), fast_mode=True)


@given(programs())
def test_second_derivatives_agree_with_finite_differences(program):
    assert gradgradcheck(program, leaves(program), fast_mode=True)


@pytest.mark.parity
@given(programs())
def test_value_gradient_and_second_derivative_like_torch(program):
    torch = pytest.importorskip("torch")
    ours = leaves(program)
    theirs = [torch.tensor(a, requires_grad=True) for a in program.arrays()]
    value, expected = program(*ours), program(*theirs)
    np.testing.assert_allclose(value._data, expected.detach().numpy(), rtol=1e-12)

    found = grad(value, ours, create_graph=True)
    wanted = torch.autograd.grad(expected, theirs, create_graph=True)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a._data, b.detach().numpy(), rtol=1e-10, atol=1e-12)

    length, expected = sum((g * g).sum() for g in found), sum((g * g).sum() for g in wanted)
    if not expected.requires_grad:
        assert not length.requires_grad
        return
    found = grad(length, ours, allow_unused=True)
    wanted = torch.autograd.grad(expected, theirs, allow_unused=True)
    for a, b in zip(found, wanted, strict=True):
        a = np.zeros(()) if a is None else a._data
        np.testing.assert_allclose(a, np.zeros(()) if b is None else b.numpy(), rtol=1e-9, atol=1e-11)


@given(programs())
def test_the_same_program_gives_the_same_bits(program):
    first, second = (grad(program(*xs), xs) for xs in (leaves(program), leaves(program)))
    for a, b in zip(first, second, strict=True):
        assert a._data.tobytes() == b._data.tobytes()
