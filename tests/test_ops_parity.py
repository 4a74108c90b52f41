"""Values and gradients of every op equal PyTorch's, in both precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops_sampler import call, gradients, is_float, ops, samples

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

# PyTorch has no function for these. Parts of a backward pass, they are compared through the op they serve.
WITHOUT_ORACLE = {"sum_to"}
TOLERANCE = {np.float32: {"rtol": 2e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-11, "atol": 1e-12}}


@pytest.mark.parametrize("op", ops())
def test_has_an_oracle_or_a_reason(op):
    excused = op.name in WITHOUT_ORACLE or "_grad" in op.name
    assert op.oracle is not None or excused, f"op '{op.name}' has no oracle, and no reason in WITHOUT_ORACLE"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("op", "i"), samples(lambda c: c.op.oracle is not None))
def test_like_torch(op, i, dtype):
    ours = call(op, i, dtype)
    theirs = [_to_torch(a, ours.differentiable) for a in ours.args]
    expected = op.oracle(torch, *theirs, **ours.params)
    if not (ours.differentiable and expected.is_floating_point()):
        got = ours.run()
        np.testing.assert_allclose(got._data, expected.numpy(), **TOLERANCE[dtype])
        return
    out, found = gradients(ours)
    np.testing.assert_allclose(out._data, expected.detach().numpy(), **TOLERANCE[dtype])
    assert str(out.dtype) == str(expected.dtype).removeprefix("torch.")
    weights = np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype(out.dtype)
    expected.backward(torch.from_numpy(weights))
    for gradient, argument in zip(found, theirs, strict=True):
        if gradient is not None and argument.grad is not None:
            np.testing.assert_allclose(gradient._data, argument.grad.numpy(), **TOLERANCE[dtype])
        elif is_float(getattr(gradient, "_data", None)):
            assert not gradient._data.any(), "PyTorch gives this argument no gradient"


def _to_torch(argument: Any, requires_grad: bool) -> Any:
    if not isinstance(argument, np.ndarray):
        return argument
    tensor = torch.from_numpy(np.array(argument))
    return tensor.requires_grad_() if requires_grad and is_float(argument) else tensor
