"""Activation functions and their gradients, each one pass over memory.

A gradient takes what is cheapest to keep: the output y where the derivative is a function of it (relu,
sigmoid, tanh), otherwise the input x.  All take float32 or float64 arrays of any layout and return a new
C-contiguous array; NaN goes in and comes out.
"""

from __future__ import annotations

import math

import numpy as np

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import binary, binary_with, unary, unary_with

_COSTLY = 8192  # elements: an exponential each is worth a second thread from here on
_SQRT_HALF = math.sqrt(0.5)
_NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)
_TWO_Z = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


@kernel(inline=True)
def _relu_of(x):
    return type(x)(0) if x <= 0 else x


@kernel(inline=True)
def relu_grad_of(g, y):
    """`relu_grad` of one number; this and the next public ones are for kernels that fuse them."""
    return type(g)(0) if y <= 0 else g


@kernel(inline=True)
def _leaky_relu_of(x, slope, _):
    return x * slope if x <= 0 else x


@kernel(inline=True)
def _leaky_relu_grad_of(g, x, slope, _):
    return g * slope if x <= 0 else g


@kernel(inline=True)
def _sigmoid_grad_of(g, y):
    return g * y * (type(y)(1) - y)


@kernel(inline=True)
def _tanh_grad_of(g, y):
    return g * (type(y)(1) - y * y)


@kernel(inline=True)
def gelu_of(x):
    """`gelu` of one number."""
    kind = type(x)
    return kind(0.5) * x * (kind(1) + vecmath.erf(x * kind(_SQRT_HALF)))


@kernel(inline=True)
def gelu_grad_of(g, x):
    """`gelu_grad` of one number."""
    kind = type(x)
    cdf = kind(0.5) * (kind(1) + vecmath.erf(x * kind(_SQRT_HALF)))
    pdf = kind(_NORMAL_PEAK) * vecmath.normal_exp(kind(-0.5) * x * x)
    return g * (cdf + x * pdf)


@kernel(inline=True)
def gelu_tanh_of(x):
    """0.5 * x * (1 + tanh(z)) is x / (1 + exp(-2 * z)), which keeps its digits for negative x."""
    kind = type(x)
    return x / (kind(1) + vecmath.normal_exp(-kind(_TWO_Z) * x * (kind(1) + kind(_GELU_CUBIC) * x * x)))


@kernel(inline=True)
def gelu_tanh_grad_of(g, x):
    """`gelu_grad` of one number, of the approximation."""
    kind = type(x)
    s = kind(1) / (kind(1) + vecmath.normal_exp(-kind(_TWO_Z) * x * (kind(1) + kind(_GELU_CUBIC) * x * x)))
    slope = kind(_TWO_Z) * (kind(1) + kind(3 * _GELU_CUBIC) * x * x)
    return g * s * (kind(1) + x * (kind(1) - s) * slope)


@kernel(inline=True)
def _silu_of(x):
    return x * vecmath.sigmoid(x)


@kernel(inline=True)
def _silu_grad_of(g, x):
    s = vecmath.sigmoid(x)
    return g * s * (type(x)(1) + x * (type(x)(1) - s))


@kernel(inline=True)
def _softplus_of(x, beta, threshold):
    z = x * beta
    positive = z if z > 0 else type(z)(0)
    smooth = (positive + vecmath.log1p(vecmath.exp(-abs(z)))) / beta
    return x if z > threshold else smooth


@kernel(inline=True)
def _softplus_grad_of(g, x, beta, threshold):
    z = x * beta
    return g if z > threshold else g * vecmath.sigmoid(z)


@kernel(inline=True)
def _elu_of(x, alpha, _):
    return alpha * vecmath.expm1(x) if x <= 0 else x


@kernel(inline=True)
def _elu_grad_of(g, x, alpha, _):
    return g * alpha * vecmath.exp(x) if x <= 0 else g


_relu = unary("relu", _relu_of)
_relu_grad = binary("relu_grad", relu_grad_of)
_leaky_relu = unary_with("leaky_relu", _leaky_relu_of)
_leaky_relu_grad = binary_with("leaky_relu_grad", _leaky_relu_grad_of)
_sigmoid = unary("sigmoid", vecmath.sigmoid, _COSTLY)
_sigmoid_grad = binary("sigmoid_grad", _sigmoid_grad_of)
_tanh = unary("tanh", vecmath.tanh, _COSTLY)
_tanh_grad = binary("tanh_grad", _tanh_grad_of)
_gelu = unary("gelu", gelu_of, _COSTLY)
_gelu_grad = binary("gelu_grad", gelu_grad_of, _COSTLY)
_gelu_tanh = unary("gelu_tanh", gelu_tanh_of, _COSTLY)
_gelu_tanh_grad = binary("gelu_tanh_grad", gelu_tanh_grad_of, _COSTLY)
_silu = unary("silu", _silu_of, _COSTLY)
_silu_grad = binary("silu_grad", _silu_grad_of, _COSTLY)
_softplus = unary_with("softplus", _softplus_of, _COSTLY)
_softplus_grad = binary_with("softplus_grad", _softplus_grad_of, _COSTLY)
_elu = unary_with("elu", _elu_of, _COSTLY)
_elu_grad = binary_with("elu_grad", _elu_grad_of, _COSTLY)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), and NaN where x is NaN.

    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _relu(x)


def relu_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g where the output y of `relu` is positive, else 0."""
    return _relu_grad(g, y)


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope * x."""
    return _leaky_relu(x, slope)


def leaky_relu_grad(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """g where the input x of `leaky_relu` is positive, else slope * g."""
    return _leaky_relu_grad(g, x, slope)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), exact to the last digits at both ends."""
    return _sigmoid(x)


def sigmoid_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g * y * (1 - y), from the output y of `sigmoid`."""
    return _sigmoid_grad(g, y)


def tanh(x: np.ndarray) -> np.ndarray:
    """Hyperbolic tangent."""
    return _tanh(x)


def tanh_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g * (1 - y * y), from the output y of `tanh`."""
    return _tanh_grad(g, y)


def gelu(x: np.ndarray, tanh: bool = False) -> np.ndarray:
    """x * Phi(x), Phi the normal distribution function; `tanh` takes the approximation that GPT-2 uses.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
    """
    return _gelu_tanh(x) if tanh else _gelu(x)


def gelu_grad(g: np.ndarray, x: np.ndarray, tanh: bool = False) -> np.ndarray:
    """g * d gelu(x) / dx, from the input x."""
    return _gelu_tanh_grad(g, x) if tanh else _gelu_grad(g, x)


def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x), also called swish."""
    return _silu(x)


def silu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    return _silu_grad(g, x)


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    return _softplus(x, beta, threshold)


def softplus_grad(g: np.ndarray, x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """g * sigmoid(beta * x), from the input x of `softplus`; g where beta * x > threshold."""
    return _softplus_grad(g, x, beta, threshold)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    return _elu(x, alpha)


def elu_grad(g: np.ndarray, x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """g where the input x of `elu` is positive, else g * alpha * exp(x)."""
    return _elu_grad(g, x, alpha)
