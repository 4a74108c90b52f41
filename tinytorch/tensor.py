"""`Tensor`: an ndarray, its gradient, and the operation that made it. Methods are sugar over the ops."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd import graph, registry
from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, call_site, new_tensor
from tinytorch.tensor_methods import TensorMethods

_hook_keys = itertools.count()
_WRITABLE_VIEWS = ("slice", "reshape", "permute")  # through which a recorded change can reach the base
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
        if array.dtype == np.float16:
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
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add d(self)/d(leaf), times `gradient`, to `.grad` of every leaf that requires one.

        gradient: of the same shape; may be left out for a tensor with one element.
        retain_graph: keep the saved arrays, so that backward can run again (default: create_graph).
        create_graph: record the backward pass itself, for higher derivatives.
        Raises RuntimeError, which says where the graph was cut, when no parameter can be reached.
        """
        graph.backward(
            [self],
            [seed_gradient(self, gradient, "backward()")],
            retain_graph=create_graph if retain_graph is None else retain_graph,
            create_graph=create_graph,
        )

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call `hook(gradient)` when this tensor's gradient is known; what it returns replaces it.

        Returns a function that removes the hook.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: expected a tensor that requires a gradient, got one without")
        owner: Any = self if self._node is None else self._node
        attribute = "_hooks" if self._node is None else "hooks"
        hooks = getattr(owner, attribute)
        if hooks is None:
            hooks = {}
            setattr(owner, attribute, hooks)
        key = next(_hook_keys)
        hooks[key] = hook
        return lambda: hooks.pop(key, None) and None

    def retain_grad(self) -> None:
        """Keep this tensor's gradient in `.grad` although it is the result of an operation."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: expected a tensor that requires a gradient, got one without")
        if self._node is not None:
            me = weakref.ref(self)

            def keep(gradient: Tensor) -> None:
                tensor = me()
                if tensor is not None:
                    tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

            self.register_hook(keep)

    # --- in place ---------------------------------------------------------------------------------------

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
        return self

    def _change_source(self, result: Tensor, name: str) -> Tensor:
        """A recorded change of `x[index]` is a change of x, of which this tensor is then the view again."""
        assert self._taken is not None
        source, op, params = self._taken
        if op.name == "slice":
            source[params["index"]] = result
        elif op.name == "reshape":
            source._become(result.reshape(source.shape), name)
        else:
            back = np.argsort([d % source.ndim for d in params["dims"]])
            source._become(result.permute(*back.tolist()), name)
        again = op(source, **params)
        self._node, self.requires_grad, self._seen = again._node, True, again._seen
        return self

    def _leave_old_values(self, saved: dict[int, tuple[Any, int]]) -> None:
        """Where an operation saved this tensor, put a copy: the tensor is about to become its result."""
        for position, (tensor, _) in saved.items():
            if tensor is self:
                old = new_tensor(self._data.copy())
                old.requires_grad, old._node = self.requires_grad, self._node
                saved[position] = (old, 0)

    def _write(self, change: Callable[[np.ndarray], None]) -> None:
        if not self._data.flags.writeable:
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
        if modes.grad and (self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)):
            self._check_in_place("x[index] = value", recorded=True)
            self._become(ops.index_put(self, value, index=index), "x[index] = value")
            return
        array = value._data if isinstance(value, Tensor) else value
        self._write(lambda data: data.__setitem__(index, array))

    @property
    def _version(self) -> int:
        return 0 if self._counter is None else self._counter[0]


registry.set_tensor_class(Tensor)


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
