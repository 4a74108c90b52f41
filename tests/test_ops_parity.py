"""Values and gradients of every op equal PyTorch's, in both precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops_sampler import Call, call, gradients, is_float, ops, samples

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

# Parts of a backward pass, which PyTorch does not show: they are compared through the op they serve.
# Dropout draws from a generator of our own.
WITHOUT_ORACLE = {"sum_to", "index_add_zeros", "dropout"}
WITHOUT_GRADIENT_IN_TORCH = {"floor_divide"}  # ours is zero


@pytest.mark.parametrize("op", ops())
def test_has_an_oracle_or_a_reason(op):
    excused = op.name in WITHOUT_ORACLE or "_grad" in op.name
    assert op.oracle is not None or excused, f"op '{op.name}' has no oracle, and no reason in WITHOUT_ORACLE"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("op", "i"), samples(lambda c: c.op.oracle is not None))
def test_like_torch(op, i, dtype):
    ours = call(op, i, dtype)
    theirs = [_to_torch(a, ours.has_gradient(i)) for i, a in enumerate(ours.args)]
    expected = op.oracle(torch, *theirs, **ours.params)
    tolerance = _tolerance(ours)
    if not ours.differentiable or op.name in WITHOUT_GRADIENT_IN_TORCH:
        np.testing.assert_allclose(ours.run()._data, expected.detach().numpy(), **tolerance)
        return
    out, found = gradients(ours)
    np.testing.assert_allclose(out._data, expected.detach().numpy(), **tolerance)
    assert str(out.dtype) == str(expected.dtype).removeprefix("torch.")
    weights = np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype(out.dtype)
    expected.backward(torch.from_numpy(weights))
    for gradient, argument in zip(found, theirs, strict=True):
        if gradient is not None and argument.grad is not None:
            np.testing.assert_allclose(gradient._data, argument.grad.numpy(), **tolerance)
        elif gradient is not None:
            assert not gradient._data.any(), "PyTorch gives this argument no gradient"


def _to_torch(argument: Any, requires_grad: bool) -> Any:
    if not isinstance(argument, np.ndarray):
        return argument
    return torch.from_numpy(np.array(argument)).requires_grad_(requires_grad)


def _tolerance(c: Call) -> dict[str, float]:
    """What rounding allows: more where a small result is the difference of large arguments."""
    floats = [a for a in c.args if is_float(a)]
    largest = max((float(np.abs(a[np.isfinite(a)]).max(initial=1.0)) for a in floats), default=0.0)
    eps = max((float(np.finfo(a.dtype).eps) for a in floats), default=0.0)
    return {"rtol": 200 * eps, "atol": 20 * eps * largest}
