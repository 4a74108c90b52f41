"""Parameters of one dtype laid end to end in one buffer, so that one kernel launch updates them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinytorch.kernels import memory
from tinytorch.tensor import Tensor

Array = np.ndarray


class FlatParameters:
    """Moves `params` into one buffer, of which each keeps a view, and holds the optimiser's state beside it.

    A parameter whose `.data` is replaced later is copied back into the buffer at the next step.
    """

    def __init__(self, params: Sequence[Tensor]):
        self.params = list(params)
        sizes = [p._data.size for p in self.params]
        self.dtype = np.dtype(self.params[0]._data.dtype.type)  # NumPy's own object, which a copy's is not
        self.offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self.data = memory.empty((int(self.offsets[-1]),), self.dtype)
        self.gradients = np.zeros(len(self.params), np.int64)
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
        """Count the step, and give, for parameters that have taken as many steps, their gradients' ids.

        Gives pairs (ids, number of steps with this one): one, unless some parameters had no gradient before.
        The id is 0 where there is no gradient: such a parameter takes no step. The versions of the others go
        up, so that a graph that was kept from before the update refuses to run backward.

        The ids are good until the next pair is asked for, whatever happens to `p.grad` in the meantime.
        """
        ids, steps, dtype = self.gradients, self.steps, self.dtype
        held = []  # the arrays behind the ids: another thread may take them from their parameters
        even = True
        present = 0
        for i, (p, view, counter, shape) in enumerate(self._rows):
            grad = p.grad
            if grad is None:
                ids[i] = 0
            else:
                array = grad._data
                if array.dtype is not dtype or array.shape != shape or not array.flags.c_contiguous:
                    array = _fitting(array, shape, dtype)
                held.append(array)
                ids[i] = id(array)
                if p._data is not view:
                    self._take_back(i, p, view)
                counter[0] += 1
                steps[i] = step = steps[i] + 1
                if step != present:
                    even = not present
                    present = step
        if even:
            if present:
                yield ids, present
            return
        counts = np.array(steps)
        for step in sorted(set(counts[ids != 0].tolist())):
            yield np.where(counts == step, ids, 0), step

    def _take_back(self, index: int, p: Tensor, view: Array) -> None:
        if p._data.shape != view.shape or p._data.dtype != view.dtype:
            raise RuntimeError(
                f"optimizer: parameter {index} of its group was {view.dtype} of shape {view.shape} when the "
                f"optimizer was made, and is now {p._data.dtype} of shape {p._data.shape}. Make a new "
                "optimizer after such a change."
            )
        np.copyto(view, p._data)
        p._data = view

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles lay the copied parameters into a buffer of their own: views do not survive."""
        return FlatParameters, (self.params,), {"steps": self.steps, "state": self.state}


def _fitting(array: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """A gradient that somebody assigned, as the kernel needs it."""
    if array.shape != shape:
        raise RuntimeError(
            f"optimizer: expected a gradient of the parameter's shape {shape}, got {array.shape}"
        )
    return np.ascontiguousarray(array, dtype)
