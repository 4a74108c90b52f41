"""`Tensor`: an ndarray, its gradient, and the operation that made it. Methods are sugar over the ops."""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinytorch.autograd import graph, registry
from tinytorch.autograd.anomaly import call_site
from tinytorch.autograd.modes import modes, set_grad_enabled
from tinytorch.autograd.registry import Node, new_tensor
from tinytorch.tensor_methods import TensorMethods

_TIES = ("_counter", "_base", "_seen", "_taken", "_hooks")  # to views and to the graph: a copy has its own
_KEEP = -1  # the hook of `retain_grad`, which stays the last
_hook_keys = itertools.count()
# The last array that left a graph through `.data` or `.numpy()`, weakly, and how: see `_origin_of`.
_last_data_read: tuple[Any, tuple[str, str]] | None = None


class Tensor(TensorMethods):
    """A multi-dimensional array that can carry a gradient.

    `Tensor(data)` wraps an ndarray without a copy; lists and numbers become float32 where they hold floats,
    int64 or bool where they do not. `tinytorch.tensor` is the same, with a copy.

    Attributes: `data` (the ndarray), `grad` (a Tensor or None), `requires_grad`, `shape`, `dtype`, `ndim`.

    >>> import tinytorch as tt
    >>> w = tt.tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    tensor([2., 4.])
    """

    grad: Tensor | None = None
    requires_grad: bool = False
    _data: np.ndarray
    _node: Node | None = None
    _counter: list[int] | None = None  # [in-place changes, of which recorded], shared by all views
    _base: Tensor | None = None
    _seen: int = 0  # recorded changes of the base when this view was taken
    _taken: tuple[Tensor, Any, dict] | None = None  # of a view: from which tensor, by which op
    _cut: tuple[str, str] | None = None  # where a graph that led here ended
    _hooks: dict[int, Callable] | None = None

    __array_priority__ = 1000.0
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]  # by identity, though == is elementwise

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False):
        cut = None
        if isinstance(data, Tensor):
            cut = (f"Tensor(...) at {call_site()}", data._name()) if data.requires_grad else data._cut
            data = data._data
        array = np.asarray(data)
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        elif array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"Tensor: expected numbers or booleans, got {type(data).__name__} that NumPy reads as dtype "
                f"'{array.dtype}'. Nested lists must have rows of equal length."
            )
        if array.dtype.kind == "f" and array.dtype.itemsize != 4 and array.dtype.itemsize != 8:
            if array.dtype != np.float16:
                raise TypeError(
                    f"Tensor: expected float32 or float64, got dtype {array.dtype}. Convert it with "
                    ".astype(np.float64) first."
                )
            array = array.astype(np.float32)
        self._data = array
        if isinstance(data, np.ndarray):
            cut = cut or _origin_of(data)
        if cut is not None:
            self._cut = cut
        if requires_grad:
            self.requires_grad_()

    # --- what it is -------------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """The ndarray itself: what is done to it is not recorded."""
        if self.requires_grad:
            _remember_read(self._data, (f".data, read at {call_site()},", self._name()))
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value._data if isinstance(value, Tensor) else np.asarray(value)
        self._bump()

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        """The NumPy type of the elements."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made this tensor."""
        return self._node

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch recording for this leaf on or off."""
        if requires_grad and self._data.dtype.kind != "f":
            raise RuntimeError(
                f"requires_grad: only floating point tensors have gradients, got dtype {self._data.dtype}. "
                "Convert it with .float() first."
            )
        if not requires_grad and self._node is not None:
            raise RuntimeError(
                f"requires_grad_(False): expected a leaf, got the result of '{self._node.op.name}'. "
                "Use .detach()."
            )
        self.requires_grad = requires_grad
        return self

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len(): expected at least one dimension, got a 0-d tensor. Use .item().")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(f"expected an integer tensor as an index, got dtype {self._data.dtype}")
        return int(self.item())

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(", precision=4)
        if self._data.dtype not in (np.float32, np.int64, np.bool_):
            text += f", dtype={self._data.dtype}"
        if self._node is not None:
            text += f", grad_fn=<{self._node.op.name}>"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, spec: str) -> str:
        if not self._data.ndim:
            return format(self.item(), spec)
        if spec:
            raise TypeError(
                f"format: expected a 0-d tensor for the format {spec!r}, got shape {self.shape}. Use .item()."
            )
        return repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError(
                f"deepcopy: expected a leaf, got {self._name()}, whose whole graph would be copied. "
                "Copy a .detach() of it."
            )
        twin = memo[id(self)] = object.__new__(type(self))
        own = {key: value for key, value in self.__dict__.items() if key not in _TIES}
        twin.__dict__.update(copy.deepcopy(own, memo))
        return twin

    # --- in and out -------------------------------------------------------------------------------------

    def item(self) -> float | int | bool:
        """The value of a tensor with one element, as a Python number."""
        if self._data.size != 1:
            raise RuntimeError(f"item(): expected one element, got shape {self.shape} with {self._data.size}")
        return self._data.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self._data.tolist()

    def numpy(self) -> np.ndarray:
        """The values as an ndarray that shares memory; detach a tensor that requires a gradient first."""
        if self.requires_grad:
            raise RuntimeError(
                "numpy(): this tensor requires a gradient, and NumPy would cut the graph. "
                "Use .detach().numpy()."
            )
        if self._cut is not None:
            _remember_read(self._data, self._cut)
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def detach(self) -> Tensor:
        """The same values, sharing memory, without the graph."""
        result = new_tensor(self._data)
        if self._counter is None:
            self._counter = [0, 0]
        result._counter = self._counter
        if self.requires_grad:
            result._cut = (f".detach() at {call_site()}", self._name())
        return result

    def detach_(self) -> Tensor:
        """Cut this tensor off the graph that made it."""
        if self.requires_grad:
            self._cut = (f".detach_() at {call_site()}", self._name())
        self._node, self.requires_grad = None, False
        return self

    def _name(self) -> str:
        return "a leaf" if self._node is None else f"the result of '{self._node.op.name}'"

    # --- gradients --------------------------------------------------------------------------------------

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add d(self)/d(leaf), times `gradient`, to `.grad` of every leaf that requires one.

        gradient: of the same shape; may be left out for a tensor with one element.
        retain_graph: keep the saved arrays, so that backward can run again (default: create_graph).
        create_graph: record the backward pass itself, for higher derivatives.
        inputs: only to `.grad` of these, which may be results of operations too.
        Raises RuntimeError, which says where the graph was cut, when no parameter can be reached.
        """
        if inputs is not None:
            inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
            if not inputs:
                raise RuntimeError("backward(): expected at least one tensor in inputs, got none")
        found = graph.backward(
            [self],
            [seed_gradient(self, gradient, "backward()")],
            retain_graph=create_graph if retain_graph is None else retain_graph,
            create_graph=create_graph,
            inputs=inputs,
        )
        if inputs is not None and found is not None:
            for tensor, gradient in zip(inputs, found, strict=True):
                if gradient is not None:
                    tensor._add_gradient(gradient, create_graph)

    def _add_gradient(self, gradient: Tensor, recorded: bool) -> None:
        """Add to `.grad`, in memory of its own."""
        with set_grad_enabled(recorded):
            self.grad = gradient.clone() if self.grad is None else self.grad + gradient

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(gradient)` when this tensor's gradient is known; what it returns replaces it.

        Returns what takes the hook off again, by `.remove()` or by a call.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: expected a tensor that requires a gradient, got one without")
        return self._add_hook(next(_hook_keys), hook)

    def _add_hook(self, key: int, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        owner: Any = self if self._node is None else self._node
        attribute = "_hooks" if self._node is None else "hooks"
        hooks = getattr(owner, attribute)
        if hooks is None:
            hooks = {}
            setattr(owner, attribute, hooks)
        hooks[key] = hook
        if _KEEP in hooks:
            hooks[_KEEP] = hooks.pop(_KEEP)
        return HookHandle(hooks, key)

    def retain_grad(self) -> None:
        """Keep this tensor's gradient, as it is after all hooks, in `.grad` of the result of an operation."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: expected a tensor that requires a gradient, got one without")
        if self._node is not None:
            me = weakref.ref(self)

            def keep(gradient: Tensor) -> None:
                tensor = me()
                if tensor is not None:
                    tensor._add_gradient(gradient, modes.grad)

            self._add_hook(_KEEP, keep)


registry.set_tensor_class(Tensor)


class HookHandle:
    """Takes a hook off again: by `.remove()`, or by a call."""

    def __init__(self, hooks: dict[int, Callable], key: int):
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook off; nothing happens the second time."""
        self._hooks.pop(self._key, None)

    __call__ = remove


def _remember_read(array: np.ndarray, cut: tuple[str, str]) -> None:
    global _last_data_read
    _last_data_read = (weakref.ref(array), cut)


def _origin_of(array: np.ndarray) -> tuple[str, str] | None:
    """How `array` left a graph, where it is what was last read, or a view of that."""
    if _last_data_read is None:
        return None
    read, cut = _last_data_read
    source = read()
    if source is None:
        return None
    same = array is source or array.base is source or (array.base is not None and array.base is source.base)
    return cut if same else None


def _why_no_graph(root: Tensor) -> str:
    if root._cut is not None:
        by, what = root._cut
        return f"its graph was cut by {by}" + (f" of {what}" if " " in what else f" in '{what}'")
    reason = "no tensor that it was computed from requires a gradient"
    if _last_data_read is not None:
        by, what = _last_data_read[1]
        reason += f". (Did it go through NumPy? The last values that left a graph did so by {by} of {what}.)"
    return reason


def seed_gradient(root: Tensor, gradient: Any, caller: str) -> Tensor:
    """The gradient a backward pass starts from, after checking that there is a graph to go back through."""
    if not root.requires_grad:
        raise RuntimeError(
            f"{caller}: this tensor, of shape {root.shape}, reaches no parameter: {_why_no_graph(root)}. "
            "Expected a result computed, without interruption, from tensors with requires_grad=True."
        )
    if gradient is None:
        if root._data.size != 1:
            raise RuntimeError(
                f"{caller}: expected a tensor with one element, got shape {root.shape}. "
                "Reduce it with .sum() or .mean(), or pass `gradient` of that shape."
            )
        return new_tensor(np.array(1, root._data.dtype, ndmin=root._data.ndim))
    gradient = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
    if gradient.shape != root.shape:
        raise RuntimeError(f"{caller}: expected a gradient of shape {root.shape}, got {gradient.shape}")
    return gradient.to(root.dtype)
