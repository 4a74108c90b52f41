"""Initial values for parameters, in place and without a graph; the formulas and names are PyTorch's.

All draw from `generator`, by default the one that `manual_seed` sets, and return the tensor they fill.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.tensor import Tensor


def _draws(generator: random.Generator | None) -> np.random.Generator:
    """Where the numbers come from: a stream fixed by the generator's seed and position."""
    return (generator or random.default_generator).numpy()


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor._write(lambda data: np.copyto(data, values, casting="same_kind"))
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: random.Generator | None = None
) -> Tensor:
    """Uniform from `a` to `b`."""
    values = _draws(generator).random(tensor.shape, tensor.dtype)
    return _fill(tensor, values * tensor.dtype.type(b - a) + tensor.dtype.type(a))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: random.Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _fill(tensor, _normal(_draws(generator), tensor.shape, mean, std, tensor.dtype))


def _normal(draws: np.random.Generator, shape: tuple[int, ...], mean: float, std: float, dtype: Any) -> Any:
    return draws.standard_normal(shape, dtype) * dtype.type(std) + dtype.type(mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: random.Generator | None = None,
) -> Tensor:
    """Normal, with values outside of `a` to `b` (bounds, not multiples of std) drawn again.

    Raises ValueError when less than a thousandth of the distribution lies between the bounds.
    """
    if not a < b:
        raise ValueError(f"trunc_normal_: expected a < b, got a={a}, b={b}")
    low, high = ((bound - mean) / (std * math.sqrt(2)) for bound in (a, b))
    if (math.erf(high) - math.erf(low)) / 2 < 1e-3:
        raise ValueError(f"trunc_normal_: almost nothing of a normal({mean}, {std}) lies from {a} to {b}")
    draws, dtype = _draws(generator), tensor.dtype
    values = np.asarray(_normal(draws, tensor.shape, mean, std, dtype))
    while (outside := (values < a) | (values > b)).any():
        values[outside] = _normal(draws, (int(outside.sum()),), mean, std, dtype)
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, as far as it fits a tensor of two dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected 2 dimensions, got shape {tensor.shape}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Uniform in ±gain · sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Normal with standard deviation gain · sqrt(2 / (fan_in + fan_out)). Source: as `xavier_uniform_`."""
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:
    """Uniform in ±gain · sqrt(3 / fan).

    a: the slope below zero of the leaky ReLU that follows.
    mode: "fan_in" keeps the variance going forward, "fan_out" going backward.
    nonlinearity: what `calculate_gain` knows.

    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan). Arguments and source: as `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: random.Generator | None = None) -> Tensor:
    """A matrix whose rows or columns, the fewer of them, are orthonormal, times `gain`; later dimensions are
    flattened.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2013.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected 2 or more dimensions, got shape {tensor.shape}")
    rows = tensor.shape[0]
    columns = tensor._data.size // max(rows, 1)
    q, r = np.linalg.qr(_draws(generator).standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # without this the distribution would not be uniform
    return _fill(tensor, (gain * (q if rows >= columns else q.T)).reshape(tensor.shape))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much wider weights must be so that the variance survives the activation that follows.

    1 for "linear", "sigmoid", "conv1d" and the like; 5/3 for "tanh"; sqrt(2) for "relu";
    sqrt(2 / (1 + slope²)) for "leaky_relu" with the slope `param` (0.01); 3/4 for "selu".

    >>> calculate_gain("leaky_relu", 0.2)
    1.3867504905630728
    """
    if nonlinearity in ("linear", "identity", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in gains:
        raise ValueError(
            "calculate_gain: expected linear, identity, sigmoid, conv1d to conv3d, tanh, relu, leaky_relu "
            f"or selu, got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(name, tensor)[mode == "fan_out"]
    # A layer without inputs has no weights to draw.
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Inputs that reach an output, and outputs that an input reaches, of a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(
            f"{name}: expected a weight of 2 or more dimensions (out, in, ...), got shape {tensor.shape}"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive
