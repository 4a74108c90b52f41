"""One record for every differentiable operation, and the one place where an operation is carried out.

An op is a function on ndarrays with its gradient rule beside it::

    @op(saves="output", samples=lambda s: [Sample(s(3, 4))], reference=np.tanh)
    def tanh(x, /):
        return kernels.tanh(x)

    @tanh.gradient
    def _(ctx, g):
        return tanh_grad(g, ctx.output)

The positional-only arguments are tensors (or None), the others are parameters.  A rule receives the node of
the graph and the gradient of the result, and returns one gradient for each tensor argument (None where
`ctx.needs` says that nobody asks).  It is written with differentiable ops, so derivatives of any order close.
It never undoes broadcasting or casts: `graph.py` does that once, for all.

A rule that only calls ops (no methods or operators of tensors) says so: `@tanh.gradient(arrays=True)`.  Where
nobody differentiates or watches the backward pass it is run on ndarrays, without a tensor around each.  What
it cannot do so it declines: it returns NotImplemented, and is run on tensors.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch.autograd.anomaly import call_site, check_forward
from tinytorch.autograd.modes import modes

_order = itertools.count(1)
# Names that PyTorch or NumPy has for a parameter of ours, and PyTorch's for the first two tensors.
_OTHER_NAMES = {"axis": "dim", "keepdims": "keepdim", "unbiased": "correction"}
_TENSOR_NAMES = {"input": 0, "other": 1, "exponent": 1}
REGISTRY: dict[str, Op] = {}
observers: list[Callable[[Op, Sequence[Any], dict, Any], None]] = []  # called after every operation


@dataclass(frozen=True)
class Sample:
    """Arguments with which the tests try an op.

    smooth: the op is differentiable there, so finite differences can check it.
    """

    args: tuple
    params: dict = field(default_factory=dict)
    smooth: bool = True

    def __init__(self, *args: Any, smooth: bool = True, **params: Any):
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "smooth", smooth)


@dataclass(frozen=True)
class Refusal:
    """Arguments that an op must refuse: with which exception, and what its text must say (a regex)."""

    args: tuple
    params: dict
    error: type[Exception]
    text: str


@dataclass
class Op:
    """Everything that anyone needs to know about one operation."""

    name: str
    forward: Callable[..., Any]
    saves: tuple[int, ...] = ()
    saves_output: bool = False
    output_if: str | None = None
    extras: bool = False
    view: bool = False
    differentiable: bool = True
    constants: tuple[int, ...] = ()
    cost: Callable[..., float] | None = None
    samples: Callable[[Any], list[Sample]] | None = None
    refuses: Callable[[Any], list[Refusal]] | None = None
    reference: Callable[..., Any] | None = None
    oracle: Callable[..., Any] | None = None
    rule: Callable[[Node, Any], Any] | None = None
    rule_on_arrays: bool = False

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.forward).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.tensors = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        self.arity = len(self.tensors)
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.parameters = tuple(p.name for p in named)
        self.known = frozenset(self.parameters)
        functools.update_wrapper(self, self.forward)  # signature, docstring and doctest of a plain function
        self.__name__ = self.name

    def gradient(self, rule: Callable[[Node, Any], Any] | None = None, *, arrays: bool = False) -> Any:
        """Decorator: `rule(ctx, g)` gives the gradients of the tensor arguments.

        arrays: the rule only calls ops, so it is as good on ndarrays.
        """
        if rule is None:
            return functools.partial(self.gradient, arrays=arrays)
        self.rule, self.rule_on_arrays = rule, arrays
        return rule

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Carry out the operation on tensors, numbers or arrays; all may be given by position or by name."""
        if modes.arrays:
            return self.forward(*args, **params)
        if len(args) > self.arity and not self.variadic:
            params.update(zip(self.parameters, args[self.arity :], strict=False))
            if len(args) - self.arity > len(self.parameters):
                most = self.arity + len(self.parameters)
                raise TypeError(f"{self.name}: expected at most {most} arguments, got {len(args)}")
            args = args[: self.arity]
        for name in params:
            if name not in self.known:
                args, params = self._by_name(args, params)
                break
        return apply(self, as_tensors(self, args), params)

    def _by_name(self, args: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """`args` with the tensors given by name in their places, and the parameters under our own names."""
        tensors, params = dict(enumerate(args)), {}
        for name, value in named.items():
            place = self.tensors.index(name) if name in self.tensors else _TENSOR_NAMES.get(name)
            if name in self.known or _OTHER_NAMES.get(name) in self.known:
                params[_OTHER_NAMES.get(name, name)] = value
            elif place is None or place >= self.arity:
                expected = ", ".join(self.parameters) or "no other"
                raise TypeError(f"{self.name}: unexpected argument {name!r}; expected {expected}")
            elif place in tensors:
                raise TypeError(f"{self.name}: argument {name!r} was given twice, by position and by name")
            else:
                tensors[place] = value
        for place in range(len(tensors)):
            if place not in tensors:
                raise TypeError(f"{self.name}: expected the tensor {self.tensors[place]!r}, which is missing")
        return tuple(tensors[place] for place in range(len(tensors))), params

    def flops_and_bytes(
        self, arrays: Sequence[Any], params: dict[str, Any], out: np.ndarray
    ) -> tuple[float, float]:
        """FLOPs by the op's cost rule (none: 0), and the least bytes moved: every array touched once."""
        touched = out.nbytes + sum(a.nbytes for a in arrays if a is not None)
        if self.view:
            return 0.0, 0.0
        if self.cost is None:
            return 0.0, float(touched)
        flops = self.cost(*arrays, out=out, **params)
        return float(flops), float(touched)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def op(
    function: Callable | None = None,
    *,
    name: str | None = None,
    saves: str | int | Iterable[str | int] = (),
    **record: Any,
) -> Any:
    """Register `function` (ndarrays and parameters in, an ndarray out) as a differentiable operation.

    saves: what the gradient rule reads: "output", argument positions, or both as ("output", 0).
    output_if: the output is saved only where the parameter of this name is set.
    extras: the function returns `(out, extras)`; the rule finds the second as `ctx.extras`.
    view: the result may share memory with the first argument.
    differentiable: False for operations without a gradient, which cut the graph.
    constants: positions of arguments that have no gradient, so that one which requires it is refused.
    cost: `cost(*arrays, out=..., **params) -> FLOPs`.
    samples, refuses, reference, oracle: what the registry-driven tests use; `oracle(torch, *args, **params)`.
    """

    def register(function: Callable) -> Op:
        wanted = (saves,) if isinstance(saves, (str, int)) else tuple(saves)
        record_ = Op(
            name=name or function.__name__,
            forward=function,
            saves=tuple(w for w in wanted if isinstance(w, int)),
            saves_output="output" in wanted,
            **record,
        )
        if record_.name in REGISTRY:
            raise ValueError(f"op {record_.name!r} is registered twice")
        REGISTRY[record_.name] = record_
        return record_

    return register if function is None else register(function)


class Node:
    """One operation that was carried out: where its gradient comes from and goes to.

    edges: for each argument the node that made it, or the leaf; None where no gradient goes.
    saved: argument -> (tensor, its version). out, counter: the result and its version counter, if saved.
    arrays: the rule is running on ndarrays.
    """

    __slots__ = (
        "arrays", "counter", "dtype", "edges", "extras", "hooks", "needs", "op", "order", "out", "params",
        "released", "saved", "shape", "site",
    )  # fmt: skip

    def __init__(
        self, op: Op, params: dict[str, Any], edges: Sequence[Any], needs: Sequence[bool], out: np.ndarray
    ):
        self.op, self.params, self.edges, self.needs = op, params, edges, needs
        self.order, self.shape, self.dtype = next(_order), out.shape, out.dtype
        self.saved: dict[int, tuple[Any, int]] | None = None
        self.out: np.ndarray | None = None
        self.counter: list[int] | None = None
        self.extras: Any = None
        self.hooks: dict[int, Callable] | None = None
        self.site: str | None = None
        self.released = self.arrays = False

    def __getitem__(self, position: int) -> Any:
        """The tensor argument at `position`, which the op declared in `saves`, as it was."""
        assert self.saved is not None
        tensor, version = self.saved[position]
        counter = tensor._counter
        if counter is not None and counter[0] != version:
            raise RuntimeError(
                f"backward through '{self.op.name}': its argument {position}, of shape {tensor.shape}, was "
                f"changed in place after the operation used it (version {counter[0]}, expected {version}). "
                "Use the out-of-place operation, or change a .clone()."
            )
        return tensor._data if self.arrays else tensor

    def get(self, position: int) -> Any:
        """`self[position]`, or None where that argument was left out."""
        return self[position] if self.saved and position in self.saved else None

    @property
    def output(self) -> Any:
        """The op's result, which it declared in `saves`."""
        assert self.counter is not None
        assert self.out is not None
        if self.counter[0] != 0:
            raise RuntimeError(
                f"backward through '{self.op.name}': its result, of shape {self.shape}, was changed in place "
                f"(version {self.counter[0]}, expected 0) but its gradient needs it. "
                "Use the out-of-place operation, or change a .clone()."
            )
        if self.arrays:
            return self.out
        result = new_tensor(self.out)
        result.requires_grad, result._node, result._counter = True, self, self.counter
        return result

    def release(self) -> None:
        """Drop what the rule reads; one that reads nothing can run again."""
        if self.saved is not None or self.out is not None or self.extras is not None:
            self.saved = self.out = self.extras = None
            self.released = True

    def shape_of(self, position: int) -> tuple[int, ...]:
        """Shape of the argument at `position`, for which a gradient is needed."""
        return self.edges[position].shape

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.shape}>"


_tensor_class: Any = None  # set by tensor.py, which stands above this file


def set_tensor_class(cls: type) -> None:
    """Tell the registry what its results are."""
    global _tensor_class
    _tensor_class = cls


def new_tensor(array: np.ndarray) -> Any:
    """A tensor around `array`: no copy, no checks, no gradient."""
    tensor = _tensor_class.__new__(_tensor_class)
    tensor._data = array
    return tensor


def as_tensors(op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """The tensor arguments of an op; a Python number takes the first tensor's dtype, arrays keep theirs."""
    cls = _tensor_class
    for argument in args:
        if not (argument is None or type(argument) is cls or isinstance(argument, cls)):
            break
    else:
        return args
    tensors = []
    for argument in args:
        if isinstance(argument, _tensor_class) or argument is None:
            tensors.append(argument)
        elif isinstance(argument, (bool, int, float, np.ndarray, np.generic, list, tuple)):
            first = next((a for a in args if isinstance(a, _tensor_class)), None)
            tensors.append(new_tensor(_as_array(argument, None if first is None else first._data.dtype)))
        else:
            kind = type(argument).__name__
            raise TypeError(f"{op.name}: expected a tensor, a number or an array, got {kind}")
    return tensors


def _as_array(value: Any, like: np.dtype | None) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        if like is None:
            return np.asarray(value)
        value = value.item()  # next to a tensor it is a number like any other
    if like is not None and isinstance(value, bool):
        return np.asarray(value, like if like.kind == "f" else np.bool_)
    if like is not None and isinstance(value, (int, float) if like.kind == "f" else int):
        try:
            return np.asarray(value, like if like.kind in "fiu" else None)
        except OverflowError:  # it stays int64 where that is wide enough: `promote` wraps it, `<` compares it
            pass
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected a tensor or numbers, got {value!r}, which NumPy reads as {array.dtype}")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def apply(op: Op, inputs: Sequence[Any], params: dict) -> Any:
    """Carry out `op`, and record it where a gradient is wanted."""
    arrays = []
    wanted = False
    for t in inputs:
        if t is None:
            arrays.append(None)
        else:
            arrays.append(t._data)
            if t.requires_grad:
                wanted = True
    out = op.forward(*arrays, **params)
    extras = None
    if op.extras:
        out, extras = out
    result = new_tensor(out)
    grad = modes.grad
    if not grad and modes.backward:  # inside a gradient rule whose results nobody differentiates
        for observe in observers:
            observe(op, inputs, params, result)
        return result
    if op.view and _shares_memory(out, inputs[0]._data):
        source = inputs[0]
        if source._counter is None:
            source._counter = [0, 0]
        result._counter, result._base = source._counter, source if source._base is None else source._base
        result._seen, result._taken = source._counter[1], (source, op, params)
    if wanted and grad and op.differentiable:
        _record(op, inputs, params, result, extras)
    else:
        _leave_unrecorded(op, inputs, result, grad)
    if modes.anomaly and not modes.backward:
        check_forward(op.name, inputs, result)
    for observe in observers:
        observe(op, inputs, params, result)
    return result


def _shares_memory(out: np.ndarray, source: np.ndarray) -> bool:
    """Whether `out` is a view of `source`; a reshape, for one, may have had to copy."""
    base = out.base
    if out is source or base is source or (base is not None and base is source.base):
        return True
    return np.may_share_memory(out, source)


def _refuse_old_view(op: Op, view: Any) -> None:
    raise RuntimeError(
        f"{op.name}: this view, of shape {view.shape}, was taken before its base was changed in place by an "
        "operation that the graph records, so its gradient would be wrong. Take the view again."
    )


def _leave_unrecorded(op: Op, inputs: Sequence[Any], result: Any, grad: bool) -> None:
    """Note on the result of an operation that has no node where a graph ended, if one did."""
    for t in inputs:
        if t is None:
            continue
        if t.requires_grad:
            result._cut = (f"'{op.name}', which has no gradient," if grad else "no_grad()", op.name)
            return
        if t._base is not None and t._seen != t._counter[1] and grad:
            _refuse_old_view(op, t)
        if t._cut is not None:
            result._cut = t._cut


def _record(op: Op, inputs: Sequence[Any], params: dict, result: Any, extras: Any) -> None:
    edges: list[Any] = []
    needs: list[bool] = []
    for t in inputs:
        if t is None:
            needs.append(False)
            edges.append(None)
            continue
        if t._base is not None and t._seen != t._counter[1]:
            _refuse_old_view(op, t)
        need = t.requires_grad
        if need and op.constants and len(needs) in op.constants:
            raise RuntimeError(
                f"{op.name}: expected argument {len(needs)}, of shape {t.shape}, to be a constant, got one "
                "that requires a gradient, which this operation does not have. Use .detach()."
            )
        needs.append(need)
        edges.append(None if not need else t if t._node is None else t._node)
    node = Node(op, params, edges, needs, result._data)
    node.extras = extras
    if op.saves:
        node.saved = saved = {}
        for i in op.saves:
            t = inputs[i]
            if t is not None:
                saved[i] = (t, 0 if t._counter is None else t._counter[0])
    if op.saves_output and (op.output_if is None or params.get(op.output_if)):
        node.out = result._data
        if result._counter is None:
            result._counter = [0, 0]
        node.counter = result._counter
    if modes.anomaly:
        node.site = call_site()
    result.requires_grad, result._node = True, node
