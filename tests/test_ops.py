"""Every check over every registered op: what an op must be able to do, it must show here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tinytorch as tt
from tests.ops_sampler import Sampler, call, gradients, is_float, ops, samples
from tinytorch.autograd import gradcheck, gradgradcheck
from tinytorch.systems.profiling.counting import count_ops

TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 1e-6}, np.float64: {"rtol": 1e-11, "atol": 1e-12}}
every_op = pytest.mark.parametrize("op", ops())
every_sample = pytest.mark.parametrize(("op", "i"), samples())
every_differentiable_sample = pytest.mark.parametrize(("op", "i"), samples(lambda c: c.differentiable))
every_smooth_sample = pytest.mark.parametrize(("op", "i"), samples(lambda c: c.differentiable and c.smooth))
both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


# --- the record -----------------------------------------------------------------------------------------


@every_op
def test_is_complete(op):
    assert op.samples is not None, f"op '{op.name}' has no samples"
    assert op.samples(Sampler(0, np.float64)), f"op '{op.name}' has an empty list of samples"
    assert op.reference is not None, f"op '{op.name}' has no reference"
    assert op.__doc__, f"op '{op.name}' has no docstring"


@every_op
def test_has_a_gradient_or_says_that_it_has_none(op):
    assert (op.rule is not None) == op.differentiable


@every_op
def test_differentiable_ops_have_a_smooth_sample(op):
    smooth = [s.smooth for s in op.samples(Sampler(0, np.float64))]
    assert any(smooth) or not op.differentiable


@every_op
def test_refuses_kindly(op):
    for refusal in op.refuses(Sampler(0, np.float32)) if op.refuses else ():
        with pytest.raises(refusal.error, match=refusal.text):
            op(*[a if a is None else tt.Tensor(a) for a in refusal.args], **refusal.params)


@every_sample
def test_cost(op, i):
    c = call(op, i)
    arrays = [a if a is None else np.asarray(a) for a in c.args]
    flops, moved = op.flops_and_bytes(arrays, c.params, c.run()._data)
    assert flops >= 0
    assert math.isfinite(flops)
    assert moved >= 0


@every_sample
def test_refuses_a_gradient_of_a_constant(op, i):
    c = call(op, i)
    for position in op.constants:
        if is_float(c.args[position]):
            tensors = c.tensors()
            tensors[position].requires_grad_()
            with pytest.raises(
                RuntimeError, match=rf"{op.name}: expected argument {position}, .* a constant"
            ):
                op(*tensors, **c.params)


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.nojit_ok
@both_precisions
@every_sample
def test_value(op, i, dtype):
    c = call(op, i, dtype)
    exact = c.with_arrays(lambda a: a.astype(np.float64) if is_float(a) else a)
    expected = np.asarray(op.reference(*exact.args, **c.params))
    got = c.run()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got._data, expected, **TOLERANCE[dtype])
    if "dtype" in c.params:
        assert got.dtype == c.params["dtype"]
    elif any(is_float(a) for a in c.args) and expected.dtype.kind == "f":
        assert got.dtype == dtype
    else:
        assert got.dtype.kind == expected.dtype.kind


@every_sample
def test_leaves_its_arguments_alone(op, i):
    c = call(op, i)
    before = c.with_arrays(np.array)
    if c.differentiable:
        gradients(c)
    else:
        c.run()
    for kept, now in zip(before.args, c.args, strict=True):
        np.testing.assert_array_equal(now, kept)


# --- gradients ------------------------------------------------------------------------------------------


@pytest.mark.nojit_ok
@every_smooth_sample
def test_gradient(op, i):
    c = call(op, i)
    gradcheck(lambda *xs: op(*xs, **c.params), c.tensors(requires_grad=True), atol=1e-6, rtol=1e-6)


@every_smooth_sample
def test_second_derivative(op, i):
    c = call(op, i)
    tensors = c.tensors(requires_grad=True)
    gradgradcheck(lambda *xs: op(*xs, **c.params), tensors, atol=1e-6, rtol=1e-6, fast_mode=True)


@both_precisions
@every_differentiable_sample
def test_gradients_have_the_form_of_their_arguments_and_their_own_memory(op, i, dtype):
    c = call(op, i, dtype)
    out, found = gradients(c)
    for argument, gradient in zip(c.args, found, strict=True):
        if gradient is not None:
            assert gradient.shape == argument.shape
            assert gradient.dtype == argument.dtype
            others = [g for g in found if g is not None and g is not gradient]
            for other in (*[a for a in c.args if is_float(a)], out._data, *[g._data for g in others]):
                assert not np.shares_memory(gradient._data, other)


@every_differentiable_sample
def test_one_gradient_alone_is_the_same(op, i):
    c = call(op, i)
    _, together = gradients(c)
    for position, expected in enumerate(together):
        if expected is None:
            continue
        tensors = c.tensors()
        tensors[position].requires_grad_()
        out = op(*tensors, **c.params)
        weights = np.random.default_rng(1).uniform(0.5, 1.5, out.shape)
        out.backward(tt.Tensor(weights))
        np.testing.assert_allclose(tensors[position].grad._data, expected._data, rtol=1e-13)
        assert all(
            t.grad is None for k, t in enumerate(tensors) if k != position and isinstance(t, tt.Tensor)
        )


@pytest.mark.parametrize(("op", "i"), samples(lambda c: c.differentiable and c.op.rule_on_arrays))
def test_a_rule_on_arrays_gives_the_gradients_of_the_rule_on_tensors(op, i):
    _, on_arrays = gradients(call(op, i))
    with count_ops() as counted:  # what is watched is run on tensors
        _, on_tensors = gradients(call(op, i))
    assert counted.ops
    for found, wanted in zip(on_arrays, on_tensors, strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            np.testing.assert_allclose(found._data, wanted._data, rtol=1e-11, atol=1e-12)


# --- layouts and threads --------------------------------------------------------------------------------


def transposed(a: np.ndarray) -> np.ndarray:
    return np.array(a.T, order="C").T


def stepped(a: np.ndarray) -> np.ndarray:
    wide = np.full([2 * n + 1 for n in a.shape], 77, a.dtype)
    view = wide[(..., *(slice(1, None, 2) for _ in a.shape))]
    view[...] = a
    return view


def reversed_(a: np.ndarray) -> np.ndarray:
    backwards = (..., *(slice(None, None, -1) for _ in a.shape))
    return np.array(a[backwards], order="C")[backwards]


def read_only(a: np.ndarray) -> np.ndarray:
    copy = np.array(a)
    copy.flags.writeable = False
    return copy


LAYOUTS: list[Callable] = [transposed, stepped, reversed_, read_only]


@every_sample
def test_layout_changes_nothing(op, i):
    c = call(op, i, np.float32)
    for layout in LAYOUTS:
        assert_same(c, c.with_arrays(layout), layout)


@every_sample
def test_repeated_rows_without_memory_of_their_own(op, i):
    """Arrays of stride 0, as `expand` makes them, are as good as their copies."""

    def stretched(a: np.ndarray) -> np.ndarray:
        return np.broadcast_to(a[:1], a.shape) if a.ndim and a.size else a

    c = call(op, i, np.float32).with_arrays(stretched)
    assert_same(c.with_arrays(np.array), c, np.array)


def assert_same(plain, other, layout) -> None:
    """Same values, and same gradients from a weighting of the same layout; NaN equals NaN."""
    if not plain.differentiable:
        np.testing.assert_array_equal(other.run()._data, plain.run()._data)
        return
    (out, found), (expected, wanted) = gradients(other, layout), gradients(plain)
    np.testing.assert_allclose(out._data, expected._data, rtol=1e-6, atol=1e-7)
    for gradient, want in zip(found, wanted, strict=True):
        assert (gradient is None) == (want is None)
        if gradient is not None:
            np.testing.assert_allclose(gradient._data, want._data, rtol=1e-6, atol=1e-6)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    most = tt.get_num_threads()
    yield tt.set_num_threads
    tt.set_num_threads(most)


@every_sample
def test_one_and_two_threads_give_the_same_bits(op, i, threads):
    if tt.get_num_threads() < 2:
        pytest.skip("this process has one thread")
    bits = []
    for n in (1, 2):
        threads(n)
        c = call(op, i, np.float32)
        out, found = gradients(c) if c.differentiable else (c.run(), [])
        bits.append([t._data.tobytes() for t in (out, *found) if t is not None])
    assert bits[0] == bits[1]


# --- shapes at the edge ---------------------------------------------------------------------------------

POINTWISE = ("activation", "arithmetic", "compare", "elementary")  # modules whose ops take any shape
pointwise = [p for p in ops() if p.values[0].forward.__module__.rpartition(".")[2] in POINTWISE]


@pytest.mark.parametrize("op", pointwise)
@pytest.mark.parametrize(("size", "shape"), [(1, ()), (0, (0, 3)), (0, (2, 0))])
def test_pointwise_ops_take_a_number_and_nothing_at_all(op, size, shape):
    c = call(op, 0).with_arrays(lambda a: np.array(a.reshape(-1)[:size].reshape(shape)))
    expected = np.asarray(op.reference(*c.args, **c.params))
    if not c.differentiable:
        np.testing.assert_array_equal(c.run()._data, expected)
        return
    out, found = gradients(c)
    assert type(out._data) is np.ndarray
    assert out.shape == expected.shape == shape
    np.testing.assert_allclose(out._data, expected, rtol=1e-11)
    assert all(g.shape == shape for g in found if g is not None)


NOTHING: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "sum": (lambda x: x.sum(), ()),
    "sum of rows": (lambda x: x.sum(1), (0,)),
    "sum of columns": (lambda x: x.sum(0), (3,)),
    "mean of rows": (lambda x: x.mean(1), (0,)),
    "var": (lambda x: x.var(1), (0,)),
    "std": (lambda x: x.std(1), (0,)),
    "norm": (lambda x: x.norm(), ()),
    "amax": (lambda x: x.amax(1), (0,)),
    "argmax": (lambda x: x.argmax(1), (0,)),
    "argmin": (lambda x: x.argmin(1), (0,)),
    "logsumexp": (lambda x: x.logsumexp(1), (0,)),
    "softmax": (lambda x: x.softmax(1), (0, 3)),
    "cumsum": (lambda x: x.cumsum(1), (0, 3)),
    "matmul": (lambda x: x @ x.transpose(0, 1), (0, 0)),
    "inner matmul": (lambda x: x.transpose(0, 1) @ x, (3, 3)),
    "transpose": (lambda x: x.transpose(0, 1), (3, 0)),
    "slice": (lambda x: x[:, 1:2], (0, 1)),
    "mask": (lambda x: x[x > 0], (0,)),
    "rows by number": (lambda x: x[tt.zeros(0, dtype=np.int64)], (0, 3)),
    "roll": (lambda x: x.roll(1, 0), (0, 3)),
    "flip": (lambda x: x.flip(0), (0, 3)),
    "diagonal": (lambda x: x.diagonal(), (0,)),
    "cat": (lambda x: tt.cat([x, x]), (0, 3)),
    "stack": (lambda x: tt.stack([x, x]), (2, 0, 3)),
    "expand": (lambda x: x.expand(2, 0, 3), (2, 0, 3)),
    "einsum": (lambda x: tt.einsum("ij,kj->ik", x, x), (0, 0)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_an_empty_tensor_goes_through_and_back(name):
    function, shape = NOTHING[name]
    x = tt.zeros(0, 3, requires_grad=True)
    out = function(x)
    assert out.shape == shape
    assert not out._data.any()
    if out.requires_grad:
        out.sum().backward()
        assert x.grad.shape == (0, 3)
