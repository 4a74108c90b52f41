"""What recurrent layers and their cells share: weights, initial states, and the steps of each kind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.ops.recurrent import NONLINEARITIES

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def _zeros(*shape: int, like: Any) -> Any:
    return new_tensor(np.zeros(shape, like.dtype))


class Gates(Module):
    """What a layer and a cell share: sizes, checked early, and weights that start as PyTorch's do."""

    _gates = 1
    _states: tuple[str, ...] = ("h_0",)
    proj_size = 0

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        self._check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

    def _check_sizes(self, **sizes: Any) -> None:
        """Refuse what is not a whole number from 1 up."""
        for what, size in sizes.items():
            if isinstance(size, bool) or not hasattr(size, "__index__") or size < 1:
                name = type(self).__name__
                raise ValueError(f"{name}: expected {what} to be a whole number from 1 up, got {size!r}")

    def _add_weights(self, suffix: str, input_size: int, dtype: Any) -> None:
        """The parameters of one layer in one direction, with PyTorch's names."""
        width, outputs = self._gates * self.hidden_size, self.proj_size or self.hidden_size
        shapes = {"weight_ih": (width, input_size), "weight_hh": (width, outputs)}
        if self.bias:
            shapes |= {"bias_ih": (width,), "bias_hh": (width,)}
        if self.proj_size:
            shapes["weight_hr"] = (outputs, self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(empty(shape, np.dtype(dtype))))

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _check_input(self, input: Any, batched: int, wanted: str) -> None:
        """Refuse an input of other dimensions or features, or a packed sequence.

        batched: the dimensions of an input that is a batch; one sequence has one less.
        """
        name = type(self).__name__
        if isinstance(input, tuple):
            raise TypeError(
                f"{name}: expected a tensor {wanted}, got {type(input).__name__}. Packed sequences are not "
                "supported: pad the sequences to one length, and ignore the outputs behind the end of each."
            )
        if input.ndim not in (batched - 1, batched):
            raise ValueError(f"{name}: expected an input {wanted}, or one without a batch, got {input.shape}")
        if input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: expected an input of {self.input_size} features in its last dimension, got "
                f"{input.shape[-1]} (input {input.shape})"
            )

    def _initial(self, hx: Any, lead: tuple[int, ...], like: Any) -> list[Any]:
        """The initial states: those given, of shapes (*lead, size), or zeros."""
        name, count = type(self).__name__, len(self._states)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[:count]
        if hx is None:
            return [_zeros(*lead, size, like=like) for size in sizes]
        states = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if isinstance(hx, (tuple, list)) != (count > 1) or len(states) != count:
            wanted = "the pair (h_0, c_0)" if count > 1 else "one tensor h_0"
            raise TypeError(f"{name}: expected hx to be {wanted}, got {type(hx).__name__}")
        for what, state, size in zip(self._states, states, sizes, strict=True):
            if state.shape != (*lead, size):
                raise ValueError(f"{name}: expected {what} of shape {(*lead, size)}, got {state.shape}")
        return states

    def _recur(self, x: Any, suffix: str, states: list[Any]) -> tuple[Any, list[Any]]:
        """All steps of one layer in one direction: x (t, n, ·) -> h (t, n, ·), and the last states."""
        weights = (getattr(self, name + suffix, None) for name in _WEIGHTS)
        return self._steps(x, *weights, *states)

    def _steps(
        self, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *states: Any
    ) -> tuple[Any, list[Any]]:
        """`_recur` with these weights."""
        raise NotImplementedError


class Plain(Gates):
    """tanh or relu of what comes in and what was."""

    nonlinearity: str

    def _set_nonlinearity(self, nonlinearity: str) -> None:
        """Take "tanh" or "relu"."""
        if nonlinearity not in NONLINEARITIES:
            name = type(self).__name__
            raise ValueError(f"{name}: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def _steps(
        self, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *states: Any
    ) -> tuple[Any, list[Any]]:
        x = ops.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
        h = ops.rnn_recurrence(x, *states, w_hh, nonlinearity=self.nonlinearity)
        return h, [h[-1]]


class LongShortTerm(Gates):
    """Input, forget, new and output gates around a cell."""

    _gates, _states = 4, ("h_0", "c_0")

    def _steps(
        self, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *states: Any
    ) -> tuple[Any, list[Any]]:
        h0, c0 = states
        x = ops.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
        if w_hr is None:
            out = ops.lstm_recurrence(x, h0, c0, w_hh)
            return out[:-1], [out[-2], out[-1]]
        # The next step reads w_hh @ (w_hr @ h), so h itself may recur, and be projected once for all steps.
        x = ops.cat([x[:1] + ops.linear(h0, w_hh, None), x[1:]])
        out = ops.lstm_recurrence(x, _zeros(*c0.shape, like=c0), c0, w_hh @ w_hr)
        h = ops.linear(out[:-1], w_hr, None)
        return h, [h[-1], out[-1]]


class Gated(Gates):
    """Reset, update and new gates."""

    _gates = 3

    def _steps(
        self, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *states: Any
    ) -> tuple[Any, list[Any]]:
        b_hh = _zeros(len(w_hh), like=w_hh) if b_hh is None else b_hh
        h = ops.gru_recurrence(ops.linear(x, w_ih, b_ih), *states, w_hh, b_hh)
        return h, [h[-1]]
