"""What a submission must offer, milestone by milestone: the names, how each is called, and what comes back.

A submission is a module, and `Perceptron` to `Systems` are the types of such modules: each property is a
name that the module defines. Names and arguments are PyTorch's, cut down to what a student can build in an
evening. What a module leaves out comes from this library, unless its Tensor is its own: ours work with ours.

A type checker tells whether a module is complete before anything is graded:

    import mine
    from tinytorch import protocols

    submission: protocols.Perceptron = mine

Nothing is imported here but types, and nothing of the library has to derive from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

# --- what the names make ------------------------------------------------------------------------------------


class Tensor(Protocol):
    """An array that knows its gradient.

    data: the array; the grader copies given weights into it, `tensor.data[...] = weights`.
    grad: None before `backward`, then an array of the same shape, or a tensor that holds one.
    """

    data: Any
    grad: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        ...

    def backward(self) -> Any:
        """Of a tensor that holds one number: add the gradients of all parameters that it depends on."""
        ...


class Layer(Protocol):
    """Any layer: a tensor in, a tensor out."""

    def __call__(self, x: Any, /) -> Tensor:
        """The layer's output, as a part of the graph."""
        ...


class WeightedLayer(Layer, Protocol):
    """A layer that learns. weight, bias: tensors; their shapes stand beside the layer's name."""

    weight: Any
    bias: Any

    def parameters(self) -> Iterable[Any]:
        """The tensors that an optimiser moves: weight and bias."""
        ...


class Loss(Protocol):
    """A loss: the mean over the batch, as a tensor that holds one number."""

    def __call__(self, input: Any, target: Any, /) -> Tensor:
        """Compare the network's output with what is right."""
        ...


class Optimizer(Protocol):
    """Moves the parameters that it was made with."""

    def step(self) -> Any:
        """One step, by the gradients that the parameters have now."""
        ...

    def zero_grad(self) -> Any:
        """Forget these gradients, so that the next batch begins with none."""
        ...


class Attention(Protocol):
    """Multi-head attention with the four projections of PyTorch's.

    in_proj_weight (3·embed_dim, embed_dim) and in_proj_bias (3·embed_dim,): of queries, keys and values, in
    this order; out_proj: a Linear of embed_dim to embed_dim.
    """

    in_proj_weight: Any
    in_proj_bias: Any
    out_proj: Any

    def __call__(self, query: Any, key: Any, value: Any, /, *, need_weights: bool, is_causal: bool) -> Any:
        """(output (n, t, embed_dim), None). is_causal: a token sees itself and what came before it."""
        ...

    def parameters(self) -> Iterable[Any]:
        """All four tensors."""
        ...


class Pruner(Protocol):
    """Remembers which weights are zero."""

    def apply(self) -> Any:
        """Set them to zero again, after a step of training."""
        ...


# --- what a milestone needs ---------------------------------------------------------------------------------


class Perceptron(Protocol):
    """Milestone 1: a line between two clouds, found by gradient descent."""

    @property
    def Tensor(self) -> Callable[..., Tensor]:
        """`Tensor(data)` of a NumPy array."""
        ...

    @property
    def Linear(self) -> Callable[[int, int], WeightedLayer]:
        """`Linear(in_features, out_features)`: x (n, in) -> (n, out); weight (out, in), bias (out,)."""
        ...

    @property
    def Sigmoid(self) -> Callable[[], Layer]:
        """`Sigmoid()(x)`: 1 / (1 + exp(-x))."""
        ...

    @property
    def BCELoss(self) -> Callable[[], Loss]:
        """`BCELoss()(input, target)`: mean of -log of the right answer's probability; both (n, 1)."""
        ...

    @property
    def SGD(self) -> Callable[..., Optimizer]:
        """`SGD(params, lr=0.1)`: p -= lr · p.grad."""
        ...


class XOR(Perceptron, Protocol):
    """Milestone 2: a hidden layer, and what no line can separate."""

    @property
    def ReLU(self) -> Callable[[], Layer]:
        """`ReLU()(x)`: max(x, 0)."""
        ...


class MLP(Protocol):
    """Milestone 3: ten classes, learned from images."""

    @property
    def Tensor(self) -> Callable[..., Tensor]:
        """`Tensor(data)` of a NumPy array of floats, or of whole numbers for labels."""
        ...

    @property
    def Linear(self) -> Callable[[int, int], WeightedLayer]:
        """As in milestone 1."""
        ...

    @property
    def ReLU(self) -> Callable[[], Layer]:
        """As in milestone 2."""
        ...

    @property
    def CrossEntropyLoss(self) -> Callable[[], Loss]:
        """`CrossEntropyLoss()(input, target)`: mean of -log softmax; (n, classes) and (n,) whole numbers."""
        ...

    @property
    def SGD(self) -> Callable[..., Optimizer]:
        """As in milestone 1."""
        ...


class CNN(MLP, Protocol):
    """Milestone 4: a window that looks at every place of an image."""

    @property
    def Conv2d(self) -> Callable[..., WeightedLayer]:
        """`Conv2d(in_channels, out_channels, kernel_size, padding=1)`: (n, in, h, w) -> (n, out, h, w).

        weight (out, in, k, k), bias (out,); the window is not turned round: PyTorch's convolution.
        """
        ...

    @property
    def MaxPool2d(self) -> Callable[[int], Layer]:
        """`MaxPool2d(2)(x)`: the largest of each square, (n, c, h, w) -> (n, c, h / 2, w / 2)."""
        ...

    @property
    def Flatten(self) -> Callable[[], Layer]:
        """`Flatten()(x)`: (n, c, h, w) -> (n, c·h·w), in the array's own order."""
        ...


class Transformer(Protocol):
    """Milestone 5: a small GPT. Its Tensor has `+`, `reshape` and `shape`, too."""

    @property
    def Tensor(self) -> Callable[..., Tensor]:
        """`Tensor(data)` of a NumPy array of floats, or of whole numbers for tokens."""
        ...

    @property
    def Embedding(self) -> Callable[[int, int], Layer]:
        """`Embedding(num_embeddings, embedding_dim)(tokens)`: (n, t) -> (n, t, dim); weight (num, dim)."""
        ...

    @property
    def LayerNorm(self) -> Callable[[int], WeightedLayer]:
        """`LayerNorm(width)(x)`: over the last dimension, eps 1e-5; weight and bias (width,)."""
        ...

    @property
    def MultiheadAttention(self) -> Callable[..., Attention]:
        """`MultiheadAttention(embed_dim, num_heads, batch_first=True)`."""
        ...

    @property
    def GELU(self) -> Callable[..., Layer]:
        """`GELU(approximate="tanh")(x)`: x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³)))."""
        ...

    @property
    def Linear(self) -> Callable[[int, int], WeightedLayer]:
        """As in milestone 1, for inputs (n, t, in)."""
        ...

    @property
    def CrossEntropyLoss(self) -> Callable[[], Loss]:
        """As in milestone 3."""
        ...

    @property
    def Adam(self) -> Callable[..., Optimizer]:
        """`Adam(params, lr=0.01)`: Kingma and Ba (2015), betas 0.9 and 0.999, eps 1e-8."""
        ...


class Systems(Protocol):
    """Milestone 6: a trained network of this library's, made smaller. Its Tensor is this library's."""

    @property
    def Tensor(self) -> Callable[..., Tensor]:
        """`tinytorch.Tensor`."""
        ...

    @property
    def quantize_dynamic(self) -> Callable[[Any], Any]:
        """`quantize_dynamic(model)`: a model whose linear layers have int8 weights."""
        ...

    @property
    def prune_magnitude(self) -> Callable[[Any, float], Pruner]:
        """`prune_magnitude(model, sparsity)`: sets the smallest weights to zero, in the model itself."""
        ...

    @property
    def prune_channels(self) -> Callable[..., Any]:
        """`prune_channels(model, fraction, example_input=x)`: a model without the least of its channels."""
        ...

    @property
    def DistillationLoss(self) -> Callable[[float, float], Callable[[Any, Any, Any], Any]]:
        """`DistillationLoss(temperature, alpha)(student_logits, teacher_logits, labels)`."""
        ...

    @property
    def save_model(self) -> Callable[[Any, os.PathLike[str]], Any]:
        """`save_model(model, path)`: a safetensors file of `model.state_dict()`."""
        ...


MILESTONES: dict[int, type] = {1: Perceptron, 2: XOR, 3: MLP, 4: CNN, 5: Transformer, 6: Systems}


def needed(milestone: int) -> dict[str, str]:
    """The names that a milestone needs, each with how it is called.

    Raises ValueError for a milestone that there is not.

    >>> list(needed(1))
    ['Tensor', 'Linear', 'Sigmoid', 'BCELoss', 'SGD']
    """
    if milestone not in MILESTONES:
        raise ValueError(f"expected a milestone from 1 to {max(MILESTONES)}, got {milestone}")
    return {
        name: (member.__doc__ or "").strip()
        for kind in reversed(MILESTONES[milestone].__mro__)
        for name, member in vars(kind).items()
        if isinstance(member, property)
    }
