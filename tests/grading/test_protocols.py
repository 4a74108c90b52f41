"""What a submission must offer: one list in the library and in the grader, and words for what is missing."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from grading.submissions.inside.implementation import library, load
from grading.submissions.inside.requirements import LIBRARY, NEEDED, PROBES, Misfit
from tinytorch import protocols

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
OWN = """
    import numpy as np

    class Tensor:
        def __init__(self, data):
            self.data, self.grad = np.asarray(data), None
        def backward(self): pass

    class Linear:
        def __init__(self, n_in, n_out):
            self.weight = Tensor(np.zeros((n_out, n_in)))
            self.bias = Tensor(np.zeros(n_out))
        def parameters(self):
            return [self.weight, self.bias]
        def __call__(self, x):
            return Tensor(x.data @ self.weight.data.T)

    class Sigmoid:
        def __call__(self, x): return x

    class BCELoss:
        def __call__(self, input, target): return Tensor(input.data.mean())

    class SGD:
        def __init__(self, params, lr): pass
        def step(self): pass
        def zero_grad(self): pass
"""


@pytest.fixture
def names_of(tmp_path, monkeypatch):
    """`names_of(source, milestone)`: what a submission of this text offers for a milestone."""
    for name in ("submission", "package"):  # so that the import is undone
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]

    def names_of(source, milestone):
        (tmp_path / "student.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return load(tmp_path).names_for(milestone)

    return names_of


@pytest.mark.parametrize("milestone", range(1, 7))
def test_the_library_and_the_grader_ask_for_the_same_names(milestone):
    assert set(protocols.needed(milestone)) == set(NEEDED[milestone])
    assert set(NEEDED[milestone]) <= set(LIBRARY) & set(PROBES)


@pytest.mark.parametrize("milestone", range(1, 7))
def test_the_librarys_own_names_fit(milestone):
    names = {name: library(name) for name in NEEDED[milestone]}
    for name in names:
        PROBES[name](names)


def test_every_name_says_how_it_is_called_and_is_in_the_document():
    document = DOCUMENT.read_text("utf-8")
    for milestone in NEEDED:
        for name, words in protocols.needed(milestone).items():
            assert words.startswith((f"`{name}(", "`tinytorch.Tensor`", "As in milestone")), name
            assert f"`{name}" in document, f"{name} is not in {DOCUMENT.name}"


def test_a_milestone_that_there_is_not():
    with pytest.raises(ValueError, match="expected a milestone from 1 to 6, got 7"):
        protocols.needed(7)


def test_names_that_are_left_out_come_from_the_library(names_of):
    names = names_of("from tinytorch import nn\nclass Linear(nn.Linear): pass", 1)
    assert names["Linear"].__name__ == "Linear"
    assert names["Linear"] is not library("Linear")
    assert names["SGD"] is library("SGD")


def test_a_submission_of_its_own_tensor_is_complete_for_milestone_1(names_of):
    assert not any(found.__module__.startswith("tinytorch") for found in names_of(OWN, 1).values())


@pytest.mark.parametrize(
    ("source", "milestone", "message"),
    [
        (OWN, 2, "milestone 2 needs `ReLU`: you brought your own Tensor, and ours cannot work with it"),
        (
            "from tinytorch import nn\nclass ReLU(nn.Module):\n    def __call__(self): pass",
            2,
            "milestone 2 needs `ReLU.__call__(x)`; yours takes no argument",
        ),
        (
            OWN.replace("(n_out, n_in)", "(n_in, n_out)"),
            1,
            "needs `Linear.weight` of shape (out_features, in_features) = (4, 2); yours is (2, 4)",
        ),
        (
            OWN.replace("def __init__(self, n_in, n_out)", "def __init__(self, n_in)").replace("n_out", "1"),
            1,
            "milestone 1 needs `Linear(in_features, out_features)`; yours takes (n_in)",
        ),
        (
            OWN.replace("np.zeros(n_out)", "np.zeros(n_out, int)"),
            1,
            "milestone 1 needs `Linear.bias` to hold floats; yours holds int64",
        ),
        (
            OWN.replace("Tensor(np.zeros(n_out))", "np.zeros(n_out)"),
            1,
            "milestone 1 needs `Linear.bias` to be a Tensor, with an array in `.data`; yours is ndarray",
        ),
        (
            OWN.replace("np.asarray(data)", "np.asarray(data).tolist()"),
            1,
            "milestone 1 needs `Tensor.data` to be a NumPy array; yours is list",
        ),
        (
            OWN.replace("def step(self)", "def move(self)"),
            1,
            "milestone 1 needs `SGD.step`; yours has none",
        ),
        (
            OWN.replace("def __init__(self, params, lr)", "def __init__(self, params, rate)"),
            1,
            "milestone 1 needs `SGD(params, lr=0.1)`; yours takes (params, rate)",
        ),
        (
            OWN.replace("input.data.mean()", "input.data"),
            1,
            "milestone 1 needs `BCELoss.__call__(input, target)` to give one number; yours gives (3, 1)",
        ),
        (
            OWN.replace("return x", "return x.missing"),
            1,
            "milestone 1 needs `Sigmoid.__call__(x)`; yours raised AttributeError: 'Tensor' object has no "
            "attribute 'missing' (student.py:19 in __call__)",
        ),
        ("Sigmoid = 3", 1, "milestone 1 needs `Sigmoid()`; yours is int, and cannot be called"),
        ("x = 1", 1, "student.py defines none of the names that a milestone needs"),
        ("from tinytorch.nn import Linear", 1, "student.py defines none of the names"),
        ("def quantize_dynamic(): pass", 6, "`quantize_dynamic(model)`; yours takes no argument"),
    ],
)
def test_a_misfit_is_told_in_a_sentence(names_of, source, milestone, message):
    with pytest.raises(Misfit) as told:
        names_of(source, milestone)
    assert message in str(told.value)


def test_a_folder_without_a_package_is_told(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("a.py", "b.py"):
        (folder / name).write_text("x = 1", encoding="utf-8")
    with pytest.raises(
        Misfit, match=r"a package with an __init__\.py, or a folder with one \.py file, got 2"
    ):
        load(tmp_path)


def test_a_package_imports_its_own_parts(tmp_path, names_of):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from .layers import ReLU", encoding="utf-8")
    (package / "layers.py").write_text(
        "from tinytorch import nn\nclass ReLU(nn.ReLU): pass", encoding="utf-8"
    )
    names = load(tmp_path).names_for(2)
    x = names["Tensor"](np.array([-1.0, 2.0]))
    assert names["ReLU"].__module__ == "package.layers"
    assert names["ReLU"]()(x).data.tolist() == [0.0, 2.0]
    for name in ("package", "package.layers"):
        sys.modules.pop(name, None)
