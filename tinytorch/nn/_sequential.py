"""`Sequential`: one module after the other, some neighbours in one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, overload

from tinytorch import ops
from tinytorch.autograd.registry import apply
from tinytorch.nn._activations import ReLU
from tinytorch.nn._conv import Conv2d
from tinytorch.nn._linear import Linear
from tinytorch.nn._module import Module
from tinytorch.nn._norm import BatchNorm2d
from tinytorch.nn._pool import MaxPool2d
from tinytorch.ops.conv import correlate2d, sides
from tinytorch.tensor import Tensor


def _linear(x: Any, layer: Linear, relu: ReLU | None = None) -> Any:
    arguments, params = (x, layer.weight, layer.bias), {} if relu is None else {"activation": "relu"}
    return apply(ops.linear, arguments, params) if type(x) is Tensor else ops.linear(*arguments, **params)


def _conv_relu(x: Any, layer: Conv2d, relu: ReLU) -> Any:
    window, stride, dilation = layer.weight.shape[2:], layer.stride, layer.dilation
    around = sides("conv2d", layer.padding, window, stride, dilation)
    return correlate2d(
        x, layer.weight, layer.bias, stride=stride, padding=around, dilation=dilation, groups=layer.groups,
        activation="relu",
    )  # fmt: skip


def _norm_relu(x: Any, layer: BatchNorm2d, relu: ReLU) -> Any:
    return layer.normalize(x, activation="relu")


def _relu_pool(x: Any, relu: ReLU, pool: MaxPool2d) -> Any:
    """The largest of what is cut off at zero is the largest, cut off: a quarter of the work, or less."""
    return pool.forward(relu.forward(x)) if pool.return_indices else relu.forward(pool.forward(x))


def _conv_relu_pool(x: Any, layer: Conv2d, relu: ReLU, pool: MaxPool2d) -> Any:
    return _relu_pool(layer.forward(x), relu, pool)


# Neighbours that are done at once, where several fit the most of them.
_FUSED: dict[tuple[type, ...], Callable] = {
    (Conv2d, ReLU, MaxPool2d): _conv_relu_pool,
    (ReLU, MaxPool2d): _relu_pool,
    (Linear, ReLU): _linear,
    (Conv2d, ReLU): _conv_relu,
    (BatchNorm2d, ReLU): _norm_relu,
    (Linear,): _linear,
}
_FORWARD = {kind: kind.forward for kinds in _FUSED for kind in kinds}
_CALL = Module.__call__


def _is_plain(module: Any) -> bool:
    """Whether nobody would notice that `module` is not called.

    What may be patched is looked at in each call, for profilers patch and unpatch.
    """
    kind = type(module)
    return (
        _FORWARD.get(kind) is kind.forward
        and kind.__call__ is _CALL
        and module._hooks is None
        and "forward" not in module.__dict__
    )


class Sequential(Module):
    """Apply modules in turn, each to the result of the one before.

    Takes modules, or one dict of names and modules. It can be indexed, sliced and iterated, and grows with
    `append`, `insert` and `extend`.

    A ReLU directly behind a `Linear`, a `Conv2d` or a `BatchNorm2d` is applied while that layer writes its
    result, and one directly before a `MaxPool2d` after it, to what is left. The results and gradients have
    the same bits as those of the layers one by one. It is not done when one of them has a hook, a patched
    `forward` or another class, so these see each result.

    >>> import tinytorch as tt
    >>> tt.nn.Sequential(tt.nn.Linear(2, 4), tt.nn.ReLU(), tt.nn.Linear(4, 1))
    Sequential(
      (0): Linear(in_features=2, out_features=4, bias=True)  # 12 parameters
      (1): ReLU()
      (2): Linear(in_features=4, out_features=1, bias=True)  # 5 parameters
    )  # 17 parameters
    """

    _plan: list[tuple[tuple[Any, ...], Callable | None]] | None = None  # modules, and what does them at once

    def __init__(self, *args: Any):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            named: Iterable[tuple[str, Any]] = args[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(args))
        for name, module in named:
            self._check(module)
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """The result of the last module; `input` itself where there are none."""
        plan = self._plan
        if plan is None:
            plan = self._make_plan()
        for modules, at_once in plan:
            if at_once is not None and all(map(_is_plain, modules)):
                input = at_once(input, *modules)
            else:
                for module in modules:
                    input = module(input)
        return input

    def _make_plan(self) -> list[tuple[tuple[Any, ...], Callable | None]]:
        modules, plan = list(self), []
        while modules:
            kinds = tuple(map(type, modules))
            length = next((n for n in (3, 2) if kinds[:n] in _FUSED), 1)
            plan.append((tuple(modules[:length]), _FUSED.get(kinds[:length])))
            del modules[:length]
        object.__setattr__(self, "_plan", plan)
        return plan

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__.pop("_plan", None)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self.__dict__.pop("_plan", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_plan"}

    # --- as a list --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(isinstance(value, Module) for value in self.__dict__.values())

    def __iter__(self) -> Iterator[Module]:
        return (value for value in self.__dict__.values() if isinstance(value, Module))

    def _names(self) -> list[str]:
        return [name for name, value in self.__dict__.items() if isinstance(value, Module)]

    def _name(self, index: int) -> str:
        names = self._names()
        if not -len(names) <= index < len(names):
            raise IndexError(f"Sequential: index {index} is out of range for {len(names)} modules")
        return names[index]

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)({name: self.__dict__[name] for name in self._names()[index]})
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self._check(module)
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        kept = list(self)
        del kept[index]
        self._replace(kept)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self._check(module)
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`; those behind it are renumbered."""
        self._check(module)
        modules = list(self)
        modules.insert(index, module)
        self._replace(modules)
        return self

    def pop(self, index: int | slice) -> Module:
        """Take a module out (or several, as a `Sequential`); those behind it are renumbered."""
        taken = self[index]
        del self[index]
        return taken

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def _replace(self, modules: list[Module]) -> None:
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    @staticmethod
    def _check(module: Any) -> None:
        if not isinstance(module, Module):
            text = "" if not isinstance(module, type) else f"; did you mean {module.__name__}()?"
            raise TypeError(f"Sequential: expected modules, got {type(module).__name__}{text}")
