"""The twenty modules, and the milestones that they lead to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Module:
    """builds: what a student writes in it."""

    number: int
    name: str
    builds: str

    @property
    def title(self) -> str:
        return f"{self.name.capitalize()}: {self.builds}"

    @property
    def path(self) -> Path:
        """Its checks."""
        return HERE / f"test_{self.number:02}_{self.name}.py"


MODULES = [
    Module(number, name, builds)
    for number, (name, builds) in enumerate(
        [
            ("tensor", "an array that can be computed with"),
            ("activations", "ReLU, Sigmoid, Tanh, Softmax, GELU"),
            ("modules", "parameters, and containers of layers"),
            ("layers", "Linear and Dropout"),
            ("losses", "MSE, BCE, cross-entropy"),
            ("autograd", "gradients of any graph"),
            ("optimizers", "SGD and Adam"),
            ("training", "a loop that learns"),
            ("spatial", "convolution and pooling"),
            ("dataloader", "datasets and batches"),
            ("tokenization", "characters and byte pairs"),
            ("embeddings", "vectors of tokens and places"),
            ("attention", "queries, keys and values"),
            ("transformers", "norms, blocks, a GPT"),
            ("profiling", "parameters, FLOPs, time"),
            ("quantisation", "int8 weights"),
            ("compression", "zeros, channels, teachers"),
            ("memoisation", "a cache of keys and values"),
            ("acceleration", "the same numbers, sooner"),
            ("benchmarking", "clocks that can be believed"),
        ],
        1,
    )
]
# As the seed's milestones are run "after modules 2-4" and so on.
MILESTONES = {
    1: ("perceptron", range(2, 5)),
    2: ("xor", range(2, 7)),
    3: ("mlp", range(2, 9)),
    4: ("cnn", range(2, 11)),
    5: ("transformer", range(2, 15)),
    6: ("systems", range(15, 21)),
}


def unlocks(number: int) -> int | None:
    """The first milestone that needs this module."""
    return next((milestone for milestone, (_, needs) in MILESTONES.items() if number in needs), None)


def number_of(nodeid: str) -> int:
    """The module that a test belongs to."""
    found = re.search(r"test_(\d\d)_", nodeid)
    assert found is not None
    return int(found[1])
