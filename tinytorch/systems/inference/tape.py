"""A model's forward pass as a list of operations on ndarrays: traced once, then replayed without the model.

What is left out is Python's way to each operation: modules, hooks, tensors and checks for a graph. Operations
on weights alone are carried out while tracing, those whose result nobody reads are dropped, and a ReLU or
GELU goes into the operation before it where that can do it while it writes its result.

A trace sees operations, not the Python between them. Whatever else a forward pass computes from its input
(through `.numpy()`, `.item()`, or kernels that are called directly) would be frozen into a constant, so a
model is run on two inputs and refused where these runs differ in anything but the values of their results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.modes import inference_mode
from tinytorch.autograd.registry import Op
from tinytorch.tensor import Tensor

Arrays = tuple[np.ndarray, ...]
_ACTIVATED = {"linear", "conv2d", "batch_norm"}  # ops that can apply a ReLU; linear a GELU too


class CannotTrace(ValueError):
    """A model whose forward pass is more than its operations."""


@dataclass(frozen=True)
class Step:
    """One operation: from which values (None: a tensor that was left out), with what, into which value."""

    op: Op
    sources: tuple[int | None, ...]
    params: dict[str, Any]
    target: int

    def __str__(self) -> str:
        activation = self.params.get("activation")
        return self.op.name + (f"+{activation}" if activation else "")


class Tape:
    """`Tape.of(function, inputs)`: the operations of `function(*tensors)`, for inputs of this kind and shape.

    Called with ndarrays it returns ndarrays: one, or a tuple where the function returned several tensors.
    steps: in order. Every value is let go of after the last step that reads it.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        constants: dict[int, np.ndarray],
        inputs: int,
        outputs: Sequence[int],
        single: bool,
    ):
        self.steps = tuple(steps)
        self._inputs, self._outputs, self._single = inputs, tuple(outputs), single
        last = {source: step.target for step in steps for source in step.sources if source is not None}
        kept = {*outputs, *constants, *range(inputs)}
        # Numbers of values are dense, so that a run is a walk over one list.
        self._blank: list[Any] = [None] * (
            1 + max([inputs - 1, *constants, *(s.target for s in steps)], default=0)
        )
        for number, array in constants.items():
            self._blank[number] = array
        self._walk = [
            (
                step.op,
                step.sources,
                step.params,
                step.target,
                tuple(
                    {s for s in step.sources if s is not None and s not in kept and last[s] == step.target}
                ),
            )
            for step in steps
        ]

    @classmethod
    def of(cls, function: Callable[..., Any], inputs: Sequence[np.ndarray], *, seed: int = 0) -> Tape:
        """Trace `function` on `inputs`, and once more on others like them, and compare.

        Raises CannotTrace, which says why, where the result cannot come from the operations alone.
        """
        rng = np.random.default_rng(seed)
        first = _Trace(function, tuple(inputs))
        second = _Trace(function, tuple(_another(array, rng) for array in inputs))
        _compare(first, second)
        tape = first.tape()
        for trace in (first, second):
            found = tape(*trace.inputs)
            for one, other in zip(
                found if isinstance(found, tuple) else (found,), trace.outputs, strict=True
            ):
                if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                    raise CannotTrace(
                        "the recorded operations do not give the model's result: it changes an array in "
                        "place, or computes beside its operations"
                    )
        return tape

    def __call__(self, *inputs: np.ndarray) -> Any:
        """Replay: ndarrays in, ndarrays out."""
        values = self._blank.copy()
        values[: self._inputs] = inputs
        for op, sources, params, target, dead in self._walk:
            out = op.forward(*[None if i is None else values[i] for i in sources], **params)
            values[target] = out = out[0] if op.extras else out
            for number in dead:
                values[number] = None
        if self._single:
            return values[self._outputs[0]]
        return tuple([values[number] for number in self._outputs])


class _Trace:
    """One watched run: operations with their arguments as numbers of values."""

    def __init__(self, function: Callable[..., Any], inputs: Arrays):
        self.inputs = inputs
        self.steps: list[Step] = []
        self.constants: dict[int, np.ndarray] = {}  # values that no operation made, in the order of their use
        self._values: list[np.ndarray] = list(inputs)  # alive, so that identities stay theirs
        self._numbers = {id(array): number for number, array in enumerate(inputs)}
        self._derived = set(range(len(inputs)))
        registry.observers.append(self._observe)
        try:
            with inference_mode():
                result = function(*(Tensor(array) for array in inputs))
        finally:
            registry.observers.remove(self._observe)
        self.single = isinstance(result, Tensor)
        tensors = (result,) if self.single else result
        if not isinstance(tensors, (tuple, list)) or not all(isinstance(t, Tensor) for t in tensors):
            raise CannotTrace(
                f"expected a model that returns a tensor or several, got {type(result).__name__}"
            )
        self.outputs = tuple(t._data for t in tensors)
        self.results = [self._number_of(array) for array in self.outputs]

    def _number_of(self, array: np.ndarray) -> int:
        number = self._numbers.get(id(array))
        if number is None:
            number = self._add(array)
            self.constants[number] = array
        return number

    def _add(self, array: np.ndarray) -> int:
        number = len(self._values)
        self._values.append(array)
        self._numbers[id(array)] = number
        return number

    def _observe(self, op: Op, inputs: Sequence[Any], params: dict, result: Any) -> None:
        sources = tuple(None if t is None else self._number_of(t._data) for t in inputs)
        target = self._add(result._data)
        self.steps.append(Step(op, sources, dict(params), target))
        if not self._derived.isdisjoint(sources):
            self._derived.add(target)

    def tape(self) -> Tape:
        """The operations that the results depend on, with activations where they can be applied at once."""
        steps = [step for step in self.steps if step.target in self._derived]
        constant = {n for step in steps for n in step.sources if n is not None and n not in self._derived}
        constant |= {n for n in self.results if n not in self._derived}
        steps = _fuse(_needed(steps, self.results), self.results)
        read = {n for step in steps for n in step.sources} | set(self.results)
        constants = {n: self._values[n] for n in constant if n in read}
        return Tape(steps, constants, len(self.inputs), self.results, self.single)


def _needed(steps: list[Step], results: Sequence[int]) -> list[Step]:
    wanted, kept = set(results), []
    for step in reversed(steps):
        if step.target in wanted:
            wanted.update(n for n in step.sources if n is not None)
            kept.append(step)
    return kept[::-1]


def _fuse(steps: list[Step], results: Sequence[int]) -> list[Step]:
    """A ReLU before a pooling goes behind it, a quarter of the work; others into the step before them."""
    return _join(_join(steps, results, _behind), results, _into)


def _join(
    steps: list[Step], results: Sequence[int], rule: Callable[[Step, Step], list[Step] | None]
) -> list[Step]:
    """Replace neighbours, the second the only reader of the first, by what `rule` makes of them."""
    readers: dict[int, int] = dict.fromkeys(results, 2)
    for step in steps:
        for number in step.sources:
            if number is not None:
                readers[number] = readers.get(number, 0) + 1
    joined: list[Step] = []
    for step in steps:
        before = joined[-1] if joined else None
        together = None
        if before is not None and step.sources[0] == before.target and readers[before.target] == 1:
            together = rule(before, step)
        if together is None:
            joined.append(step)
        else:
            joined[-1:] = together
    return joined


def _behind(before: Step, step: Step) -> list[Step] | None:
    if before.op.name != "relu" or step.op.name != "max_pool2d":
        return None
    pool = replace(step, sources=before.sources, target=before.target)
    return [pool, replace(before, sources=(pool.target,), target=step.target)]


def _into(before: Step, step: Step) -> list[Step] | None:
    activation = _activation(step)
    if activation is None or not _takes(before, activation):
        return None
    return [replace(before, params={**before.params, "activation": activation}, target=step.target)]


def _activation(step: Step) -> str | None:
    if step.op.name == "relu":
        return "relu"
    if step.op.name == "gelu":
        return "gelu_tanh" if step.params.get("approximate", "none") == "tanh" else "gelu"
    return None


def _takes(step: Step, activation: str) -> bool:
    if step.op.name not in _ACTIVATED or step.params.get("activation") is not None:
        return False
    return activation == "relu" or step.op.name == "linear"


def _compare(first: _Trace, second: _Trace) -> None:
    one, other = ([step.op.name for step in trace.steps] for trace in (first, second))
    if one != other:
        raise CannotTrace("other inputs of the same shape go through other operations")
    if first.results != second.results or set(first.constants) != set(second.constants):
        raise CannotTrace("other inputs of the same shape connect the operations in another way")
    for a, b in zip(first.steps, second.steps, strict=True):
        if a.sources != b.sources:
            raise CannotTrace(f"'{a.op.name}' reads other values for other inputs of the same shape")
        if not _same(a.params, b.params):
            raise CannotTrace(f"a parameter of '{a.op.name}' depends on the values of the input")
    for number, array in first.constants.items():
        if not _same(array, second.constants[number]):
            user = next((s.op.name for s in first.steps if number in s.sources), None)
            raise CannotTrace(
                ("the result" if user is None else f"an argument of '{user}'")
                + f", of shape {array.shape}, is computed from the input outside of the operations"
            )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if a is b:
            return True
        alike = isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype
        return alike and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _same(a._data, b._data)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or bool(a == b)


def _another(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An input like `array` with other values: the same in another order, and floats with noise."""
    mixed = rng.permutation(array.ravel()).reshape(array.shape)
    if array.dtype.kind != "f" or not array.size:
        return mixed
    spread = float(np.std(array, dtype=np.float64)) if np.isfinite(array).all() else 1.0
    return (mixed + 0.5 * (spread or 1.0) * rng.standard_normal(array.shape)).astype(array.dtype)
