"""`Tensor` behaves as PyTorch's: operators, methods, views, dtypes, in-place changes, refusals."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

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


# --- views ----------------------------------------------------------------------------------------------

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


# --- in place -------------------------------------------------------------------------------------------

IN_PLACE: dict[str, tuple[Callable, Callable]] = {
    "add_": (lambda x: x.add_(2.0, alpha=3), lambda x: x + 6),
    "sub_": (lambda x: x.sub_(2.0), lambda x: x - 2),
    "mul_": (lambda x: x.mul_(2.0), lambda x: x * 2),
    "div_": (lambda x: x.div_(2.0), lambda x: x / 2),
    "pow_": (lambda x: x.pow_(2), lambda x: x**2),
    "neg_": (lambda x: x.neg_(), lambda x: -x),
    "abs_": (lambda x: x.abs_(), np.abs),
    "exp_": (lambda x: x.exp_(), np.exp),
    "log_": (lambda x: x.abs_().log_(), lambda x: np.log(np.abs(x))),
    "sqrt_": (lambda x: x.abs_().sqrt_(), lambda x: np.sqrt(np.abs(x))),
    "*= itself": (lambda x: x.__imul__(x), lambda x: x * x),
    "relu_": (lambda x: x.relu_(), lambda x: np.maximum(x, 0)),
    "sigmoid_": (lambda x: x.sigmoid_(), lambda x: 1 / (1 + np.exp(-x))),
    "tanh_": (lambda x: x.tanh_(), np.tanh),
    "clamp_": (lambda x: x.clamp_(-0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5)),
    "clip_": (lambda x: x.clip_(max=0.0), lambda x: np.minimum(x, 0)),
    "masked_fill_": (lambda x: x.masked_fill_(x > 0, 9.0), lambda x: np.where(x > 0, 9, x)),
    "copy_": (lambda x: x.copy_(tt.arange(4)), lambda x: np.broadcast_to(np.arange(4.0), x.shape)),
    "fill_": (lambda x: x.fill_(3), lambda x: np.full_like(x, 3)),
    "zero_": (lambda x: x.zero_(), np.zeros_like),
    "setitem": (lambda x: x.__setitem__((slice(None), 1), 5.0), lambda x: np.where(np.arange(4) == 1, 5, x)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_changes_the_tensor_and_its_views(name):
    change, reference = IN_PLACE[name]
    array = values(3, 4)
    x = tt.tensor(array)
    memory, view = x.numpy(), x[1:]
    change(x)
    assert x.numpy() is memory
    np.testing.assert_allclose(x.numpy(), reference(array), rtol=1e-5)
    assert tt.equal(view, x[1:])


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_changes_are_recorded(name):
    """The gradient is that of the same steps out of place, which finite differences tell."""
    change, reference = IN_PLACE[name]
    array = values(3, 4).astype(np.float64)
    leaf = tt.tensor(array, requires_grad=True)
    x = leaf * 1.0
    change(x)
    x.sum().backward()
    step = 1e-6
    with np.errstate(all="ignore"):
        numeric = (reference(array + step) - reference(array - step)) / (2 * step)
    np.testing.assert_allclose(leaf.grad.numpy(), numeric, rtol=1e-4, atol=1e-6)


def test_augmented_assignment_is_in_place():
    x = tt.tensor([1.0, 2.0])
    before = x
    x += 1
    x -= 0.5
    x *= 4
    x /= 2
    x //= 1
    x **= 2
    x %= 7
    assert x is before
    assert x.tolist() == [2.0, 4.0]


def test_random_in_place():
    tt.manual_seed(0)
    x = tt.zeros(1000).uniform_(2.0, 3.0)
    assert 2.0 <= x.min().item() <= x.max().item() < 3.0
    x.normal_(10.0, 0.1)
    assert abs(x.mean().item() - 10.0) < 0.05
    with pytest.raises(RuntimeError, match="uniform_: a leaf that requires a gradient cannot be changed"):
        tt.zeros(2, requires_grad=True).uniform_()


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (
            lambda: tt.ones(2).add_(tt.ones(3, 2)),
            r"add_: expected a result of this tensor's shape \(2,\), got \(3, 2\)",
        ),
        (
            lambda: tt.tensor([1]).add_(0.5),
            "add_: a result of dtype float32 cannot be stored in one of dtype int64",
        ),
        (
            lambda: tt.ones(2, requires_grad=True).add_(1),
            "add_: a leaf that requires a gradient cannot be changed",
        ),
    ],
)
def test_impossible_changes_are_named(mistake, text):
    with pytest.raises(RuntimeError, match=text):
        mistake()


def test_a_stale_value_is_not_used_for_a_gradient():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    loss = (y * y).sum()
    y.add_(1.0)
    with pytest.raises(RuntimeError, match=r"backward through 'mul': its argument \d, .* changed in place"):
        loss.backward()


def test_assignment_where_a_graph_is_recorded():
    x, v = tt.zeros(4, requires_grad=True), tt.tensor([3.0, 4.0], requires_grad=True)
    y = x * 1.0
    y[1:3] = v
    (y * tt.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1000.0]
    assert v.grad.tolist() == [10.0, 100.0]


def test_assignment_does_not_fit():
    with pytest.raises(ValueError, match=r"expected a value that broadcasts to shape \(3,\), got \(2,\)"):
        tt.zeros(3)[:] = tt.ones(2)


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
