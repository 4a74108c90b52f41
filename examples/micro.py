"""A deep-learning framework in 150 lines: enough to pass milestones 1, 2 and 3.

    tito grade examples/micro.py --milestones 1,2,3

A Tensor knows the tensors it was computed from and how to hand its gradient back to them. `backward` walks
that graph from the end to the beginning, once. Everything else is layers, losses and an optimiser.
"""

import numpy as np


class Tensor:
    """An array, and the way back from it: `_back(gradient)` gives a gradient for each of `_parents`."""

    def __init__(self, data, requires_grad=False, parents=(), back=None):
        self.data = np.asarray(data)
        self.grad = None
        self.requires_grad = requires_grad or any(parent.requires_grad for parent in parents)
        self._parents, self._back = parents, back

    def __repr__(self):
        return f"Tensor({self.data})"

    @property
    def shape(self):
        return self.data.shape

    def backward(self):
        """Gradients of this number by every parameter it depends on, added to their `grad`."""
        order, seen, waiting = [], set(), [(self, False)]
        while waiting:  # parents before children, without recursion
            tensor, done = waiting.pop()
            if done:
                order.append(tensor)
            elif id(tensor) not in seen and tensor.requires_grad:
                seen.add(id(tensor))
                waiting += [(tensor, True), *((parent, False) for parent in tensor._parents)]
        gradients = {id(self): np.ones_like(self.data, dtype=float)}
        for tensor in reversed(order):
            gradient = gradients.pop(id(tensor))
            if not tensor._parents:
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient
                continue
            for parent, part in zip(tensor._parents, tensor._back(gradient), strict=True):
                if parent.requires_grad:
                    gradients[id(parent)] = gradients.get(id(parent), 0.0) + part


# --- layers -------------------------------------------------------------------------------------------------


class Linear:
    """y = x W^T + b, drawn as He et al. (2015) do."""

    def __init__(self, in_features, out_features):
        bound = np.sqrt(6 / in_features)
        weight = np.random.uniform(-bound, bound, (out_features, in_features))
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(np.zeros(out_features), requires_grad=True)

    def parameters(self):
        return [self.weight, self.bias]

    def __call__(self, x):
        weight = self.weight

        def back(gradient):
            return gradient @ weight.data, gradient.T @ x.data, gradient.sum(0)

        return Tensor(x.data @ weight.data.T + self.bias.data, parents=(x, weight, self.bias), back=back)


class ReLU:
    """max(x, 0)."""

    def __call__(self, x):
        positive = x.data > 0
        return Tensor(x.data * positive, parents=(x,), back=lambda gradient: (gradient * positive,))


class Sigmoid:
    """1 / (1 + exp(-x))."""

    def __call__(self, x):
        y = 0.5 * (1 + np.tanh(x.data / 2))  # the same number, without an overflow
        return Tensor(y, parents=(x,), back=lambda gradient: (gradient * y * (1 - y),))


# --- losses -------------------------------------------------------------------------------------------------


class BCELoss:
    """-log of the probability that the right answer was given, on average; input: probabilities of "yes"."""

    def __call__(self, input, target):
        p, y = np.clip(input.data, 1e-7, 1 - 1e-7), target.data
        loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        return Tensor(
            loss, parents=(input,), back=lambda gradient: (gradient * (p - y) / (p * (1 - p)) / p.size,)
        )


class CrossEntropyLoss:
    """-log of the softmax of the right class, on average; input: (n, classes), target: (n,) whole numbers."""

    def __call__(self, input, target):
        z = input.data - input.data.max(1, keepdims=True)
        logs = z - np.log(np.exp(z).sum(1, keepdims=True))
        rows = np.arange(len(z))

        def back(gradient):
            off = np.exp(logs)
            off[rows, target.data] -= 1
            return (gradient * off / len(z),)

        return Tensor(-logs[rows, target.data].mean(), parents=(input,), back=back)


# --- learning -----------------------------------------------------------------------------------------------


class SGD:
    """Each parameter goes a step against its gradient."""

    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr

    def zero_grad(self):
        for parameter in self.params:
            parameter.grad = None

    def step(self):
        for parameter in self.params:
            if parameter.grad is not None:
                parameter.data = parameter.data - self.lr * parameter.grad


if __name__ == "__main__":
    np.random.seed(0)
    x = Tensor(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float))
    y = Tensor(np.array([[0], [1], [1], [0]], float))
    hidden, relu, output, sigmoid, loss_of = Linear(2, 8), ReLU(), Linear(8, 1), Sigmoid(), BCELoss()
    optimizer = SGD(hidden.parameters() + output.parameters(), lr=0.5)
    for _ in range(500):
        optimizer.zero_grad()
        answer = sigmoid(output(relu(hidden(x))))
        loss_of(answer, y).backward()
        optimizer.step()
    print("XOR:", answer.data.ravel().round(2))
