from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_gemm as naive
from tests.kernels.layouts import FLOATS, assert_same_for_any_threads
from tests.kernels.layouts import LAYOUTS as COMMON
from tests.kernels.layouts import lay_out as lay_out_common
from tinytorch.kernels import gemm as lib
from tinytorch.kernels.parallel import ASK
from tinytorch.kernels.peak import peak
from tinytorch.kernels.simd import ROWS, VECTOR_BYTES

AWKWARD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40)
LANES = VECTOR_BYTES // 4
LAYOUTS = (*COMMON, "broadcast rows", "broadcast columns", "unaligned", "padded")
# Around the tile, the vector and the panel; and nothing at all.
TINY = (0, 1, 2, 3, 5, 7)
SIZES = (
    *TINY,
    ROWS - 1,
    ROWS,
    ROWS + 1,
    2 * ROWS + 1,
    LANES - 1,
    LANES,
    LANES + 1,
    2 * LANES,
    2 * LANES + 3,
    67,
)
TRANSPOSES = ("nn", "nt", "tn", "tt")


def lay_out(x, layout):
    """The matrix `x` in memory in some way; the broadcast layouts repeat its first row or column."""
    if layout == "broadcast rows" and x.size:
        return np.broadcast_to(x[:1], x.shape)
    if layout == "broadcast columns" and x.size:
        return np.broadcast_to(x[:, :1], x.shape)
    if layout == "unaligned":
        records = np.zeros(x.shape, [("odd", np.uint8), ("value", x.dtype)])
        records["value"] = x
        return records["value"]
    if layout == "padded":
        wide = np.full((x.shape[0], x.shape[1] + 5), np.nan, x.dtype)
        wide[:, : x.shape[1]] = x
        return wide[:, : x.shape[1]]
    return lay_out_common(x, layout if layout in COMMON else "contiguous")


def draw_matrix(draw, rows, columns, dtype, awkward=False):
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((rows, columns)).astype(dtype)
    if awkward and x.size:
        for place in draw(st.lists(st.integers(0, x.size - 1), max_size=3)):
            x.flat[place] = draw(st.sampled_from(AWKWARD))
    return lay_out(x, draw(st.sampled_from(LAYOUTS)))


@st.composite
def products(draw, sizes=SIZES, awkward=False):
    """Two matrices that can be multiplied, and a bias or None."""
    m, n, k = (draw(st.sampled_from(sizes)) for _ in range(3))
    dtype = draw(st.sampled_from(FLOATS))
    a, b = draw_matrix(draw, m, k, dtype, awkward), draw_matrix(draw, k, n, dtype, awkward)
    bias = lay_out(draw_matrix(draw, 1, n, dtype), draw(st.sampled_from(LAYOUTS)))[0]
    return a, b, draw(st.sampled_from([None, bias]))


def transposed(m, n, k, way, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((m, k) if way[0] == "n" else (k, m)).astype(dtype)
    b = rng.standard_normal((k, n) if way[1] == "n" else (n, k)).astype(dtype)
    return a if way[0] == "n" else a.T, b if way[1] == "n" else b.T


def assert_close(c, wanted, k):
    __tracebackhide__ = True
    tolerance = 4 * (k + 4) * np.finfo(c.dtype).eps
    np.testing.assert_allclose(c, wanted.astype(c.dtype), rtol=tolerance, atol=4 * tolerance)


@pytest.mark.nojit_ok
@given(case=products(sizes=TINY), activation=st.sampled_from([None, "relu"]))
def test_tiny_products(case, activation):
    a, b, bias = case
    c = lib.gemm(a, b, bias, activation)
    assert c.dtype == a.dtype
    assert_close(c, naive.gemm(a, b, bias, activation), a.shape[1])


@given(case=products(), activation=st.sampled_from([None, "relu"]))
def test_products_around_the_tile(case, activation):
    a, b, bias = case
    assert_close(lib.gemm(a, b, bias, activation), naive.gemm(a, b, bias, activation), a.shape[1])


@pytest.mark.nojit_ok
@pytest.mark.filterwarnings("ignore:invalid value")
@given(case=products(sizes=(1, 3, 5, 17), awkward=True), activation=st.sampled_from([None, "relu"]))
def test_nan_and_infinity_reach_what_they_belong_to_and_nothing_else(case, activation):
    a, b, bias = case
    assert_close(lib.gemm(a, b, bias, activation), naive.gemm(a, b, bias, activation), a.shape[1])


# Across the blocks of k and n and of packed rows, rows of c enough for packing, one row, one column, dot
# products.
LARGE = [
    (50, 70, 800), (130, 1100, 20), (3, 40, 3000), (1, 3000, 3), (3000, 1, 2), (3000, 1, 40), (1, 9, 3000),
    (13, 66, 500), (100, 520, 513), (260, 128, 1024), (64, 10, 64),
    (2 * lib.PACKED_ROWS + 13, 1100, 300),
]  # fmt: skip


@pytest.mark.parametrize("way", TRANSPOSES)
@pytest.mark.parametrize(("m", "n", "k"), LARGE)
def test_products_beyond_a_block(m, n, k, way):
    a, b = transposed(m, n, k, way)
    bias = np.linspace(-1, 1, n, dtype=np.float32)
    wanted = a.astype(np.float64) @ b.astype(np.float64) + bias
    scale = np.sqrt(k) * np.finfo(np.float32).eps
    np.testing.assert_allclose(lib.gemm(a, b, bias), wanted, rtol=20 * scale, atol=20 * scale)
    np.testing.assert_allclose(
        lib.gemm(a, b, bias, "relu"), np.maximum(wanted, 0), rtol=20 * scale, atol=20 * scale
    )


@pytest.mark.parametrize("way", TRANSPOSES)
@pytest.mark.parametrize(("m", "n", "k"), [(50, 290, 400), (1, 30, 1000), (500, 1, 9), (140, 66, 300)])
def test_double_precision_beyond_a_block(m, n, k, way):
    a, b = transposed(m, n, k, way, np.float64)
    np.testing.assert_allclose(lib.gemm(a, b), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "n", "k"), [(3, 5, 2), (4, 1, 3), (1, 4, 3), (2, 3, 0)])
def test_accumulate_adds_to_what_is_there(m, n, k, dtype):
    a, b = transposed(m, n, k, "nn", dtype)
    before = np.arange(m * n, dtype=dtype).reshape(m, n)
    out = before.copy()
    assert lib.gemm(a, b, out=out, accumulate=True) is out
    assert_close(out, before + naive.gemm(a, b), k)


@pytest.mark.parametrize(("m", "n", "k"), [(130, 140, 900), (70, 1, 900), (5, 70, 900)])
def test_accumulate_over_blocks_of_k(m, n, k):
    a, b = transposed(m, n, k, "nt")
    out = np.ones((m, n), np.float32)
    lib.gemm(a, b, out=out, accumulate=True)
    np.testing.assert_allclose(out, 1 + a.astype(np.float64) @ b, rtol=2e-5, atol=2e-4)


@pytest.mark.nojit_ok
@pytest.mark.parametrize(("m", "n"), [(3, 5), (ROWS + 1, 2 * LANES + 1), (4, 1), (1, 4), (2, LANES)])
def test_nothing_beside_out_is_touched(m, n):
    a, b = transposed(m, n, 3, "nn")
    wide = np.full((m + 2, n + 40), 7, np.float32)
    out = wide[1 : m + 1, 1 : n + 1]
    lib.gemm(a, b, out=out)
    assert_close(out, naive.gemm(a, b), 3)
    out[...] = 7
    assert (wide == 7).all()


@pytest.mark.nojit_ok
@given(data=st.data())
def test_batches(data):
    batch, m, n, k = (data.draw(st.sampled_from((0, 1, 2, 3))) for _ in range(4))
    dtype = data.draw(st.sampled_from(FLOATS))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    a = rng.standard_normal((data.draw(st.sampled_from((batch, 1))), m, k)).astype(dtype)
    b = rng.standard_normal((data.draw(st.sampled_from((batch, 1))), k, n)).astype(dtype)
    a, b = (lay_out_common(x, data.draw(st.sampled_from(COMMON))) for x in (a, b))
    if data.draw(st.booleans()) and len(a) == 1:
        a = np.broadcast_to(a, (max(1, len(b)), m, k)) if len(b) else a
    assert_close(lib.bmm(a, b), naive.bmm(a, b), k)


@pytest.mark.parametrize("way", TRANSPOSES)
@pytest.mark.parametrize(
    ("batch", "m", "n", "k"), [(6, 33, 40, 70), (48, 64, 64, 32), (3, 1, 60, 64), (5, 60, 1, 64)]
)
def test_larger_batches(batch, m, n, k, way):
    rng = np.random.default_rng(1)
    a = rng.standard_normal((batch, m, k) if way[0] == "n" else (batch, k, m)).astype(np.float32)
    b = rng.standard_normal((batch, k, n) if way[1] == "n" else (batch, n, k)).astype(np.float32)
    a = a if way[0] == "n" else a.transpose(0, 2, 1)
    b = b if way[1] == "n" else b.transpose(0, 2, 1)
    np.testing.assert_allclose(lib.bmm(a, b), a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.nojit_ok
def test_gradients_are_products_with_the_other_operand():
    a, b = transposed(4, 3, 5, "nn", np.float64)
    g = np.random.default_rng(1).standard_normal((4, 3))
    np.testing.assert_allclose(lib.gemm_grad_a(g, b), naive.gemm(g, b.T))
    np.testing.assert_allclose(lib.gemm_grad_b(a, g), naive.gemm(a.T, g))
    out = np.empty_like(b)
    assert lib.gemm_grad_b(a, g, out=out) is out
    a3, b3, g3 = (np.stack([x, 2 * x]) for x in (a, b, g))
    np.testing.assert_allclose(lib.bmm_grad_a(g3, b3), naive.bmm(g3, b3.transpose(0, 2, 1)))
    np.testing.assert_allclose(lib.bmm_grad_b(a3, g3), naive.bmm(a3.transpose(0, 2, 1), g3))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("way", TRANSPOSES)
@pytest.mark.parametrize(("m", "n", "k"), [(65, 67, 100), (200, 301, 700), (5, 3000, 70), (3000, 1, 100)])
def test_same_bits_for_any_number_of_threads(m, n, k, way, dtype):
    a, b = transposed(m, n, k, way, dtype)
    assert_same_for_any_threads(lambda: [lib.gemm(a, b)])


@pytest.mark.parametrize("way", TRANSPOSES)
@pytest.mark.parametrize(("m", "n", "k"), [(65, 67, 100), (61, 530, 70), (9, 40, 64), (700, 1, 5), (7, 3, 2)])
def test_same_bits_for_any_number_of_shares(m, n, k, way):
    a, b = transposed(m, n, k, way)
    share = lib.jobs[a.dtype].alone

    def in_shares(parts):
        c = np.full((m, n), np.nan, np.float32)
        scratch = np.empty(0, np.uint8)
        scratch = np.empty(share(id(a), id(b), id(c), 0, id(scratch), 0, ASK, parts), np.uint8)
        for part in reversed(range(parts)):
            assert share(id(a), id(b), id(c), 0, id(scratch), 0, part, parts) == 0
        return c

    whole = in_shares(1)
    for parts in (2, 3, 4, 7, 12):
        assert in_shares(parts).tobytes() == whole.tobytes()


def test_python_threads_do_not_share_scratch():
    jobs = [transposed(150 + i, 140, 300, "nt", seed=i) for i in range(4)]
    wanted = [lib.gemm(a, b) for a, b in jobs]
    wrong = []

    def work(i):
        for _ in range(20):
            if lib.gemm(*jobs[i]).tobytes() != wanted[i].tobytes():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.nojit_ok
def test_what_does_not_fit_is_refused():
    a, b = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    with pytest.raises(
        ValueError,
        match=r"gemm: expected a \(m, k\) and b \(k, n\) with the same k, got \(2, 3\) and \(4, 3\)",
    ):
        lib.gemm(a, b.T)
    with pytest.raises(
        TypeError, match=r"expected two float32 or two float64 arrays, got float32 and float64.*astype"
    ):
        lib.gemm(a, b.astype(np.float64))
    with pytest.raises(TypeError, match="got int64 and int64"):
        lib.gemm(a.astype(np.int64), b.astype(np.int64))
    with pytest.raises(TypeError, match="got >f4 and >f4"):
        lib.gemm(a.astype(">f4"), b.astype(">f4"))
    with pytest.raises(ValueError, match=r"expected bias float32, \(4,\), got float64, \(4,\)"):
        lib.gemm(a, b, np.ones(4))
    with pytest.raises(ValueError, match=r"expected bias float32, \(4,\), got float32, \(1,\)"):
        lib.gemm(a, b, np.ones(1, np.float32))
    with pytest.raises(ValueError, match="expected activation None or 'relu', got 'tanh'"):
        lib.gemm(a, b, activation="tanh")
    with pytest.raises(
        ValueError,
        match=r"expected out writeable, float32, \(2, 4\), with contiguous rows, got .* strides \(4, 8\)",
    ):
        lib.gemm(a, b, out=np.empty((4, 2), np.float32).T)
    with pytest.raises(
        ValueError, match=r"bmm: expected .* with the same batch or 1, got \(2, 1, 1\) and \(3, 1, 1\)"
    ):
        lib.bmm(np.ones((2, 1, 1)), np.ones((3, 1, 1)))
    with pytest.raises(
        ValueError, match=r"bmm: expected .* with the same k, got \(2, 1, 1\) and \(2, 2, 1\)"
    ):
        lib.bmm(np.ones((2, 1, 1)), np.ones((2, 2, 1)))


OTHER_PROCESSOR = """
import llvmlite.binding as llvm
llvm.get_host_cpu_features = lambda: llvm.FeatureMap({features})
import numpy as np
from tinytorch.kernels import gemm as lib, simd
assert simd.VECTOR_BYTES == {vector_bytes}
rng = np.random.default_rng(0)
for m, n, k in [(1, 9, 70), (7, 3, 2), (13, 30, 65), (65, 67, 70), (5, 40, 64), (50, 1, 9), (70, 140, 800)]:
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            np.testing.assert_allclose(lib.gemm(x, y), x.astype(float) @ y, rtol=1e-4, atol=1e-4)
"""


@pytest.mark.parametrize(("features", "vector_bytes"), [({"avx2": True, "fma": True}, 32), ({}, 16)])
def test_the_vectors_of_other_processors(features, vector_bytes, tmp_path):
    code = OTHER_PROCESSOR.format(features=features, vector_bytes=vector_bytes)
    root = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "TINYTORCH_CACHE_DIR": str(tmp_path),
        "NUMBA_DISABLE_JIT": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_peak_is_that_of_a_processor():
    assert 0.1 < peak(seconds=0.01) < 1e5
