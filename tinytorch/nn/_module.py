"""`Module`: parameters, buffers and other modules under attribute names, and a `forward`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.nn import _state
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor

_keys = itertools.count()


class Handle:
    """What registering a hook returns: `remove()`, or leaving a `with` block, takes the hook away."""

    def __init__(self, module: Module, hooks: dict[int, Callable], key: int):
        self._module, self._hooks, self._key = module, hooks, key

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)
        hooks = self._module._hooks
        if hooks is not None and not hooks.before and not hooks.after:
            self._module._hooks = None

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class _Hooks(NamedTuple):
    before: dict[int, Callable]
    after: dict[int, Callable]


class Module:
    """A part of a network. Subclasses assign parameters and modules in `__init__` and define `forward`.

    There is no registry to keep in step: a module's parameters, buffers and children are those of its
    attributes that are a `Parameter`, a tensor named by `register_buffer`, or a `Module`, in the order of
    their assignment.

    >>> import tinytorch as tt
    >>> class Net(tt.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = tt.nn.Linear(2, 4)
    ...     def forward(self, x):
    ...         return self.hidden(x).relu()
    >>> net = Net()
    >>> net(tt.zeros(3, 2)).shape
    (3, 4)
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias']
    """

    training: bool = True
    _hooks: _Hooks | None = None
    _buffer_names: Mapping[str, bool] = {}  # name -> whether it belongs to the state dict

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define what it computes")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        return self._call_with_hooks(self._hooks, args, kwargs)

    def _call_with_hooks(self, hooks: _Hooks, args: tuple, kwargs: dict) -> Any:
        for hook in tuple(hooks.before.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in tuple(hooks.after.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> Handle:
        """Call `hook(module, args, output)` after each forward; a result not None replaces `output`."""
        return self._register(hook, after=True)

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple], Any]) -> Handle:
        """Call `hook(module, args)` before each forward; a result other than None replaces `args`."""
        return self._register(hook, after=False)

    def _register(self, hook: Callable, after: bool) -> Handle:
        if self._hooks is None:
            self._hooks = _Hooks({}, {})
        hooks = self._hooks.after if after else self._hooks.before
        key = next(_keys)
        hooks[key] = hook
        return Handle(self, hooks, key)

    # --- attributes -------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        if isinstance(before, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter: expected a Parameter or None, got "
                f"{type(value).__name__}. To change its values, use `with no_grad(): "
                f"module.{name}.copy_(...)`; otherwise del it first."
            )
        if name in self._buffer_names and not (value is None or isinstance(value, Tensor)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a buffer: expected a Tensor or None, got "
                f"{type(value).__name__}"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name in self._buffer_names:
            self._buffer_names = {n: kept for n, kept in self._buffer_names.items() if n != name}

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Assign `param` to the attribute `name`; None says that an optional parameter is absent."""
        _check_name(name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter({name!r}): expected a Parameter or None, got {type(param).__name__}"
            )
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Assign a tensor that is part of the module but not trained, such as a running mean.

        persistent: whether it is part of `state_dict()`.
        """
        _check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer({name!r}): expected a Tensor or None, got {type(tensor).__name__}"
            )
        if name in self.__dict__ and name not in self._buffer_names:
            raise KeyError(
                f"register_buffer({name!r}): {type(self).__name__} has another attribute of that name"
            )
        self._buffer_names = {**self._buffer_names, name: persistent}
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign `module` to the attribute `name`."""
        _check_name(name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module({name!r}): expected a Module or None, got {type(module).__name__}")
        setattr(self, name, module)

    register_module = add_module

    # --- walking ----------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules among the attributes, with their names; a module that stands there twice comes once."""
        seen = set()
        for name, value in self.__dict__.items():
            if isinstance(value, Module) and value not in seen:
                seen.add(value)
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules among the attributes."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all modules inside it, depth first, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self.__dict__.items():
            if isinstance(child, Module):
                yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all modules inside it, depth first."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names; one that is shared comes once, unless remove_duplicate=False."""
        return self._named(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, those of this module first, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with dotted names."""
        return self._named(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, those of this module first, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, own: Callable[[Module], Iterator[tuple[str, Any]]], prefix: str, recurse: bool, once: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, value in own(module):
                if value in seen:
                    continue
                if once:
                    seen.add(value)
                yield _join(module_prefix, name), value

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return (
            (n, v)
            for n, v in self.__dict__.items()
            if isinstance(v, Parameter) and n not in self._buffer_names
        )

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((n, v) for n in self._buffer_names if (v := self.__dict__.get(n)) is not None)

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; '' is this one."""
        module: Any = self
        for name in target.split(".") if target else ():
            module = module.__dict__.get(name)
            if not isinstance(module, Module):
                names = ", ".join(n for n, _ in self.named_modules() if n)
                raise AttributeError(
                    f"{type(self).__name__} has no module {target!r}; it has: {names or 'none'}"
                )
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`."""
        return self._pick("parameter", target, self.named_parameters(remove_duplicate=False))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`."""
        return self._pick("buffer", target, self.named_buffers(remove_duplicate=False))

    def _pick(self, kind: str, target: str, named: Iterator[tuple[str, Any]]) -> Any:
        found = dict(named)
        if target not in found:
            names = ", ".join(found) or "none"
            raise AttributeError(f"{type(self).__name__} has no {kind} {target!r}; it has: {names}")
        return found[target]

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module inside, children first, and on this one: to initialise weights, say."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # --- switches ---------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all modules inside: dropout drops, for example."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and in all modules inside. Gradients are still recorded: see `no_grad`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch gradients of all parameters on or off: off freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = new_tensor(np.zeros_like(parameter.grad._data))

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Self:
        """Convert the floating point parameters and buffers to `dtype`, in place; device "cpu" is accepted.

        `to(np.float64)`, `to("cpu")`, `to(other_tensor)` and the keywords are understood.
        """
        for argument in args:
            if isinstance(argument, Tensor):
                dtype = argument.dtype
            elif isinstance(argument, str) and not hasattr(np, argument):
                device = argument
            elif argument is not None:
                dtype = argument
        if device is not None and str(device).partition(":")[0] != "cpu":
            raise ValueError(f"to: expected the device 'cpu', the only one there is, got {device!r}")
        if dtype is None:
            return self
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"to: expected float32 or float64 for a module, got {dtype}")
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                tensor.data = tensor._data.astype(dtype)
                if tensor.grad is not None:
                    tensor.grad = new_tensor(tensor.grad._data.astype(dtype))
        return self

    def float(self) -> Self:
        """Convert the floating point parameters and buffers to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert the floating point parameters and buffers to float64."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """This module: it is there already."""
        return self

    # --- state ------------------------------------------------------------------------------------------

    def state_dict(
        self, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Every parameter and persistent buffer under its dotted name: what a checkpoint has to hold.

        The tensors share the module's memory (`clone` them to keep a copy) and are detached from the graph,
        unless keep_vars=True.
        """
        destination = {} if destination is None else destination
        for name, tensor in self._state_tensors():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        return destination

    def _state_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self.named_modules(remove_duplicate=False):
            for name, parameter in module._own_parameters():
                yield _join(prefix, name), parameter
            for name, buffer in module._own_buffers():
                if module._buffer_names[name]:
                    yield _join(prefix, name), buffer

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _state.IncompatibleKeys:
        """Copy the values of `state_dict` into the parameters and buffers of the same names.

        strict: the names must be the same on both sides; False loads those that are.
        assign: take the given arrays over instead of copying their values.
        Returns the names that were missing and unexpected. Raises RuntimeError, which lists every missing,
        unexpected and misshaped name (and arrays of integers to assign), before anything is changed.

        >>> import tinytorch as tt
        >>> one, other = tt.nn.Linear(3, 2), tt.nn.Linear(3, 2)
        >>> other.load_state_dict(one.state_dict())
        <All keys matched successfully>
        """
        return _state.load(type(self).__name__, dict(self._state_tensors()), state_dict, strict, assign)

    # --- repr -------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The settings that `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        return _state.describe(self)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise KeyError(f"expected a name without dots that is not empty, got {name!r}")


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
