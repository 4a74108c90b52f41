"""Gradients as functions: `grad`, and the products and matrices of first and second derivatives.

Names, arguments and results follow `torch.autograd` and `torch.autograd.functional`: where `inputs` is one
tensor so is its gradient, where it is a tuple so is that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd import graph
from tinytorch.autograd.modes import enable_grad
from tinytorch.autograd.registry import new_tensor
from tinytorch.tensor import Tensor, seed_gradient

Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """`Tensor.backward` from several tensors in one pass: the gradients of their (weighted) sum."""
    roots = _as_tuple("backward()", "tensors", tensors)
    graph.backward(
        roots,
        _seeds("backward()", roots, grad_tensors),
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to `inputs`: one for each, and no `.grad` is touched.

    grad_outputs: v in v^T J, one for each output, of its shape; may be left out for outputs of one element.
    retain_graph: keep the saved arrays for another pass (default: `create_graph`).
    create_graph: record the pass, so that its results can be differentiated again.
    allow_unused: give None for an input that the outputs do not depend on.
    Raises RuntimeError, naming the input, when one was not used or does not require a gradient.

    Only the part of the graph that lies between outputs and inputs is computed.

    >>> import tinytorch as tt
    >>> x = tt.tensor([2.0, 3.0], requires_grad=True)
    >>> (g,) = tt.autograd.grad((x * x * x).sum(), x, create_graph=True)
    >>> g.tolist()
    [12.0, 27.0]
    >>> tt.autograd.grad(g.sum(), x)[0].tolist()
    [12.0, 18.0]
    """
    roots = _as_tuple("grad()", "outputs", outputs)
    wanted = _as_tuple("grad()", "inputs", inputs)
    for i, tensor in enumerate(wanted):
        if not tensor.requires_grad:
            raise RuntimeError(
                f"grad(): input {i}, of shape {tensor.shape}, does not require a gradient. Expected "
                "requires_grad=True before the outputs were computed from it."
            )
    found = graph.backward(
        roots,
        _seeds("grad()", roots, grad_outputs),
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        inputs=wanted,
    )
    assert found is not None
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise RuntimeError(
                f"grad(): input {i}, of shape {wanted[i].shape}, was not used to compute the outputs. "
                "Pass allow_unused=True to get None for it."
            )
    return tuple(found)


def vjp(
    func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """`(func(*inputs), v^T J)`: the product of a vector with the Jacobian, for one backward pass.

    v: of the shape of the result (a tuple for several); may be left out for a result of one element.
    strict: an input that the result does not depend on is an error, not zeros.
    """
    xs, one_input = _prepare("vjp()", inputs, create_graph)
    with enable_grad():
        ys, one_output = _call("vjp()", func, xs)
        gradients = _gradients("vjp()", ys, xs, _vectors("vjp()", ys, v), create_graph, strict)
    return _pack(_finish(ys, create_graph), one_output), _pack(gradients, one_input)


def jvp(
    func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """`(func(*inputs), J v)`: the derivative in the direction `v`, of the inputs' shapes.

    v^T J is linear in v, and its Jacobian with respect to v is J^T: so J v is the gradient of a gradient, for
    two backward passes (Townsend, "A new trick for calculating Jacobian vector products", 2017).
    """
    xs, _ = _prepare("jvp()", inputs, create_graph)
    vs = _vectors("jvp()", xs, v)
    with enable_grad():
        ys, one_output = _call("jvp()", func, xs)
        dummies = tuple(_zeros(y).requires_grad_() for y in ys)
        gradients = _gradients("jvp()", ys, xs, dummies, True, strict)
        used = [(g, w) for g, w in zip(gradients, vs, strict=True) if g.requires_grad]
        products = _gradients(
            "jvp()", [g for g, _ in used], dummies, [w for _, w in used], create_graph, False
        )
    return _pack(_finish(ys, create_graph), one_output), _pack(products, one_output)


def jacobian(func: Callable, inputs: Tensors, create_graph: bool = False, strict: bool = False) -> Any:
    """All first derivatives: for a result y and an input x a tensor of shape `(*y.shape, *x.shape)`.

    Several inputs give a tuple (one for each input), several results a tuple of those. One backward pass for
    each element of the result.

    >>> import tinytorch as tt
    >>> tt.autograd.functional.jacobian(lambda x: x * x, tt.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    xs, one_input = _prepare("jacobian()", inputs, create_graph)
    with enable_grad():
        ys, one_output = _call("jacobian()", func, xs)
        blocks = [_pack(_jacobian_of(y, xs, create_graph, strict), one_input) for y in ys]
    return _pack(blocks, one_output)


def hessian(func: Callable, inputs: Tensors, create_graph: bool = False, strict: bool = False) -> Any:
    """All second derivatives of a function with a result of one element.

    For one input x a tensor of shape `(*x.shape, *x.shape)`; for several a tuple of tuples of such blocks.
    One backward pass for each element of the inputs.

    >>> import tinytorch as tt
    >>> tt.autograd.functional.hessian(lambda x: (x * x * x).sum(), tt.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    one_input = isinstance(inputs, Tensor)

    def gradient(*xs: Tensor) -> tuple[Tensor, ...]:
        ys, _ = _call("hessian()", func, xs)
        _expect_scalar("hessian()", ys)
        return tuple(_gradients("hessian()", ys, xs, _vectors("hessian()", ys, None), True, strict))

    blocks = jacobian(gradient, (inputs,) if one_input else inputs, create_graph, strict)
    return blocks[0][0] if one_input else blocks


def hvp(func: Callable, inputs: Tensors, v: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """`(func(*inputs), H v)` for a function with a result of one element, without building H: two passes."""
    xs, one_input = _prepare("hvp()", inputs, True)
    vs = _vectors("hvp()", xs, v)
    with enable_grad():
        ys, one_output = _call("hvp()", func, xs)
        _expect_scalar("hvp()", ys)
        gradients = _gradients("hvp()", ys, xs, _vectors("hvp()", ys, None), True, strict)
        products = _gradients("hvp()", gradients, xs, vs, create_graph, strict)
    return _pack(_finish(ys, create_graph), one_output), _pack(products, one_input)


# --- the parts they share -------------------------------------------------------------------------------


def _as_tuple(caller: str, what: str, value: Any) -> tuple[Tensor, ...]:
    tensors = (value,) if isinstance(value, Tensor) else tuple(value)
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{caller}: expected a tensor in {what}[{i}], got {type(tensor).__name__}")
    if not tensors:
        raise ValueError(f"{caller}: expected at least one tensor in {what}, got none")
    return tensors


def _seeds(caller: str, roots: Sequence[Tensor], gradients: Any) -> list[Tensor]:
    given = _one_each(caller, roots, gradients)
    return [seed_gradient(root, gradient, caller) for root, gradient in zip(roots, given, strict=True)]


def _one_each(caller: str, tensors: Sequence[Tensor], values: Any) -> tuple[Any, ...]:
    """`values` as a tuple with one for each of `tensors`."""
    if values is None:
        return (None,) * len(tensors)
    given = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    if len(given) != len(tensors):
        raise ValueError(f"{caller}: expected {len(tensors)} vectors, one for each tensor, got {len(given)}")
    return given


def _prepare(caller: str, inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """Fresh tensors to differentiate by; with `create_graph` they stay connected to the caller's."""
    xs = []
    for x in _as_tuple(caller, "inputs", inputs):
        connected = create_graph and x.requires_grad
        with enable_grad():
            xs.append(x.reshape(x.shape) if connected else x.detach().requires_grad_())
    return tuple(xs), isinstance(inputs, Tensor)


def _call(caller: str, func: Callable, xs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], bool]:
    result = func(*xs)
    return _as_tuple(caller, "the result of func", result), isinstance(result, Tensor)


def _vectors(caller: str, tensors: Sequence[Tensor], v: Any) -> tuple[Tensor, ...]:
    """`v` checked against the tensors it belongs to; ones where it is left out and they have one element."""
    vectors = []
    for tensor, vector in zip(tensors, _one_each(caller, tensors, v), strict=True):
        if vector is None:
            if tensor._data.size != 1:
                raise RuntimeError(f"{caller}: expected v of shape {tensor.shape}, got none")
            vector = new_tensor(np.ones(tensor.shape, tensor.dtype))
        vector = vector if isinstance(vector, Tensor) else Tensor(vector)
        if vector.shape != tensor.shape:
            raise RuntimeError(f"{caller}: expected v of shape {tensor.shape}, got {vector.shape}")
        vectors.append(vector)
    return tuple(vectors)


def _gradients(
    caller: str,
    ys: Sequence[Tensor],
    xs: Sequence[Tensor],
    vs: Sequence[Tensor],
    create_graph: bool,
    strict: bool,
) -> tuple[Tensor, ...]:
    """v^T J for each of `xs`, zeros (strict: an error) where nothing depends on it."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if strict:
        for y in ys:
            seed_gradient(y, _zeros(y), caller)
    if not pairs:
        return tuple(_zeros(x) for x in xs)
    found = grad(
        [y for y, _ in pairs],
        xs,
        [v for _, v in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=not strict,
    )
    return tuple(_zeros(x) if g is None else g for x, g in zip(xs, found, strict=True))


def _jacobian_of(y: Tensor, xs: Sequence[Tensor], create_graph: bool, strict: bool) -> list[Tensor]:
    rows = []
    for i in range(y._data.size):
        one = np.zeros(y._data.size, y.dtype)
        one[i] = 1
        rows.append(
            _gradients("jacobian()", [y], xs, [new_tensor(one.reshape(y.shape))], create_graph, strict)
        )
    if not rows:
        return [new_tensor(np.zeros(y.shape + x.shape, x.dtype)) for x in xs]
    columns = zip(*rows, strict=True)
    return [
        ops.cat([g.reshape(1, x._data.size) for g in column]).reshape(y.shape + x.shape)
        for x, column in zip(xs, columns, strict=True)
    ]


def _expect_scalar(caller: str, ys: Sequence[Tensor]) -> None:
    if len(ys) != 1 or ys[0]._data.size != 1:
        shapes = ", ".join(str(y.shape) for y in ys)
        raise RuntimeError(
            f"{caller}: expected func to give one tensor with one element, got shape {shapes}. "
            "Reduce it with .sum()."
        )


def _zeros(like: Tensor) -> Tensor:
    return new_tensor(np.zeros(like.shape, like.dtype))


def _finish(tensors: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    return tuple(tensors) if create_graph else tuple(t.detach() for t in tensors)


def _pack(values: Sequence[Any], alone: bool) -> Any:
    return values[0] if alone else tuple(values)
