"""The @kernel decorator: a cache that notices every edit, the notice, threads, an unwritable folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinytorch as tt
from tinytorch.kernels import _jit

KERNELS = Path(_jit.__file__).parent
HELPER = """
from tinytorch.kernels._jit import kernel

@kernel(inline=True)
def twice(x):
    return x * {factor}
"""
CALLER = """
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.helper import twice

@kernel
def call(x):
    return twice(x)
"""
ASK = "from tinytorch.kernels import _jit, caller; print(caller.call(3), _jit.compiled_kernels())"


def ask(root: Path, code: str = ASK, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python that finds the package in `root`."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(root),
        "TINYTORCH_CACHE_DIR": str(root / "cache"),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, cwd=root, capture_output=True, text=True, check=True
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package `tinytorch` of one kernel that calls a helper in another file."""
    folder = tmp_path / "tinytorch" / "kernels"
    folder.mkdir(parents=True)
    for empty in (folder.parent / "__init__.py", folder / "__init__.py"):
        empty.write_text("")
    for name in ("_jit.py", "amx.py"):
        shutil.copy(KERNELS / name, folder)
    (folder / "helper.py").write_text(HELPER.format(factor=2))
    (folder / "caller.py").write_text(CALLER)
    return tmp_path


def test_the_second_run_loads_from_the_cache(package: Path) -> None:
    assert ask(package).stdout.split()[0] == "6"
    assert ask(package).stdout.split() == ["6", "0"]


def test_an_edited_helper_in_another_file_is_never_served_stale(package: Path) -> None:
    ask(package)
    (package / "tinytorch" / "kernels" / "helper.py").write_text(HELPER.format(factor=5))
    assert ask(package).stdout.split()[0] == "15"


def test_compiling_is_announced_once_and_can_be_silenced(package: Path) -> None:
    assert ask(package).stderr.count("tinytorch: compiling kernels, first run only") == 1
    assert ask(package).stderr == ""  # nothing is compiled
    assert ask(package, TINYTORCH_CACHE_DIR=str(package / "other"), TINYTORCH_QUIET="1").stderr == ""


def test_a_cache_folder_that_cannot_be_made_is_said_and_the_kernel_still_runs(package: Path) -> None:
    (package / "file").write_text("in the way")
    result = ask(package, TINYTORCH_CACHE_DIR=str(package / "file"))
    assert result.stdout.split()[0] == "6"
    assert "cannot keep compiled kernels in" in result.stderr
    assert "set TINYTORCH_CACHE_DIR" in result.stderr


WORKQUEUE_ONLY = """
import sys
sys.modules.update({"numba.np.ufunc.omppool": None, "numba.np.ufunc.tbbpool": None})  # not to be had
import threading
import numba, numpy as np
from tinytorch.kernels import elementwise, gemm
a = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
expected = gemm.gemm(a, a), elementwise.add(a, a)
same = []

def work():
    for _ in range(30):
        found = gemm.gemm(a, a), elementwise.add(a, a)
        same.append(all(np.array_equal(x, y) for x, y in zip(found, expected)))

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(numba.threading_layer(), len(same), all(same))
"""


def test_python_threads_take_turns_where_there_is_only_the_workqueue() -> None:
    """Without the lock Numba ends the process: "Terminating: Nested parallel kernel launch detected"."""
    result = subprocess.run(
        [sys.executable, "-c", WORKQUEUE_ONLY], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert result.stdout.split() == ["workqueue", "90", "True"]


@pytest.mark.nojit_ok
@pytest.mark.parametrize("threads", [0, -1, 10_000, 1.5, "2"])
def test_an_impossible_number_of_threads_is_refused(threads: object) -> None:
    with pytest.raises(ValueError, match=r"set_num_threads: expected a whole number from 1 to \d+, got"):
        tt.set_num_threads(threads)  # type: ignore[arg-type]


@pytest.mark.nojit_ok
def test_threads_can_be_set_and_read_back() -> None:
    before = tt.get_num_threads()
    try:
        tt.set_num_threads(1)
        assert tt.get_num_threads() == 1
    finally:
        tt.set_num_threads(before)
