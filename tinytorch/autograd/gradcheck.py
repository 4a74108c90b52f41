"""`gradcheck`: is a gradient right? Compared with finite differences in float64, element by element.

The slope is measured as `(f(x + eps) - f(x - eps)) / (2 eps)`. Its error is about `eps**2` times the third
derivative plus 1e-16 / eps of rounding, which in float64 leaves ten digits at eps = 1e-6, and in float32 none
at all: so float32 is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.autograd.functional import _as_tuple, grad
from tinytorch.autograd.modes import enable_grad, no_grad
from tinytorch.autograd.registry import new_tensor
from tinytorch.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient that differs from the slope that was measured, or a function that cannot be checked."""


def gradcheck(
    func: Callable,
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-6,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Whether the gradients of `func` agree with finite differences.

    They do where |analytical - numerical| <= atol + rtol |numerical|, in every element.

    func: takes the inputs, gives a tensor or several; results that are not floating point are left out.
    inputs: a tensor or a tuple; those that require a gradient are checked, and must be float64.
    fast_mode: one random direction for each input instead of every element: a few calls of `func` in all.
    Raises GradcheckError (a RuntimeError), which names the input, the element and both numbers; with
    `raise_exception=False` the answer is False instead.

    Costs 2 calls of `func` for each element of the inputs, a backward pass for each element of the results.

    >>> import numpy as np, tinytorch as tt
    >>> x = tt.Tensor(np.array([0.5, 2.0]), requires_grad=True)
    >>> tt.autograd.gradcheck(lambda x: x.log() * x, x)
    True
    """
    try:
        _check("gradcheck", func, inputs, eps, atol, rtol, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-6,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """`gradcheck` of the gradient itself: whether second derivatives are right.

    grad_outputs: the vectors with which the first gradient is taken (default: random, always the same).
    """
    try:
        tensors = _inputs("gradgradcheck", inputs)
        with enable_grad():
            ys = _outputs(func, tensors)
        if grad_outputs is None:
            generator = np.random.default_rng(0)
            vectors = [new_tensor(generator.uniform(0.5, 1.5, y.shape)) for y in ys]
        else:
            vectors = [v.detach() for v in _as_tuple("gradgradcheck", "grad_outputs", grad_outputs)]
        vectors = tuple(v.requires_grad_() for v in vectors)

        def gradient(*arguments: Any) -> tuple[Tensor, ...]:
            xs, vs = arguments[: len(tensors)], arguments[len(tensors) :]
            wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
            with enable_grad():
                results = zip(_outputs(func, xs), vs, strict=True)
                pairs = [(y, v) for y, v in results if y.requires_grad]
                found = grad(
                    [y for y, _ in pairs],
                    wanted,
                    [v for _, v in pairs],
                    create_graph=True,
                    allow_unused=True,
                )
            return tuple(g for g in found if g is not None)

        _check("gradgradcheck", gradient, (*tensors, *vectors), eps, atol, rtol, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    name: str, func: Callable, inputs: Any, eps: float, atol: float, rtol: float, fast_mode: bool
) -> None:
    tensors = _inputs(name, inputs)
    checked = [i for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
    with enable_grad():
        ys = _outputs(func, tensors)
        again = _outputs(func, tensors)
    if any(not np.array_equal(a._data, b._data, equal_nan=True) for a, b in zip(ys, again, strict=True)):
        raise GradcheckError(
            f"{name}: func gave two different results for the same inputs, so its slope cannot be measured. "
            "Expected a deterministic function: is a random number drawn inside?"
        )
    if name == "gradcheck" and not any(y.requires_grad for y in ys):
        where = next((f": its graph was cut by {y._cut[0]}" for y in ys if y._cut is not None), "")
        raise GradcheckError(f"{name}: no result of func requires a gradient{where}")
    compare = _compare_direction if fast_mode else _compare_elements
    for i in checked:
        compare(name, func, tensors, i, ys, eps, atol, rtol)


def _inputs(name: str, inputs: Any) -> tuple[Any, ...]:
    """The inputs as a tuple, after checking that there is something to check."""
    tensors = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [(i, t) for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise GradcheckError(
            f"{name}: expected at least one input that requires a gradient, got {len(tensors)} that do not."
        )
    for i, tensor in checked:
        if tensor.dtype != np.float64:
            raise GradcheckError(
                f"{name}: expected input {i} to be float64, got {tensor.dtype}, whose rounding is larger "
                "than the differences to measure. Make the inputs with .double() before requires_grad_()."
            )
    return tensors


def _outputs(func: Callable, inputs: Sequence[Any]) -> list[Tensor]:
    """The floating point results of `func`."""
    result = func(*inputs)
    results = [result] if isinstance(result, Tensor) else list(result)
    return [y for y in results if isinstance(y, Tensor) and y._data.dtype.kind == "f"]


def _values(func: Callable, inputs: Sequence[Any], i: int, array: np.ndarray) -> list[np.ndarray]:
    """The results of `func` when input `i` has the values of `array`."""
    replaced = new_tensor(np.asarray(array))  # arithmetic on 0-d arrays gives NumPy scalars
    replaced.requires_grad = True
    with no_grad():
        return [y._data for y in _outputs(func, [*inputs[:i], replaced, *inputs[i + 1 :]])]


def _slopes(func: Callable, inputs: Sequence[Any], i: int, step: np.ndarray, eps: float) -> list[np.ndarray]:
    """How much each result changes when input `i` moves in the direction `step`."""
    base = np.array(inputs[i]._data)
    up, down = _values(func, inputs, i, base + eps * step), _values(func, inputs, i, base - eps * step)
    return [(a - b) / (2 * eps) for a, b in zip(up, down, strict=True)]


def _analytical(ys: Sequence[Tensor], vs: Sequence[np.ndarray], x: Tensor) -> np.ndarray:
    pairs = [(y, new_tensor(v)) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if not pairs:
        return np.zeros(x.shape)
    (g,) = grad([y for y, _ in pairs], x, [v for _, v in pairs], retain_graph=True, allow_unused=True)
    return np.zeros(x.shape) if g is None else g._data


def _compare_elements(
    name: str,
    func: Callable,
    inputs: Sequence[Any],
    i: int,
    ys: Sequence[Tensor],
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    x = inputs[i]
    numerical = [np.empty((*y.shape, *x.shape)) for y in ys]
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = 1.0
        for block, slope in zip(numerical, _slopes(func, inputs, i, step, eps), strict=True):
            block[(..., *at)] = slope
    for j, y in enumerate(ys):
        for at in np.ndindex(y.shape):
            vs = [np.zeros(z.shape) for z in ys]
            vs[j][at] = 1.0
            analytical = _analytical(ys, vs, x)
            measured = numerical[j][at]
            wrong = ~(np.abs(analytical - measured) <= atol + rtol * np.abs(measured))
            if wrong.any():
                worst = tuple(int(k) for k in np.argwhere(wrong)[0])
                raise GradcheckError(
                    f"{name}: wrong gradient of result {j} at {at} with respect to input {i} at {worst} "
                    f"(shapes {y.shape} and {x.shape}): "
                    f"{_both(float(measured[worst]), float(analytical[worst]), atol, rtol)}. "
                    f"{int(wrong.sum())} of the {x._data.size} elements of that input differ."
                )


def _compare_direction(
    name: str,
    func: Callable,
    inputs: Sequence[Any],
    i: int,
    ys: Sequence[Tensor],
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    x = inputs[i]
    generator = np.random.default_rng(i)
    step = generator.uniform(-1.0, 1.0, x.shape)
    vs = [generator.uniform(-1.0, 1.0, y.shape) for y in ys]
    slopes = _slopes(func, inputs, i, step, eps)
    measured = float(sum(np.sum(v * slope) for v, slope in zip(vs, slopes, strict=True)))
    analytical = float(np.sum(_analytical(ys, vs, x) * step))
    if not abs(analytical - measured) <= atol + rtol * abs(measured):
        raise GradcheckError(
            f"{name}: wrong gradient with respect to input {i} (shape {x.shape}), along a random direction: "
            f"{_both(measured, analytical, atol, rtol)}. Use fast_mode=False to find the element."
        )


def _both(measured: float, analytical: float, atol: float, rtol: float) -> str:
    allowed = atol + rtol * abs(measured)
    return (
        f"numerical {measured:.9g}, analytical {analytical:.9g}, "
        f"difference {abs(analytical - measured):.3g}, allowed {allowed:.3g}"
    )
