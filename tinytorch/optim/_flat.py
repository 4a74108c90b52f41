"""Parameters of one dtype laid end to end in one buffer, so that one kernel launch updates them all."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinytorch.kernels import memory
from tinytorch.tensor import Tensor

Array = np.ndarray

# The first field of an array object behind Python's header is the address of its elements: it is part of
# NumPy's binary interface. Reading it there takes 0.1 µs; `array.ctypes.data` takes 1 µs, six times in a step
# of an MLP.
_HEADER = object.__basicsize__
_read_pointer = ctypes.c_void_p.from_address


def _documented_address(array: Array) -> int:
    return array.ctypes.data


def _direct_address(array: Array) -> int:
    return _read_pointer(id(array) + _HEADER).value or 0


_probe = np.zeros(1)
address_of = (
    _direct_address if _direct_address(_probe) == _documented_address(_probe) else _documented_address
)


class FlatParameters:
    """Moves `params` into one buffer, of which each keeps a view, and holds the optimiser's state beside it.

    A parameter whose `.data` is replaced later is copied back into the buffer at the next step.
    """

    def __init__(self, params: Sequence[Tensor]):
        self.params = list(params)
        sizes = [p._data.size for p in self.params]
        self.dtype = self.params[0]._data.dtype
        self.offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self.data = memory.empty((int(self.offsets[-1]),), self.dtype)
        self.addresses = np.zeros(len(self.params), np.int64)
        self.state: dict[str, Array] = {}
        self.steps = [0] * len(self.params)
        self._rows = []
        for i, p in enumerate(self.params):
            view = self.data[self.offsets[i] : self.offsets[i + 1]].reshape(p._data.shape)
            view[...] = p._data
            p._data = view
            if p._counter is None:
                p._counter = [0, 0]
            self._rows.append((p, view, p._counter, view.shape))

    def buffer(self, name: str) -> Array:
        """The flat state buffer `name`, made of zeros when it is asked for the first time."""
        buffer = self.state.get(name)
        if buffer is None:
            buffer = self.state[name] = memory.zeros(self.data.shape, self.dtype)
        return buffer

    def view(self, name: str, index: int) -> Array:
        """The part of the state buffer `name` that belongs to one parameter, in its shape."""
        start, stop = self.offsets[index], self.offsets[index + 1]
        return self.buffer(name)[start:stop].reshape(self.params[index]._data.shape)

    def collect(self) -> Iterator[tuple[Array, int]]:
        """Count the step, and give, for parameters that have taken as many steps, their gradients' addresses.

        Gives pairs (addresses, number of steps with this one): one, unless some parameters had no gradient
        before. The address is 0 where there is no gradient: such a parameter takes no step. The versions of
        the others go up, so that a graph that was kept from before the update refuses to run backward.
        """
        addresses, steps, dtype = self.addresses, self.steps, self.dtype
        converted: list[Array] = []  # keeps copies alive until the kernel has read them
        even = True
        present = 0
        for i, (p, view, counter, shape) in enumerate(self._rows):
            grad = p.grad
            if grad is None:
                addresses[i] = 0
            else:
                array = grad._data
                if array.dtype is not dtype or array.shape != shape or not array.flags.c_contiguous:
                    array = _fitting(array, shape, dtype)
                    converted.append(array)
                addresses[i] = address_of(array)
                if p._data is not view:
                    self._take_back(i, p, view)
                counter[0] += 1
                steps[i] = step = steps[i] + 1
                if step != present:
                    even = not present
                    present = step
        if even:
            if present:
                yield addresses, present
            return
        counts, everyone = np.array(steps), addresses.copy()
        for step in sorted(set(counts[everyone != 0].tolist())):
            yield np.where(counts == step, everyone, 0), step

    def _take_back(self, index: int, p: Tensor, view: Array) -> None:
        if p._data.shape != view.shape or p._data.dtype != view.dtype:
            raise RuntimeError(
                f"optimizer: parameter {index} of its group was {view.dtype} of shape {view.shape} when the "
                f"optimizer was made, and is now {p._data.dtype} of shape {p._data.shape}. Make a new "
                "optimizer after such a change."
            )
        np.copyto(view, p._data)
        p._data = view

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatParameters:
        other = FlatParameters(copy.deepcopy(self.params, memo))
        other.steps = list(self.steps)
        other.state = {name: buffer.copy() for name, buffer in self.state.items()}
        return other


def _fitting(array: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """A gradient that somebody assigned, as the kernel needs it."""
    if array.shape != shape:
        raise RuntimeError(
            f"optimizer: expected a gradient of the parameter's shape {shape}, got {array.shape}"
        )
    return np.ascontiguousarray(array, dtype)
