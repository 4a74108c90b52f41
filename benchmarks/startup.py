"""What a user waits for before the first step: the import, and the compilation of milestone 3's kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks.workload import FRAMEWORKS, OURS, Step, Workload

_FIRST_STEP = """
import numpy as np, tinytorch as tt
nn = tt.nn
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = tt.optim.AdamW(model.parameters(), lr=1e-3)
x, y = tt.rand(128, 784), tt.tensor(np.arange(128) % 10)
loss = nn.CrossEntropyLoss()(model(x), y)
loss.backward()
optimizer.step()
"""


def _run(code: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "TINYTORCH_QUIET": "1", **environment}
    )


def importing(package: str) -> Step:
    """A fresh Python that imports the package and ends."""
    return partial(_run, f"import {package}")


def first_run() -> Step:
    """A fresh Python that trains one step with an empty kernel cache: import, compilation, step."""

    def step() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _run(_FIRST_STEP, TINYTORCH_CACHE_DIR=folder)

    return step


def warm_start() -> Step:
    """A fresh Python that trains one step with kernels from the disk cache."""
    _run(_FIRST_STEP)
    return partial(_run, _FIRST_STEP)


_IMPORTED = (OURS, "numpy", "torch-eager", "jax-jit")
WORKLOADS = [
    Workload(
        "import", {v: partial(importing, p) for v, p in FRAMEWORKS.items() if v in _IMPORTED}, slow=True
    ),
    Workload("first run mlp (compiles)", {OURS: first_run}, slow=True),
    Workload("warm start mlp", {OURS: warm_start}, slow=True),
]
