"""The names that checks are tried on: a student's where there are some, the library's where these fit."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from grading.gates import NotMet
from grading.submissions.inside.implementation import imported, is_theirs
from grading.submissions.inside.networks import seed

# Where the library has each name.
_PLACES = {
    "tinytorch": ("Tensor", "set_num_threads"),
    "tinytorch.nn": (
        "ReLU", "Sigmoid", "Tanh", "GELU", "Softmax", "Module", "Parameter", "Sequential", "Linear",
        "Dropout", "Flatten", "MSELoss", "BCELoss", "CrossEntropyLoss", "Conv2d", "MaxPool2d", "Embedding",
        "SinusoidalPositionalEncoding", "LearnedPositionalEmbedding", "MultiheadAttention", "LayerNorm",
    ),
    "tinytorch.nn.utils": ("clip_grad_norm_",),
    "tinytorch.optim": ("SGD", "Adam"),
    "tinytorch.optim.lr_scheduler": ("StepLR", "CosineAnnealingLR"),
    "tinytorch.training": ("accuracy",),
    "tinytorch.data": ("TensorDataset", "DataLoader"),
    "tinytorch.text": ("CharTokenizer", "BPETokenizer"),
    "tinytorch.models": ("GPT", "GPTConfig"),
    "tinytorch.systems": (
        "profile", "latency", "peak_memory", "quantize_dynamic", "save_model", "prune_magnitude",
        "prune_channels", "DistillationLoss", "measure_latency", "measure_together", "speedup",
        "median_interval",
    ),
}  # fmt: skip
LIBRARY = {name: place for place, names in _PLACES.items() for name in names}
# These never meet a tensor.
_ALONE = {
    "CharTokenizer", "BPETokenizer", "GPTConfig", "latency", "peak_memory", "measure_latency",
    "measure_together", "speedup", "median_interval",
}  # fmt: skip
# Beside Tensor: whose these are, ours of the left-hand name have to be, or they do not know each other.
_TOGETHER = {
    "Module": ("Parameter",),
    "Sequential": ("Module",),
    "StepLR": ("SGD",),
    "CosineAnnealingLR": ("SGD",),
    "GPT": ("Module", "GPTConfig"),
    "speedup": ("measure_together",),
    **dict.fromkeys(
        ("profile", "quantize_dynamic", "save_model", "prune_magnitude", "prune_channels"), ("Module",)
    ),
}


class Missing(NotMet):
    """A name that a module needs, and nobody has."""


class Names:
    """`names.Linear` and the like, for the checks of one module.

    theirs: the names that the implementation defines. used: those that were asked for until now.
    """

    def __init__(self, module: int, implementation: Path | None = None):
        self.module, self.path = module, implementation
        self.found = None if implementation is None else imported(implementation)
        self.theirs = [] if self.found is None else [name for name in LIBRARY if is_theirs(self.found, name)]
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name not in LIBRARY:
            raise AttributeError(f"no module needs the name {name!r}")
        if name in self.theirs:
            self.used.add(name)
            return getattr(self.found, name)
        if other := self.stranger_to(name):
            raise Missing(
                f"module {self.module:02} needs `{name}`: your implementation has none, and ours cannot work "
                f"with your {other}"
            )
        self.used.add(name)
        return getattr(importlib.import_module(LIBRARY[name]), name)

    def stranger_to(self, name: str) -> str | None:
        """What the student brought that the library's object of this name cannot work with."""
        beside = _TOGETHER.get(name, ()) if name in _ALONE else ("Tensor", *_TOGETHER.get(name, ()))
        return next((other for other in beside if other in self.theirs), None)

    def tensor(self, data: Any, *, learn: bool = False) -> Any:
        """A Tensor of an array; floats keep their 64 bits where the implementation lets them."""
        array = np.array(data)
        return self.Tensor(array, requires_grad=True) if learn else self.Tensor(array)

    def layers(self, *sizes: int) -> tuple[Any, list[Any]]:
        """A model of linear layers with ReLU between, and these layers.

        Whole models are the library's as long as the Tensor is: its tools know its own layers.
        """
        source = self if "Tensor" in self.theirs else Names(self.module)
        linear = [source.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        row = [part for layer in linear for part in (layer, source.ReLU())][:-1]
        return source.Sequential(*row), linear

    def seed(self, number: int = 0) -> None:
        """The same random numbers in every run, wherever the implementation draws them from."""
        seed(number)
