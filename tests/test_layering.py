"""Imports go downward only, Numba stays in `kernels`, and `import tinytorch` stays light.

The checks read the syntax tree, so an import inside a function counts as much as one at the top of a file;
only `if TYPE_CHECKING:` does not.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinytorch"

# A Tensor has `backward`, and what `backward` carries are Tensors: these parts may import each other.
TENSOR = ("tensor", "tensor_methods", "autograd", "creation", "random_creation")
# From the ground up. A module may import from the rows below its own, and from its own part of the row.
ROWS: tuple[tuple[str, ...], ...] = (
    ("kernels", "dtypes", "cuda", "protocols"),
    ("autograd.modes", "autograd.anomaly"),
    ("autograd.registry",),  # where an op is registered
    ("random",),
    ("ops",),
    TENSOR,
    ("nn", "optim", "data", "serialization"),
    ("_warmup",),
    ("models",),
    ("training", "text", "datasets", "viz"),
    ("systems",),
    ("milestone",),
)
PROGRAMS = {"milestones", "grading", "benchmarks", "tests", "tito"}
PEERS = {"torch", "jax", "tensorflow", "scipy", "sklearn"}
COMPILERS = {"numba", "llvmlite"}
JIT_DECORATORS = {"njit", "jit", "vectorize", "guvectorize", "stencil", "generated_jit"}
# (SciPy, where it is installed, is imported by Numba itself.)
HEAVY = {"matplotlib", "pooch", "requests", "rich", "urllib3", "typer", "torch", "jax"}


def place(module: str) -> tuple[int, str] | None:
    """Row and part of `module` (dotted, without the leading `tinytorch.`); the longest name wins."""
    spots = [
        (len(part), row, part)
        for row, parts in enumerate(ROWS)
        for part in parts
        if module == part or module.startswith(part + ".")
    ]
    return max(spots)[1:] if spots else None


def type_checking_only(tree: ast.AST) -> set[ast.AST]:
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that `module` imports."""
    tree = ast.parse(source)
    skipped = type_checking_only(tree)
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            path = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*path, alias.name])


def complaints(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of `module`, a dotted name that begins with `tinytorch`."""
    here = place(module.removeprefix("tinytorch."))
    if module == "tinytorch":
        here = (len(ROWS), "tinytorch")  # it gathers the public names of every row
    if here is None:
        return [f"{module} has no row: add its part to ROWS in {Path(__file__).name}"]
    found = []
    for line, name in imports(source, module, is_package=is_package):
        top = name.split(".")[0]
        if top in COMPILERS and here[1] != "kernels":
            found.append(f"{module}:{line} imports {name}: only tinytorch.kernels may")
        elif top in PROGRAMS or top in PEERS:
            found.append(f"{module}:{line} imports {name}: the library never does")
        elif top == "tinytorch":
            found += upward(module, here, line, name.removeprefix("tinytorch").removeprefix("."))
    return found


def upward(module: str, here: tuple[int, str], line: int, name: str) -> list[str]:
    row, part = here
    there = place(name)
    if there is None:  # a name of `tinytorch/__init__.py` itself
        if row >= ROWS.index(("models",)):
            return []
        return [
            f"{module}:{line} imports `{name or 'tinytorch'}` from the top of the package: name its module"
        ]
    if there[0] < row or there[1] == part or {part, there[1]} <= set(TENSOR):
        return []
    return [f"{module}:{line} imports tinytorch.{name}: {part} stands below or beside {there[1]}"]


def strays(source: str, file: str) -> list[str]:
    """Compiler options outside of the one decorator. A helper may switch fast maths off, never on."""
    found = []
    for node in ast.walk(ast.parse(source)):
        options: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.keyword):
            options = [(ast.Constant(node.arg), node.value)]
        elif isinstance(node, ast.Dict):
            options = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.ImportFrom) and node.module == "numba":
            used = JIT_DECORATORS.intersection(alias.name for alias in node.names)
            found += [f"{file}:{node.lineno} uses {name}: use @kernel" for name in sorted(used)]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {f"numba.{n}" for n in JIT_DECORATORS}:
            found.append(f"{file}:{node.lineno} uses {node.attr}: use @kernel")
        for key, value in options:
            off = isinstance(value, ast.Constant) and value.value is False
            if isinstance(key, ast.Constant) and key.value == "fastmath" and not off:
                found.append(
                    f"{file}:{value.lineno} sets fastmath: FASTMATH in kernels/_jit.py is the one set"
                )
    return found


def unowned(source: str, file: str) -> list[str]:
    """Parallel loops that do not say what an iteration owns, beside the `prange` or on the line above it."""
    lines = source.splitlines()
    return [
        f"{file}:{number} does not say what an iteration owns: for ... in prange(...):  # owns out[n, oc]"
        for number, line in enumerate(lines, 1)
        if " in prange(" in line and "# owns " not in line and "# owns " not in lines[number - 2]
    ]


def modules() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_go_downward_only():
    found = [
        complaint
        for path, module in modules()
        for complaint in complaints(path.read_text(), module, is_package=path.name == "__init__.py")
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("tinytorch.kernels.gemm", "from tinytorch.ops import matmul", "kernels stands below or beside ops"),
        ("tinytorch.kernels.gemm", "from ..tensor import Tensor", "kernels stands below or beside tensor"),
        ("tinytorch.ops.matmul", "from tinytorch import tensor", "ops stands below or beside tensor"),
        ("tinytorch.ops.matmul", "def f():\n    import tinytorch.nn", "ops stands below or beside nn"),
        ("tinytorch.ops.matmul", "from tinytorch import Tensor", "from the top of the package"),
        ("tinytorch.ops.matmul", "import numba", "only tinytorch.kernels may"),
        (
            "tinytorch.autograd.registry",
            "from tinytorch.autograd.graph import backward",
            "below or beside autograd",
        ),
        ("tinytorch.nn.linear", "from tinytorch.optim import SGD", "nn stands below or beside optim"),
        (
            "tinytorch.data.loader",
            "from tinytorch.training import Trainer",
            "data stands below or beside training",
        ),
        ("tinytorch.tensor", "import torch", "the library never does"),
        ("tinytorch.datasets.mnist", "from milestones import data_manager", "the library never does"),
        ("tinytorch.gadgets", "", "has no row"),
    ],
)
def test_an_import_that_goes_upward_is_found(module, source, expected):
    (complaint,) = complaints(source, module)
    assert expected in complaint


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tinytorch.kernels.gemm", "import numba\nfrom tinytorch.kernels import simd\nfrom . import memory"),
        ("tinytorch.ops.matmul", "from tinytorch.autograd.registry import op\nfrom tinytorch import kernels"),
        ("tinytorch.tensor", "from tinytorch.autograd import graph\nfrom tinytorch import ops"),
        ("tinytorch.ops.matmul", "if TYPE_CHECKING:\n    from tinytorch.tensor import Tensor"),
        ("tinytorch.training.trainer", "import tinytorch as tt\nfrom tinytorch import Tensor"),
    ],
)
def test_an_import_that_goes_downward_is_let_through(module, source):
    assert complaints(source, module) == []


def test_compiler_options_stand_in_one_place():
    found = [
        stray
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "kernels" / "_jit.py"
        for stray in strays(path.read_text(), str(path.relative_to(ROOT)))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from numba import njit", "uses njit"),
        ("@numba.njit\ndef f(): pass", "uses njit"),
        ("@numba.vectorize\ndef f(): pass", "uses vectorize"),
        ("@kernel(fastmath=True)\ndef f(): pass", "sets fastmath"),
        ('OPTIONS = {"fastmath": {"nnan"}}', "sets fastmath"),
    ],
)
def test_a_stray_compiler_option_is_found(source, expected):
    (stray,) = strays(source, "kernels/gemm.py")
    assert expected in stray


def test_what_only_looks_like_a_compiler_option_is_let_through():
    assert strays('OPTIONS = {"fastmath": False}', "kernels/vecmath.py") == []
    assert strays("reference = np.vectorize(math.erf)", "ops/elementary.py") == []


def test_every_parallel_loop_says_what_an_iteration_owns():
    kernels = sorted((PACKAGE / "kernels").rglob("*.py"))
    found = [line for path in kernels for line in unowned(path.read_text(), str(path.relative_to(ROOT)))]
    assert not found, "\n" + "\n".join(found)


def test_a_parallel_loop_without_an_owner_is_found():
    loop = "for n in prange(4):"
    assert unowned(f"{loop}  # owns out[n]", "gemm.py") == []
    assert unowned(f"# owns out[n]\n{loop}", "gemm.py") == []
    (complaint,) = unowned(f"x = 1\n{loop}", "gemm.py")
    assert "gemm.py:2 does not say what an iteration owns" in complaint


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_takes_nothing_heavy():
    loaded = run_python("import sys, tinytorch; print(*{m.split('.')[0] for m in sys.modules})").split()
    assert "tinytorch" in loaded
    assert HEAVY.isdisjoint(loaded), f"`import tinytorch` imports {sorted(HEAVY.intersection(loaded))}"


def test_import_compiles_nothing(tmp_path):
    code = "import tinytorch; from tinytorch.kernels import _jit; print(_jit.compiled_kernels())"
    assert run_python(code, TINYTORCH_CACHE_DIR=str(tmp_path)) == "0\n"
    assert not list(tmp_path.rglob("*.nb?")), "`import tinytorch` wrote compiled kernels"
