"""`ModuleList`, `ModuleDict` and `ParameterList`: Python's containers, whose contents a module can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor


class _Numbered(Module):
    """Values under the names "0", "1", ...: what `ModuleList` and `ParameterList` share."""

    _kind: type = object

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend(() if values is None else values)

    def _take(self, value: Any) -> Any:
        if not isinstance(value, self._kind):
            raise TypeError(
                f"{type(self).__name__}: expected a {self._kind.__name__}, got {type(value).__name__}"
            )
        return value

    def _values(self) -> list[Any]:
        return [value for value in self.__dict__.values() if isinstance(value, self._kind)]

    def _replace(self, values: list[Any]) -> None:
        for i in range(len(self)):
            object.__delattr__(self, str(i))
        for i, value in enumerate(values):
            setattr(self, str(i), value)

    def __len__(self) -> int:
        return len(self._values())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def _position(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} entries")
        return str(index % len(self))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._values()[index])
        return self.__dict__[self._position(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._position(index), self._take(value))

    def __delitem__(self, index: int | slice) -> None:
        values = self._values()
        del values[index]
        self._replace(values)

    def __add__(self, values: Iterable[Any]) -> Self:
        return type(self)([*self, *values])

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def pop(self, index: int | slice = -1) -> Any:
        """Take an entry out (or several, as a list of this kind); those behind it are renumbered."""
        taken = self[index]
        del self[index]
        return taken

    def append(self, value: Any) -> Self:
        """Add an entry at the end."""
        setattr(self, str(len(self)), self._take(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add entries at the end."""
        for value in values:
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> None:
        """Add an entry before the one at `index`."""
        values = self._values()
        values.insert(index, self._take(value))
        self._replace(values)


class ModuleList(_Numbered):
    """A list of modules that belong to the module it is assigned to. (A plain list hides its modules.)

    >>> import tinytorch as tt
    >>> layers = tt.nn.ModuleList([tt.nn.Linear(4, 4) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    _kind = Module


class ParameterList(_Numbered):
    """A list of parameters that belong to the module it is assigned to; tensors become parameters."""

    _kind = Parameter

    def _take(self, value: Any) -> Any:
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            return Parameter(value)
        return super()._take(value)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return "\n".join(f"({i}): Parameter of shape {p.shape}, {p.dtype}" for i, p in enumerate(self))


class ModuleDict(Module):
    """A dict of modules that belong to the module it is assigned to.

    >>> import tinytorch as tt
    >>> heads = tt.nn.ModuleDict({"digit": tt.nn.Linear(8, 10), "parity": tt.nn.Linear(8, 2)})
    >>> heads["parity"](tt.zeros(1, 8)).shape
    (1, 2)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        super().__init__()
        self.update(() if modules is None else modules)

    def __getitem__(self, key: str) -> Module:
        if key not in self:
            raise KeyError(f"ModuleDict: no module {key!r}; there are: {', '.join(self) or 'none'}")
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if key not in self and hasattr(self, key):
            raise KeyError(
                f"ModuleDict: {key!r} is the name of an attribute of every module; choose another key"
            )
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict: expected a Module for {key!r}, got {type(module).__name__}")
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [key for key, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules."""
        return [module for _, module in self.items()]

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules: the attributes that are one, whichever way they were assigned."""
        return [(key, value) for key, value in self.__dict__.items() if isinstance(value, Module)]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for key, module in dict(modules).items():
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take a module out."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in self.keys():
            del self[key]
