"""`Tensor` behaves as PyTorch's: operators, methods, dtypes, conversions, reductions, refusals."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- operators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (lambda x: x + 1, [2.0, 3.0]),
        (lambda x: 1 + x, [2.0, 3.0]),
        (lambda x: x - 1, [0.0, 1.0]),
        (lambda x: 1 - x, [0.0, -1.0]),
        (lambda x: x * 2, [2.0, 4.0]),
        (lambda x: 2 * x, [2.0, 4.0]),
        (lambda x: x / 2, [0.5, 1.0]),
        (lambda x: 2 / x, [2.0, 1.0]),
        (lambda x: x // 2, [0.0, 1.0]),
        (lambda x: 3 // x, [3.0, 1.0]),
        (lambda x: x % 2, [1.0, 0.0]),
        (lambda x: 3 % x, [0.0, 1.0]),
        (lambda x: x**2, [1.0, 4.0]),
        (lambda x: 2**x, [2.0, 4.0]),
        (lambda x: -x, [-1.0, -2.0]),
        (lambda x: +x, [1.0, 2.0]),
        (lambda x: abs(-x), [1.0, 2.0]),
        (lambda x: x == 2, [False, True]),
        (lambda x: x != 2, [True, False]),
        (lambda x: x < 2, [True, False]),
        (lambda x: x <= 2, [True, True]),
        (lambda x: x > 1, [False, True]),
        (lambda x: x >= 1, [True, True]),
        (lambda x: (x > 1) & (x < 3), [False, True]),
        (lambda x: (x > 1) | (x < 2), [True, True]),
        (lambda x: (x > 1) ^ (x > 0), [True, False]),
        (lambda x: ~(x > 1), [True, False]),
    ],
)
def test_operators(written, expected):
    assert written(tt.tensor([1.0, 2.0])).tolist() == expected


@pytest.mark.parametrize(
    "operation", [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a @ b, lambda a, b: a < b]
)
def test_an_ndarray_on_the_left_leaves_it_to_the_tensor(operation):
    a, b = values(2, 2), values(2, 2, seed=1)
    result = operation(a, tt.tensor(b))
    assert isinstance(result, tt.Tensor)
    np.testing.assert_allclose(result.numpy(), operation(a, b), rtol=1e-5, atol=1e-6)
    assert operation(a, tt.tensor(b, requires_grad=True)).requires_grad == (result.dtype != tt.bool)


def test_comparison_with_what_is_no_number():
    x = tt.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "mean") is True


def test_tensors_are_hashed_by_identity():
    a, b = tt.ones(2), tt.ones(2)
    assert {a: 1, b: 2}[b] == 2
    assert a in [a]


def test_a_value_is_found_in_a_tensor():
    x = tt.tensor([1.0, 2.0])
    assert 2.0 in x
    assert 3.0 not in x


def test_floating_point_has_no_bits():
    with pytest.raises(TypeError, match=r"&: expected booleans or integers, got float32"):
        tt.ones(2) & tt.ones(2)
    with pytest.raises(TypeError, match=r"~: expected booleans or integers, got float32"):
        ~tt.ones(2)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="add: expected a tensor, a number or an array, got str"):
        tt.ones(2) + "1"


# --- dtypes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (tt.float32, 1, tt.float32),
        (tt.float32, 1.5, tt.float32),
        (tt.int64, 1, tt.int64),
        (tt.int64, 1.5, tt.float32),
        (tt.bool, 1, tt.int64),
        (tt.bool, 1.5, tt.float32),
        (tt.uint8, 1, tt.uint8),
        (tt.uint8, 0.5, tt.float32),
        (tt.float64, 1.5, tt.float64),
    ],
)
def test_a_number_does_not_widen_a_tensor(a, b, expected):
    assert (tt.ones(2, dtype=a) + b).dtype == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (tt.float32, tt.float64, tt.float64),
        (tt.float32, tt.int64, tt.float32),
        (tt.int64, tt.float32, tt.float32),
        (tt.uint8, tt.int64, tt.int64),
        (tt.bool, tt.uint8, tt.uint8),
        (tt.int32, tt.int64, tt.int64),
        (tt.uint8, tt.int8, tt.int16),
    ],
)
def test_two_dtypes_meet_where_pytorch_lets_them(a, b, expected):
    assert (tt.ones(2, dtype=a) + tt.ones(2, dtype=b)).dtype == expected


def test_a_float64_scalar_tensor_does_not_widen_float32():
    assert (tt.ones(2) * tt.tensor(np.float64(0.5))).dtype == tt.float32
    assert (tt.ones(2) * np.float64(0.5)).dtype == tt.float32


@pytest.mark.parametrize(
    ("convert", "expected"),
    [
        (lambda x: x.float(), tt.float32),
        (lambda x: x.double(), tt.float64),
        (lambda x: x.long(), tt.int64),
        (lambda x: x.int(), tt.int32),
        (lambda x: x.bool(), tt.bool),
        (lambda x: x.to(tt.uint8), tt.uint8),
        (lambda x: x.to("float64"), tt.float64),
        (lambda x: x.to(float), tt.float32),
        (lambda x: x.to("cpu", tt.float64), tt.float64),
        (lambda x: x.to(dtype=tt.int64, device="cpu"), tt.int64),
        (lambda x: x.to(tt.zeros(1, dtype=tt.float64)), tt.float64),
        (lambda x: x.type_as(tt.zeros(1, dtype=tt.float64)), tt.float64),
    ],
)
def test_conversions(convert, expected):
    assert convert(tt.tensor([0, 1, 2])).dtype == expected


def test_a_conversion_to_the_same_dtype_is_no_copy():
    x = tt.ones(2)
    assert x.float() is x
    assert x.to(tt.float32) is x
    assert x.to(tt.float32, copy=True) is not x


def test_gradients_flow_through_conversions():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * 3.0).sum().backward()
    assert x.grad.dtype == tt.float32
    assert x.grad.tolist() == [3.0, 3.0]


def test_lines_that_open_a_script():
    device = tt.device("cuda" if tt.cuda.is_available() else "cpu")
    x = tt.ones(2, device=device).to(device, non_blocking=True)
    assert x.device == device == "cpu"
    assert (x.device.type, str(device), repr(device)) == ("cpu", "cpu", "device(type='cpu')")
    assert not x.is_cuda
    assert tt.cuda.device_count() == 0
    tt.cuda.manual_seed_all(0)
    assert tt.zeros(2).add_(tt.inf).isinf().all()
    assert tt.finfo(tt.float32).eps == np.float32(2**-23)
    assert tt.iinfo(tt.uint8).max == 255
    assert tt.tensor([tt.pi, tt.e, tt.nan]).isnan().tolist() == [False, False, True]
    assert (tt.ones(2) * tt.finfo(tt.float32).max).dtype == tt.float32
    with pytest.raises(ValueError, match=r"expected device 'cpu', the only one .* got 'cuda:0'"):
        tt.device("cuda:0")


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
def test_longer_numbers_are_refused():
    with pytest.raises(TypeError, match=r"Tensor: expected float32 or float64, got dtype float128.*astype"):
        tt.tensor(np.ones(2, np.longdouble))
    assert tt.tensor(np.ones(2, np.longdouble), dtype=tt.float64).dtype == tt.float64


def test_other_devices_and_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"expected device 'cpu', the only one .* got 'cuda'"):
        tt.ones(2).to("cuda")
    with pytest.raises(TypeError, match=r"expected a dtype among float32, .* got 'float16'"):
        tt.ones(2).to("float16")
    with pytest.raises(TypeError, match=r"expected a dtype among float32, .* got 'no dtype'"):
        tt.ones(2).to("no dtype")


# --- what it is -----------------------------------------------------------------------------------------


def test_sizes():
    x = tt.zeros(2, 3, 4)
    assert x.shape == x.size() == (2, 3, 4)
    assert (x.size(1), x.size(-1)) == (3, 4)
    assert (x.numel(), x.nelement(), x.dim(), x.ndim, len(x)) == (24, 24, 3, 3, 2)
    assert (x.element_size(), x.itemsize, x.nbytes) == (4, 4, 96)
    assert (x.stride(), x.stride(0)) == ((12, 4, 1), 12)
    assert x.is_floating_point()
    assert not x.long().is_floating_point()
    assert x.device == x.cpu().device == "cpu"
    assert sum(p.data.size for p in [x]) == 24


def test_one_element_becomes_a_number():
    x = tt.tensor([[2.5]])
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert f"{x.item():.2f}" == "2.50"
    with pytest.raises(RuntimeError, match=r"item\(\): expected one element, got shape \(2,\) with 2"):
        tt.ones(2).item()
    with pytest.raises(RuntimeError, match="expected one element"):
        bool(tt.ones(2))


def test_a_number_is_formatted_as_one():
    x = tt.tensor(1.23456, requires_grad=True)
    assert f"{x:.2f} {x * 2:6.1f} {tt.tensor(7):>3d}" == "1.23    2.5   7"
    assert f"{tt.tensor(1.5)}" == "1.5"
    assert f"{tt.tensor([1.5])}" == "tensor([1.5])"
    with pytest.raises(
        TypeError, match=r"format: expected a 0-d tensor for the format '.2f', got shape \(1,\)"
    ):
        f"{tt.tensor([1.5]):.2f}"


def test_deepcopy_takes_a_leaf_and_no_graph():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    (x * 2.0).sum().backward()
    x.register_hook(lambda g: g * 100.0)
    twin, again = copy.deepcopy((x, x))
    assert twin is again
    assert (twin.tolist(), twin.grad.tolist(), twin.requires_grad) == ([1.0, 2.0], [2.0, 2.0], True)
    assert not np.shares_memory(twin._data, x._data)
    (twin * 2.0).sum().backward()
    assert twin.grad.tolist() == [4.0, 4.0]
    row = copy.deepcopy(tt.zeros(2, 2)[0])
    assert row._base is None
    with pytest.raises(
        RuntimeError, match=r"deepcopy: expected a leaf, got the result of 'mul'.*\.detach\(\)"
    ):
        copy.deepcopy(x * 2.0)


def test_an_integer_tensor_is_an_index():
    assert [10, 20, 30][tt.tensor(1)] == 20
    with pytest.raises(TypeError, match="expected an integer tensor as an index, got dtype float32"):
        [1][tt.tensor(0.0)]


def test_iteration_goes_over_the_first_axis():
    assert [row.tolist() for row in tt.arange(4).reshape(2, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="0-d"):
        len(tt.tensor(1.0))


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: tt.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: tt.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: tt.tensor(True), "tensor(True)"),
        (lambda: tt.zeros(2, dtype=tt.float64), "tensor([0., 0.], dtype=float64)"),
        (lambda: tt.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: tt.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<mul>)"),
    ],
)
def test_repr(tensor, text):
    assert repr(tensor()) == text


# --- to and from arrays ---------------------------------------------------------------------------------


def test_numpy_shares_memory():
    x = tt.zeros(3)
    x.numpy()[1] = 5.0
    assert x.tolist() == [0.0, 5.0, 0.0]
    np.asarray(x)[0] = 7.0
    assert x.tolist() == [7.0, 5.0, 0.0]
    assert np.array(x, dtype=np.float64).dtype == np.float64


def test_numpy_of_a_parameter_asks_for_detach():
    with pytest.raises(
        RuntimeError, match=r"numpy\(\): this tensor requires a gradient.*Use \.detach\(\)\.numpy\(\)"
    ):
        tt.ones(2, requires_grad=True).numpy()


def test_numpys_functions_take_tensors():
    x = tt.tensor([[1.0, 4.0], [9.0, 16.0]])
    root = np.sqrt(x)
    assert isinstance(root, tt.Tensor)
    assert root.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert [part.tolist() for part in np.modf(tt.tensor([1.5]))] == [[0.5], [1.0]]
    assert np.add.reduce(x).tolist() == [10.0, 20.0]
    total = np.ones((2, 2), np.float32)
    total += x
    assert total.tolist() == [[2.0, 5.0], [10.0, 17.0]]
    for function in (np.sum, np.mean, np.max, np.min, np.prod, np.std, np.var, np.argmax):
        assert function(x).item() == pytest.approx(function(x.numpy()))
    assert np.sum(x, axis=0).tolist() == [10.0, 20.0]
    with pytest.raises(RuntimeError, match=r"numpy\(\): this tensor requires a gradient"):
        np.sqrt(tt.ones(2, requires_grad=True))
    assert np.allclose(tt.ones(2), [1.0, 1.0])
    assert np.mean(np.asarray(tt.tensor([1.0, 3.0]))) == 2.0


def test_dlpack_goes_both_ways():
    array = np.arange(4.0)
    x = tt.from_dlpack(array)
    array[0] = 9.0
    assert x[0].item() == 9.0
    back = np.from_dlpack(x)
    back[1] = 8.0
    assert x[1].item() == 8.0


# --- reductions -----------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "var", "std", "amax", "amin", "prod", "argmax", "argmin", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_numpys_names_of_axes(name):
    x = tt.tensor(values(3, 4))
    x = x > 0 if name in ("any", "all") else x
    by_torch, by_numpy = getattr(x, name)(dim=1, keepdim=True), getattr(x, name)(axis=1, keepdims=True)
    assert by_torch.shape == (3, 1)
    assert tt.equal(by_torch, by_numpy)
    assert tt.equal(getattr(tt, name)(x, axis=1, keepdims=True), by_numpy)


def test_extremes_along_an_axis_come_with_their_places():
    x = tt.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 0.0]], requires_grad=True)
    values, indices = x.max(dim=1)
    assert values.tolist() == [5.0, 7.0]
    assert indices.tolist() == [1, 0]
    assert x.min(1).indices.tolist() == [0, 2]
    values.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_the_extreme_of_all_shares_its_gradient_among_equals():
    x = tt.tensor([2.0, 5.0, 5.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


def test_max_with_a_tensor_is_maximum():
    assert tt.max(tt.tensor([1.0, 4.0]), tt.tensor([3.0, 2.0])).tolist() == [3.0, 4.0]
    assert tt.tensor([1.0, 4.0]).min(tt.tensor([3.0, 2.0])).tolist() == [1.0, 2.0]


def test_order():
    x = tt.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    ordered = x.sort(descending=True)
    assert ordered.values.tolist() == [[3.0, 2.0, 1.0]]
    assert ordered.indices.tolist() == [[0, 2, 1]]
    (ordered.values * tt.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [[1.0, 100.0, 10.0]]
    assert x.topk(2).indices.tolist() == [[0, 2]]
    assert x.topk(1, largest=False).values.tolist() == [[1.0]]


def test_unbiased_is_pytorchs_older_word_for_correction():
    x = tt.tensor([1.0, 3.0])
    assert (x.var().item(), x.var(unbiased=False).item(), x.var(correction=0).item()) == (2.0, 1.0, 1.0)
    assert x.std(unbiased=False).item() == 1.0


def test_integer_sums_are_int64_and_means_are_refused():
    x = tt.tensor([True, True, False])
    assert x.sum().item() == 2
    assert x.sum().dtype == tt.int64
    assert tt.ones(3, dtype=tt.uint8).sum().dtype == tt.int64
    with pytest.raises(TypeError, match="mean: expected a floating point tensor, got int64"):
        tt.tensor([1, 2]).mean()
    assert tt.tensor([1, 2]).mean(dtype=tt.float32).item() == 1.5


@pytest.mark.parametrize("p", [0, 1, 2, 3, math.inf, -math.inf])
def test_norm(p):
    x = values(3, 4)
    np.testing.assert_allclose(tt.tensor(x).norm(p, dim=1).numpy(), np.linalg.norm(x, p, axis=1), rtol=1e-5)


# --- like this one --------------------------------------------------------------------------------------


def test_new_tensors_keep_the_dtype():
    x = tt.zeros(2, dtype=tt.float64)
    assert x.new_zeros(2, 3).dtype == x.new_ones((2, 3)).dtype == x.new_empty(4).dtype == tt.float64
    assert x.new_full((2,), 7).tolist() == [7.0, 7.0]
    assert x.new_tensor([1, 2]).dtype == tt.float64
    assert x.new_zeros(2, dtype=tt.int64, requires_grad=False).dtype == tt.int64
    assert x.new_zeros(2, requires_grad=True).requires_grad


def test_questions():
    x = tt.tensor([1.0, math.nan, math.inf])
    assert x.isnan().tolist() == [False, True, False]
    assert x.isinf().tolist() == [False, False, True]
    assert x.isfinite().tolist() == [True, False, False]
    assert not x.equal(x)
    assert x[:1].equal(tt.ones(1))
    assert not x[:1].equal(tt.ones(2))
    assert x[:1].allclose(tt.tensor([1.0 + 1e-7]))
    assert x.isclose(x, equal_nan=True).tolist() == [True, True, True]


def test_the_shape_of_another_tensor() -> None:
    x, other = tt.arange(6), tt.zeros(2, 3)
    assert x.view_as(other).tolist() == x.reshape_as(other).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tt.arange(3).expand_as(other).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_rsqrt() -> None:
    assert tt.tensor([4.0, 16.0]).rsqrt().tolist() == [0.5, 0.25]
