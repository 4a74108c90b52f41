from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_int8 as naive
from tests.kernels.layouts import assert_same_for_any_threads
from tinytorch.kernels import int8 as lib
from tinytorch.kernels import int8_tiles, quantize
from tinytorch.kernels._jit import bind
from tinytorch.kernels.int8_vectors import LANES, PATH, PATHS
from tinytorch.kernels.parallel import Job

ROWS = lib.TILE_ROWS
TINY = (1, 2, 3, 5)
SIZES = (*TINY, 4, 8, ROWS - 1, ROWS, ROWS + 1, LANES, LANES + 1, 2 * LANES, 2 * LANES + 3, 67)
LAYOUTS = ("contiguous", "sliced rows", "every other", "read-only")


def lay_out(a, layout):
    """The same codes in memory in another way; what lies between them is not theirs."""
    if layout == "sliced rows":
        wide = np.full((len(a), a.shape[1] + 5), 77, np.uint8)
        wide[:, : a.shape[1]] = a
        return wide[:, : a.shape[1]]
    if layout == "every other":
        wide = np.full((len(a), 2 * a.shape[1]), 77, np.uint8)
        wide[:, ::2] = a
        return wide[:, ::2]
    a.setflags(write=layout != "read-only")
    return a


def operands(m, n, k, seed=0, by_row=True, by_column=True, bias=True):
    """Codes, scales and a bias, extreme codes among them."""
    rng = np.random.default_rng(seed)
    a = rng.choice([0, 255, 128, *range(256)], (m, k)).astype(np.uint8)
    w = rng.choice([-128, 127, 0, *range(-128, 128)], (n, k)).astype(np.int8)
    rows, columns = m if by_row else 1, n if by_column else 1
    a_scale = rng.uniform(0.001, 0.1, rows).astype(np.float32)
    a_zero = rng.integers(0, 256, rows).astype(np.int32)
    w_scale = rng.uniform(0.001, 0.1, columns).astype(np.float32)
    return a, a_scale, a_zero, w, w_scale, rng.standard_normal(n).astype(np.float32) if bias else None


@st.composite
def products(draw, sizes=SIZES):
    m, n, k = (draw(st.sampled_from(sizes)) for _ in range(3))
    flags = [draw(st.booleans()) for _ in range(3)]
    a, *others = operands(m, n, k, draw(st.integers(0, 99)), *flags)
    return lay_out(a, draw(st.sampled_from(LAYOUTS))), *others


def run(a, a_scale, a_zero, w, w_scale, bias, **options):
    return lib.int8_linear(a, a_scale, a_zero, lib.pack_weight(w), w_scale, bias, **options)


def check(case, relu):
    """float32 is what the exact integers give; bytes are that float32, quantised."""
    __tracebackhide__ = True
    y, wanted = run(*case, relu=relu), naive.linear(*case, relu=relu)
    assert y.dtype == np.float32
    largest = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6 * largest)
    scale, zero = float(largest / 100), 0 if relu else 120
    codes = run(*case, relu=relu, out_scale=scale, out_zero=zero)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, quantize.quantize(y, scale, zero))


@pytest.mark.nojit_ok
@given(case=products(sizes=TINY), relu=st.booleans())
def test_tiny_products(case, relu):
    check(case, relu)


@given(case=products(), relu=st.booleans())
def test_products_around_the_tile(case, relu):
    check(case, relu)


@pytest.mark.parametrize("path", PATHS)
@given(case=products())
def test_every_way_to_multiply_gives_the_same_integers(path, case):
    share = bind(lib._share, f"int8_linear_{path}", byte_tile=int8_tiles.tile_by[path], TILE_ROWS=PATHS[path])
    if path not in _jobs:
        _jobs[path] = Job(share)
    quickest = run(*case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lib, "_job", _jobs[path])
        np.testing.assert_array_equal(run(*case), quickest)


_jobs: dict[str, Job] = {}


def test_the_quickest_way_is_the_first():
    assert next(iter(PATHS)) == PATH
    assert "plain" in PATHS


LARGE = [(1, 300, 900), (3, 50, 4096), (100, 130, 513), (64, 10, 64), (300, 300, 300), (14, 2100, 1024)]


@pytest.mark.parametrize(("m", "n", "k"), LARGE)
def test_large_products_are_exact(m, n, k):
    a, _, a_zero, w, _, _ = operands(m, n, k)
    one = np.ones(1, np.float32)
    wanted = (a.astype(np.int64) - a_zero[:, None]) @ w.astype(np.int64).T
    np.testing.assert_array_equal(run(a, one, a_zero, w, one, None), wanted.astype(np.float32))


@pytest.mark.parametrize(("a_code", "w_code", "zero"), [(255, 127, 0), (255, -128, 0), (0, -128, 255)])
def test_the_largest_sums_do_not_overflow(a_code, w_code, zero):
    k, one = lib.MOST_DEPTH, np.ones(1, np.float32)
    a, w = np.full((1, k), a_code, np.uint8), np.full((1, k), w_code, np.int8)
    y = run(a, one, np.full(1, zero, np.int32), w, one, None)
    assert y[0, 0] == np.float32((a_code - zero) * w_code * k)


@pytest.mark.parametrize("codes", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 3000, 700), (300, 33, 400), (130, 200, 100)])
def test_same_bits_for_any_number_of_threads(m, n, k, codes):
    case = operands(m, n, k)
    assert m * n * k >= lib.PARALLEL_WORK
    options = {"out_scale": 5.0, "out_zero": 100} if codes else {}
    assert_same_for_any_threads(lambda: run(*case, **options))


@pytest.mark.nojit_ok
def test_no_rows():
    assert run(np.zeros((0, 3), np.uint8), *operands(1, 2, 3)[1:]).shape == (0, 2)


@pytest.mark.nojit_ok
def test_what_is_not_finite_is_seen_in_float32_and_is_the_lowest_code_in_bytes():
    a, w = np.array([[1, 2], [0, 0]], np.uint8), np.array([[3, 4]], np.int8)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    scale = np.array([np.nan, np.inf], np.float32)
    assert np.isnan(run(a, scale, zero, w, one, None)).all()
    assert np.isnan(run(a, scale, zero, w, one, None, relu=True)).all()
    codes = run(a, scale, zero, w, one, None, out_scale=1.0, out_zero=9)
    np.testing.assert_array_equal(codes, [[0], [0]])
    codes = run(a[:1], scale[1:], zero, w, one, None, out_scale=1.0, out_zero=9)
    np.testing.assert_array_equal(codes, [[255]])


@pytest.mark.nojit_ok
def test_packed_weights_stay_int8():
    q = np.arange(-30, 30, dtype=np.int8).reshape(10, 6)
    packed = lib.pack_weight(q)
    assert (packed.n, packed.k, packed.codes.dtype) == (10, 6, np.int8)
    np.testing.assert_array_equal(packed.sums, q.sum(axis=1))
    assert packed.codes.nbytes == -(-10 // LANES) * LANES * 8
    assert packed.nbytes == packed.codes.nbytes + 40


@pytest.mark.nojit_ok
def test_errors():
    a, a_scale, a_zero, w, w_scale, bias = operands(2, 3, 4)
    assert bias is not None
    packed = lib.pack_weight(w)
    good = (a, a_scale, a_zero, packed, w_scale, bias)

    def expect(text, at, value, **options):
        case = [*good[:at], value, *good[at + 1 :]]
        with pytest.raises(ValueError, match=text):
            lib.int8_linear(*case, **options)

    expect(r"expected a of uint8 and shape \(m, 4\), got int8 \(2, 4\)", 0, a.view(np.int8))
    expect(r"expected a of uint8 and shape \(m, 4\), got uint8 \(2, 3\)", 0, a[:, :3])
    expect(r"expected a_scale of float32 and shape \(2,\) or \(1,\), got float64", 1, a_scale.astype(float))
    expect(r"expected a_zero of int32 and shape \(2,\) or \(1,\), got int32 \(5,\)", 2, np.zeros(5, np.int32))
    expect(r"expected w_scale of float32 and shape \(3,\) or \(1,\), got float32 \(2,\)", 4, a_scale)
    expect(r"expected bias of shape \(3,\), got \(1,\)", 5, bias[:1])
    expect("expected out_scale > 0 and out_zero from 0 to 255, got -1 and 0", 5, bias, out_scale=-1)
    expect("out_zero from 0 to 255, got 1 and 256", 5, bias, out_scale=1, out_zero=256)
    expect("out_zero=3 has no meaning without an out_scale", 5, bias, out_zero=3)
    with pytest.raises(TypeError, match="expected int8 codes, got uint8"):
        lib.pack_weight(a)
    with pytest.raises(ValueError, match=r"1 <= k <= 65536, got \(1, 65537\)"):
        lib.pack_weight(np.zeros((1, 65537), np.int8))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("relu", [False, True])
def test_linear_is_that_of_pytorch_to_a_code(relu):
    torch = pytest.importorskip("torch")
    a, _, _, w, w_scale, bias = operands(17, 23, 40, by_row=False)
    a_scale, a_zero = np.array([0.05], np.float32), np.array([110], np.int32)
    y = run(a, a_scale, a_zero, w, w_scale, bias, relu=relu)
    x = (torch.from_numpy(a).float() - 110) * 0.05
    weight = torch.from_numpy(w).float() * torch.from_numpy(w_scale)[:, None]
    wanted = torch.nn.functional.linear(x, weight, torch.from_numpy(bias))
    wanted = wanted.relu() if relu else wanted
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    codes = run(a, a_scale, a_zero, w, w_scale, bias, relu=relu, out_scale=0.1, out_zero=30)
    wanted = torch.quantize_per_tensor(wanted, 0.1, 30, torch.quint8).int_repr().numpy()
    assert np.abs(codes.astype(int) - wanted).max() <= 1
