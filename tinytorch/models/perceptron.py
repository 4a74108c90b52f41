"""The perceptron: one weighted sum and one threshold, made soft."""

from __future__ import annotations

from tinytorch.nn import Linear, Module, Sigmoid
from tinytorch.tensor import Tensor


class Perceptron(Module):
    """`y = sigmoid(x · w + b)`: the probability that x belongs to class 1.

    Shapes: x (n, inputs) -> (n, 1). It answers 1 where x · w + b > 0, so its boundary is a straight line
    (a plane, a hyperplane): what no such line separates, it cannot learn.

    Rosenblatt's threshold was hard and his rule for the weights his own; the sigmoid lets the gradient
    through.

    inputs: numbers that describe one point.

    Cost: 2 · inputs FLOPs for the sum, and the sigmoid, a point.
    Source: F. Rosenblatt, "The Perceptron: A Perceiving and Recognizing Automaton", 1957.

    >>> import tinytorch as tt
    >>> Perceptron(2)(tt.zeros(5, 2)).shape
    (5, 1)
    """

    def __init__(self, inputs: int = 2):
        super().__init__()
        self.linear = Linear(inputs, 1)
        self.sigmoid = Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """x (n, inputs) -> probability of class 1, (n, 1)."""
        return self.sigmoid(self.linear(x))
