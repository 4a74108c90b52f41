"""`Function`: an operation of one's own with its gradient, written as two methods of a class."""

from __future__ import annotations

from typing import Any

from tinytorch.autograd.modes import modes, no_grad
from tinytorch.autograd.registry import Node, Op
from tinytorch.tensor import Tensor


class Context:
    """What `forward` leaves for `backward`: tensors through `save_for_backward`, all else as attributes.

    needs_input_grad: for each argument of `forward`, whether a gradient is wanted.
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self) -> None:
        self._saved: list[tuple[Any, int]] = []

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors; one that is changed in place before `backward` reads it is refused."""
        self._saved = [(t, 0 if t is None else t._version) for t in tensors]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were kept."""
        for tensor, version in self._saved:
            if tensor is not None and tensor._version != version:
                raise RuntimeError(
                    f"saved_tensors: a tensor of shape {tensor.shape} was changed in place after it was "
                    f"saved (version {tensor._version}, expected {version}). Save a .clone() of it."
                )
        return tuple(tensor for tensor, _ in self._saved)


class Function:
    """An operation whose gradient is written by hand: `Function.apply(...)` carries it out and records it.

    forward(ctx, ...) computes one tensor, unrecorded; backward(ctx, gradient) returns one gradient, or None,
    for each argument of forward. Written with tensor operations, backward has derivatives itself.

    >>> import tinytorch as tt
    >>> class Double(tt.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2.0
    ...
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         return gradient * 2.0
    >>> x = tt.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    _op: Op

    def __init_subclass__(cls) -> None:
        cls._op = Op(name=cls.__name__, forward=cls.forward, rule=_gradients)

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """Compute the result; to be written by each subclass."""
        raise NotImplementedError("Function: expected a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of the arguments from that of the result; to be written by each subclass."""
        raise NotImplementedError("Function: expected a static method backward(ctx, gradient)")

    @classmethod
    def apply(cls, *args: Any) -> Tensor:
        """Carry out `forward`, and record it where a gradient is wanted. Raises TypeError for no tensor."""
        ctx = Context()
        tensors = [a if isinstance(a, Tensor) else None for a in args]
        ctx.needs_input_grad = tuple(t is not None and t.requires_grad for t in tensors)
        with no_grad():
            result = cls.forward(ctx, *args)
        if not isinstance(result, Tensor):
            kind = type(result).__name__
            raise TypeError(f"{cls.__name__}: expected forward to give one tensor, got {kind}")
        if not (modes.grad and any(ctx.needs_input_grad)) or result.dtype.kind != "f":
            return result
        out = result.detach()
        edges = [
            None if t is None or not t.requires_grad else t if t._node is None else t._node for t in tensors
        ]
        node = Node(cls._op, {}, edges, ctx.needs_input_grad, out._data)
        node.extras = cls, ctx
        out.requires_grad, out._node, out._cut = True, node, None
        ctx._saved = [(out if t is result else t, version) for t, version in ctx._saved]
        return out


def _gradients(node: Node, g: Any) -> tuple[Any, ...]:
    cls, ctx = node.extras
    found = cls.backward(ctx, g)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) != len(node.edges):
        raise RuntimeError(
            f"{cls.__name__}: expected backward to return {len(node.edges)} gradients, one for each argument "
            f"of forward (None for a constant), got {len(found)}"
        )
    return found
