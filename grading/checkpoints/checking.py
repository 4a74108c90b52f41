"""What the checks have in common: arrays out of tensors, closeness, slopes by finite differences."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grading.gates import NotMet, require

# Where the library has the names that checks ask for.
PLACES = {
    "tinytorch": ("Tensor", "flatten"),
    "tinytorch.nn": (
        "ReLU", "Sigmoid", "Tanh", "Softmax", "GELU", "Parameter", "Module", "Sequential", "Linear",
        "Dropout", "MSELoss", "BCELoss", "CrossEntropyLoss", "Conv2d", "MaxPool2d", "Flatten", "Embedding",
        "SinusoidalPositionalEncoding", "MultiheadAttention", "LayerNorm",
    ),
    "tinytorch.nn.functional": ("scaled_dot_product_attention",),
    "tinytorch.optim": ("SGD", "Adam"),
    "tinytorch.data": ("TensorDataset", "DataLoader"),
    "tinytorch.text": ("CharTokenizer", "BPETokenizer", "generate"),
    "tinytorch.models": ("GPT", "GPTConfig", "MLP"),
    "tinytorch.systems": (
        "profile", "estimate_flops", "quantize_dynamic", "save_model", "prune_magnitude", "prune_channels",
        "DistillationLoss", "latency", "measure_latency",
    ),
}  # fmt: skip
WHERE = {name: place for place, names in PLACES.items() for name in names}
FREE = {"TensorDataset", "DataLoader", "CharTokenizer", "BPETokenizer", "latency", "measure_latency"}


class Names:
    """`names("Linear")` is the implementation's, or ours where it has none."""

    def __init__(self, path: str | None):
        self.module = None if path is None else _imported(Path(path))
        self.own_tensor = self.module is not None and _is_theirs(self.module, "Tensor")

    def __call__(self, name: str) -> Any:
        if self.module is not None and hasattr(self.module, name):
            return getattr(self.module, name)
        require(
            not self.own_tensor or name in FREE,
            f"this module needs `{name}`: you have none, and ours cannot work with your Tensor",
        )
        return getattr(importlib.import_module(WHERE[name]), name)

    def tensor(self, data: Any, requires_grad: bool = False) -> Any:
        """A tensor of a NumPy array."""
        return self("Tensor")(np.asarray(data), requires_grad=requires_grad)


def _is_theirs(module: Any, name: str) -> bool:
    found = getattr(module, name, None)
    return found is not None and not str(getattr(found, "__module__", "")).startswith("tinytorch")


def _imported(path: Path) -> Any:
    """A file or a package, by its path."""
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise NotMet(f"expected a Python file or a package, got {path}: there is none")
    spec = importlib.util.spec_from_file_location(
        "implementation", file, submodule_search_locations=[str(path)] if path.is_dir() else None
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["implementation"] = module
    spec.loader.exec_module(module)
    return module


def array(value: Any) -> np.ndarray:
    """The numbers in a tensor, a gradient, or an array."""
    data = value if isinstance(value, np.ndarray) else getattr(value, "data", value)
    return np.asarray(data, dtype=np.float64)


def near(found: Any, right: Any, what: str, within: float = 1e-5) -> None:
    """NotMet with both where they differ by more than `within`, relative to the largest."""
    found, right = array(found), np.asarray(right, dtype=np.float64)
    require(found.shape == right.shape, f"{what}: expected shape {right.shape}, got {found.shape}")
    off = np.abs(found - right).max() if found.size else 0.0
    most = within * max(1.0, np.abs(right).max() if right.size else 1.0)
    require(off <= most, f"{what}: expected {_brief(right)}, got {_brief(found)}")


def _brief(x: np.ndarray) -> str:
    return np.array2string(x.ravel()[:6], precision=4, separator=", ") + ("…" if x.size > 6 else "")


def slope(function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """The gradient of a function of an array, by central differences."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.astype(np.float64).copy()
            moved[place] += sign * step
            ends.append(function(moved))
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


def gradient(
    names: Names, function: Callable[[Any], Any], x: np.ndarray, what: str, within: float = 2e-2
) -> None:
    """The gradient that backward() leaves in x is the slope of the function."""
    tensor = names.tensor(x.astype(np.float32), requires_grad=True)
    function(tensor).backward()
    require(tensor.grad is not None, f"{what}: backward() left no gradient")
    right = slope(lambda a: float(array(function(names.tensor(a.astype(np.float32)))).sum()), x)
    near(tensor.grad, right, f"the gradient of {what}", within)


def total(x: Any) -> Any:
    """The sum, as a tensor that backward() can start from."""
    return x.sum()
