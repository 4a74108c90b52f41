"""How a tensor changes: it takes over the values and the history of a result, and all views count along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, new_tensor
from tinytorch.tensor_methods.base import HasData

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor

_WRITABLE_VIEWS = ("slice", "reshape", "permute")  # through which a recorded change can reach the base
_HISTORY = ("_data", "_node", "requires_grad", "_counter", "_base", "_seen", "_taken", "_cut")


class Changing(HasData):
    """What every method that changes the tensor itself ends in."""

    requires_grad: bool
    shape: Any
    dtype: Any
    _node: Node | None
    _counter: list[int] | None
    _base: Tensor | None
    _seen: int
    _taken: tuple[Tensor, Any, dict] | None

    def _bump(self) -> None:
        if self._counter is None:
            self._counter = [0, 0]
        self._counter[0] += 1

    def _become(self, result: Tensor, name: str) -> Tensor:
        """Take over the values and the history of `result`: every in-place operation ends here."""
        if result._data.shape != self._data.shape:
            raise RuntimeError(
                f"{name}: expected a result of this tensor's shape {self.shape}, got {result.shape}. "
                "In-place operations cannot broadcast the tensor they change."
            )
        if not np.can_cast(result._data.dtype, self._data.dtype, "same_kind"):
            raise RuntimeError(
                f"{name}: a result of dtype {result.dtype} cannot be stored in one of dtype {self.dtype}."
                " Convert one of them, or use the out-of-place operation."
            )
        node = result._node if modes.grad else None
        self._check_in_place(name, recorded=node is not None)
        if node is not None and node.saved:
            self._leave_old_values(node.saved)
        if node is not None and self._taken is not None:
            return self._change_source(result, name)
        self._write(lambda data: np.copyto(data, result._data, casting="same_kind"))
        if node is not None:
            self._node, self.requires_grad = node, True
            assert self._counter is not None  # _write has counted
            self._counter[1] += 1
        return self  # pyright: ignore[reportReturnType]

    def _change_source(self, result: Tensor, name: str) -> Tensor:
        """A recorded change of `x[index]` is a change of x, of which this tensor is then the view again."""
        assert self._taken is not None
        source, op, params = self._taken
        view = op.forward(source._data, **params)
        if view.shape != self._data.shape or view.ctypes.data != self._data.ctypes.data:
            raise RuntimeError(
                f"{name}: this view, of shape {self.shape}, was taken before its base got another shape in "
                "place. Take the view again."
            )
        if op.name == "slice":
            source[params["index"]] = result
        elif op.name == "reshape":
            source._become(result.reshape(source.shape), name)
        else:
            back = np.argsort([d % source.ndim for d in params["dims"]])
            source._become(result.permute(*back.tolist()), name)
        again = op(source, **params)
        self._node, self.requires_grad, self._seen = again._node, True, again._seen
        return self  # pyright: ignore[reportReturnType]

    def _leave_old_values(self, saved: dict[int, tuple[Any, int]]) -> None:
        """Where an operation saved this tensor, put a copy: the tensor is about to become its result."""
        for position, (tensor, _) in saved.items():
            if tensor is self:
                old = new_tensor(self._data.copy())
                old.requires_grad, old._node = self.requires_grad, self._node
                saved[position] = (old, 0)

    def _reshape_in_place(self, name: str, view: Callable[[Any], Tensor]) -> Tensor:
        """Become `view` of what this tensor was: the same memory, and what is recorded, in another shape."""
        self._check_in_place(name, recorded=False)
        was = new_tensor(self._data)
        was.__dict__.update({key: value for key, value in self.__dict__.items() if key in _HISTORY})
        result = view(was)
        for key in _HISTORY if modes.grad else ("_data",):
            setattr(self, key, getattr(result, key))
        self._bump()  # an operation that saved this tensor would find it in the wrong shape
        return self  # pyright: ignore[reportReturnType]

    def _write(self, change: Callable[[np.ndarray], None]) -> None:
        if not self._data.flags.writeable:
            if self._base is not None or 0 in self._data.strides:
                raise RuntimeError(
                    f"this tensor, of shape {self.shape}, is a view made by expand, where several elements "
                    "are one place in memory: it cannot be changed in place. Change a .clone()."
                )
            self._data = self._data.copy()
        change(self._data)
        self._bump()

    def _check_in_place(self, name: str, recorded: bool) -> None:
        if modes.grad and self.requires_grad and self._node is None:
            raise RuntimeError(
                f"{name}: a leaf that requires a gradient cannot be changed in place while gradients are "
                "recorded. Do it inside `with no_grad():`, or use the out-of-place operation."
            )
        if recorded and self._taken is not None and self._taken[1].name not in _WRITABLE_VIEWS:
            raise RuntimeError(
                f"{name}: this tensor is a view made by '{self._taken[1].name}', and the graph cannot record "
                "a change to its base through it. Change the base, or slices of it: base[index] += ..."
            )

    def __setitem__(self, index: Any, value: Any) -> None:
        index = ops.index.normalize_index(index)
        if modes.grad and (self.requires_grad or (isinstance(value, HasData) and value.requires_grad)):
            self._check_in_place("x[index] = value", recorded=True)
            self._become(ops.index_put(self, value, index=index), "x[index] = value")
            return
        array = value._data if isinstance(value, HasData) else value
        self._write(lambda data: ops.index.write(data, index, array))

    @property
    def _version(self) -> int:
        return 0 if self._counter is None else self._counter[0]
