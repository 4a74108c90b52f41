"""The multi-layer perceptron: hidden layers of ReLU units, and a linear output."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tinytorch.nn import Flatten, Linear, Module, ReLU, Sequential
from tinytorch.tensor import Tensor


class MLP(Module):
    """`Flatten -> (Linear -> ReLU) for each hidden size -> Linear`; the result is logits.

    Shapes: x (n, ...) with `inputs` numbers for each of n -> (n, outputs). `hidden(x)` stops before the last
    layer, (n, hidden[-1]): the space in which that layer's straight cuts suffice.

    inputs, outputs: numbers that describe one example, and numbers in the answer.
    hidden: units of each hidden layer; there must be one at least.

    Cost: 2 · (inputs · hidden[0] + ... + hidden[-1] · outputs) FLOPs for the products of an example.
    Source: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", 1986.

    >>> import tinytorch as tt
    >>> model = MLP(784, (128, 64), 10)
    >>> model(tt.zeros(32, 28, 28)).shape, sum(p.data.size for p in model.parameters())
    ((32, 10), 109386)
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int):
        super().__init__()
        if not hidden:
            raise ValueError(
                "MLP: expected at least one hidden size, got none; use nn.Linear for a single layer"
            )
        layers: list[Module] = [Flatten()]
        for before, after in itertools.pairwise((inputs, *hidden)):
            layers += [Linear(before, after), ReLU()]
        self.hidden = Sequential(*layers)
        self.output = Linear(hidden[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, ...) -> logits (n, outputs)."""
        return self.output(self.hidden(x))
