"""The matrix unit gives the same integers as vectors, for every shape, and nothing needs it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import test_int8, test_int8_conv
from tinytorch.kernels import amx, int8, int8_conv
from tinytorch.kernels._jit import JIT, bind
from tinytorch.kernels.int8_matrix import MATRIX_WORK
from tinytorch.kernels.parallel import Job

needs_unit = pytest.mark.skipif(not (amx.ALLOWED and JIT), reason="no matrix unit that this process may use")
SIZES = (1, 2, 5, 15, 16, 17, 33, 63, 64, 65, 67, 100, 128, 130)
NEVER = 1 << 62
_jobs = {
    (module, work): Job(bind(module._share, f"{module.__name__.rpartition('.')[2]}_{name}", MATRIX_WORK=work))
    for module in (int8, int8_conv)
    for name, work in (("matrix", 0), ("vector", NEVER))
}
WITHOUT_UNIT = """
import numpy as np
from tinytorch.kernels import amx
amx.ALLOWED = False
from tinytorch.kernels import int8
rng = np.random.default_rng(0)
a, w = rng.integers(0, 256, (200, 300)).astype(np.uint8), rng.integers(-128, 128, (100, 300)).astype(np.int8)
one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
y = int8.int8_linear(a, one, zero, int8.pack_weight(w), one)
assert (y == a.astype(np.int64) @ w.T).all()
"""


def either_way(module, function):
    """What `function` gives with all tiles on the matrix unit, and with all on vectors."""
    found = []
    for work in (0, NEVER):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_job", _jobs[module, work])
            found.append(function())
    return found


@needs_unit
@given(case=test_int8.products(SIZES))
def test_products(case):
    np.testing.assert_array_equal(*either_way(int8, lambda: test_int8.run(*case)))


@needs_unit
@given(case=test_int8_conv.convolutions(most=12, channels=(1, 3, 4, 20, 64)), codes=st.booleans())
def test_convolutions(case, codes):
    """Rows of a tile that lie apart evenly and not, and runs of fewer and of more than a tile's bytes."""
    operands, stride, dilation, relu, padding = case
    options = {"stride": stride, "dilation": dilation, "relu": relu}
    if codes:
        options |= {"out_scale": 50.0, "out_zero": 100, "out_padding": padding}
    found = either_way(int8_conv, lambda: test_int8_conv.run(*operands, **options))
    np.testing.assert_array_equal(*found)


@needs_unit
def test_large_products_take_it():
    assert MATRIX_WORK < 64 * 256 * 4096
    case = test_int8.operands(64, 256, 4096)
    y = test_int8.run(*case)
    for other in either_way(int8, lambda: test_int8.run(*case)):
        np.testing.assert_array_equal(y, other)


@pytest.mark.skipif(not JIT, reason="there is nothing to compile")
def test_without_the_unit(tmp_path):
    subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIT],
        env={"TINYTORCH_CACHE_DIR": str(tmp_path), "TINYTORCH_QUIET": "1"}, check=True,
    )  # fmt: skip
