"""Recurrent layers, `RNN`, `LSTM` and `GRU`, and one step of each: `RNNCell`, `LSTMCell`, `GRUCell`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.nn._parameter import Parameter
from tinytorch.nn._recurrent_steps import Gated, Gates, LongShortTerm, Plain


class _Layers(Gates):
    """Layers above each other, each in one direction or both."""

    weight_hh_l0: Parameter

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool,
        dropout: float, bidirectional: bool, dtype: Any, proj_size: int = 0,
    ):  # fmt: skip
        super().__init__(input_size, hidden_size, bias)
        name = type(self).__name__
        self._check_sizes(num_layers=num_layers)
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: expected dropout to be a probability from 0 to 1, got {dropout!r}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{name}: expected proj_size from 0, for none, to hidden_size - 1 = {hidden_size - 1}, got "
                f"{proj_size}"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} does nothing with num_layers=1, because it stands between "
                "layers. Use more layers, or a Dropout behind this one.",
                stacklevel=3,
            )
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            width = len(self._directions) * (proj_size or hidden_size) if layer else input_size
            for direction in self._directions:
                self._add_weights(f"_l{layer}{direction}", width, dtype)
        self.reset_parameters()

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """(steps, n, input_size) and the initial states -> (the last layer's h, the last states)."""
        wanted = "(batch, steps, features)" if self.batch_first else "(steps, batch, features)"
        self._check_input(input, 3, wanted)
        batched, x = input.ndim == 3, input
        if not batched:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        if not x.shape[0]:
            raise ValueError(f"{type(self).__name__}: expected a time step or more, got input {input.shape}")
        rows = self.num_layers * len(self._directions)
        states = self._initial(hx, (rows, x.shape[1]) if batched else (rows,), self.weight_hh_l0)
        if not batched:
            states = [state.unsqueeze(1) for state in states]
        finals = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = ops.dropout(x, self.dropout, self.training)
            outputs = []
            for direction in self._directions:
                start = [state[len(finals)] for state in states]
                h, last = self._recur(x.flip(0) if direction else x, f"_l{layer}{direction}", start)
                outputs.append(h.flip(0) if direction else h)
                finals.append(last)
            x = ops.cat(outputs, -1) if self.bidirectional else outputs[0]
        ends = [ops.stack(of_one_kind) for of_one_kind in zip(*finals, strict=True)]
        if not batched:
            x, ends = x.squeeze(1), [end.squeeze(1) for end in ends]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, tuple(ends) if len(ends) > 1 else ends[0]

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights are packed at every call. It is there for programs that call it."""

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        shown = [name for name, default in defaults.items() if getattr(self, name) != default]
        return ", ".join(
            [f"{self.input_size}, {self.hidden_size}", *(f"{name}={getattr(self, name)}" for name in shown)]
        )


class RNN(Plain, _Layers):
    """`h[t] = tanh(weight_ih @ x[t] + bias_ih + weight_hh @ h[t - 1] + bias_hh)`, or relu of that.

    Shapes: x (steps, n, input_size), with batch_first (n, steps, input_size), or (steps, input_size) of one
    sequence; hx (num_layers · directions, n, hidden_size), zeros by default -> the last layer's h of every
    step, as x but with directions · hidden_size features, and the last h of every layer and direction, as hx.

    num_layers: layers above each other, each of which reads the h of the one below.
    nonlinearity: "tanh" or "relu".
    bias: False leaves both biases out.
    dropout: probability with which a number is zeroed between two layers, in training.
    bidirectional: a second set of weights, `..._reverse`, reads the steps from the last to the first; both h
    stand side by side.

    Everything starts uniform in ±1/sqrt(hidden_size), as in PyTorch. Packed sequences are refused: pad them.
    Raises ValueError for sizes that make no sense, and in the call for shapes that do not fit.
    Cost: 2 · hidden · (input + hidden) FLOPs a step, row, layer and direction.
    Source: Elman, "Finding structure in time", 1990.

    >>> import tinytorch as tt
    >>> output, h_n = tt.nn.RNN(3, 8, num_layers=2)(tt.zeros(5, 4, 3))
    >>> output.shape, h_n.shape
    ((5, 4, 8), (2, 4, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = np.float32,
    ):
        self._set_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )


class LSTM(LongShortTerm, _Layers):
    """Long short-term memory: a cell c that gates write to, keep and read.

    With i, f, g, o = weight_ih @ x[t] + bias_ih + weight_hh @ h[t - 1] + bias_hh, in four parts:
    `c[t] = σ(f) c[t - 1] + σ(i) tanh(g)` and `h[t] = σ(o) tanh(c[t])`.

    Shapes and arguments as in `RNN`, but hx and the last states are pairs (h, c).

    proj_size: `h[t] = weight_hr @ (σ(o) tanh(c[t]))` has so many numbers (0: no projection).

    Cost: 8 · hidden · (input + hidden) FLOPs a step, row, layer and direction.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.

    >>> import tinytorch as tt
    >>> output, (h_n, c_n) = tt.nn.LSTM(3, 8, bidirectional=True)(tt.zeros(5, 4, 3))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 4, 16), (2, 4, 8), (2, 4, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = np.float32,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, proj_size
        )


class GRU(Gated, _Layers):
    """Gated recurrent unit: what is new is mixed with what was.

    With x_r, x_z, x_n = weight_ih @ x[t] + bias_ih and y_r, y_z, y_n = weight_hh @ h[t - 1] + bias_hh:
    `r = σ(x_r + y_r)`, `z = σ(x_z + y_z)` and `h[t] = (1 - z) tanh(x_n + r y_n) + z h[t - 1]`.

    Shapes and arguments as in `RNN`.

    Cost: 6 · hidden · (input + hidden) FLOPs a step, row, layer and direction.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    >>> import tinytorch as tt
    >>> output, h_n = tt.nn.GRU(3, 8, batch_first=True)(tt.zeros(4, 5, 3))
    >>> output.shape, h_n.shape
    ((4, 5, 8), (1, 4, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = np.float32,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )


class _Cell(Gates):
    """One step of one layer."""

    weight_hh: Parameter

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32):
        super().__init__(input_size, hidden_size, bias)
        self._add_weights("", input_size, dtype)
        self.reset_parameters()

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(n, input_size) and the states before -> the states after."""
        self._check_input(input, 2, "(batch, features)")
        batched = input.ndim == 2
        states = self._initial(hx, input.shape[:-1], self.weight_hh)
        if not batched:
            input, states = input.unsqueeze(0), [state.unsqueeze(0) for state in states]
        _, after = self._recur(input.unsqueeze(0), "", states)
        if not batched:
            after = [state.squeeze(0) for state in after]
        return tuple(after) if len(after) > 1 else after[0]

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


class RNNCell(Plain, _Cell):
    """One step of an `RNN`: x (n, input_size), h (n, hidden_size) -> the next h; all without n for one row.

    >>> import tinytorch as tt
    >>> RNNCell(3, 8)(tt.zeros(4, 3)).shape
    (4, 8)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = np.float32,
    ):
        self._set_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype)

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        more = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + more


class LSTMCell(LongShortTerm, _Cell):
    """One step of an `LSTM`: x (n, input_size) and the pair (h, c) -> the next (h, c).

    >>> import tinytorch as tt
    >>> h, c = LSTMCell(3, 8)(tt.zeros(4, 3))
    >>> h.shape, c.shape
    ((4, 8), (4, 8))
    """


class GRUCell(Gated, _Cell):
    """One step of a `GRU`: x (n, input_size), h (n, hidden_size) -> the next h.

    >>> import tinytorch as tt
    >>> GRUCell(3, 8)(tt.zeros(4, 3)).shape
    (4, 8)
    """
