"""With NUMBA_BOUNDSCHECK=1 parallel kernels run serial, so that they too report an index out of bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT_OF_BOUNDS = """
import numpy as np
from numba import prange
from tinytorch.kernels._jit import kernel

@kernel(parallel=True)
def write(x, start):
    for n in prange(4):  # owns x[start + n]
        x[start + n] = 1.0

write(np.zeros(4), 0)
print("inside is fine")
write(np.zeros(4), 3)
"""


def test_a_parallel_kernel_reports_an_index_out_of_bounds(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(OUT_OF_BOUNDS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TINYTORCH_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**environment, "NUMBA_BOUNDSCHECK": "1", "NUMBA_DISABLE_JIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "inside is fine\n", done.stderr
    assert "IndexError: index is out of bounds" in done.stderr
