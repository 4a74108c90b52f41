"""Loading a state dict, with an error that lists all that does not fit; and the repr of a module."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor

if TYPE_CHECKING:
    from tinytorch.nn._module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: names that only the module has, and names that only the state has."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load(
    owner: str, own: dict[str, Tensor], state: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """Check `state` against the tensors `own` and, when all of it fits, copy it into them."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"load_state_dict: expected a dict of names and tensors, got {type(state).__name__}. "
            "A saved file has to be read first: load_state_dict(tinytorch.load(path))."
        )
    values = {name: _array(name, value) for name, value in state.items()}
    missing = [name for name in own if name not in values]
    unexpected = [name for name in values if name not in own]
    misshaped = [
        f"{name}: expected {tensor.shape}, got {values[name].shape}"
        for name, tensor in own.items()
        if name in values and values[name].shape != tensor.shape
    ]
    mistyped = [
        f"{name}: expected floating point numbers, got {values[name].dtype}"
        for name, tensor in own.items()
        if assign and name in values and _needs_floats(tensor) and values[name].dtype.kind != "f"
    ]
    if misshaped or mistyped or (strict and (missing or unexpected)):
        raise RuntimeError(_complaint(owner, missing, unexpected, misshaped, mistyped, strict))
    for name, tensor in own.items():
        if name in values:
            _fill(tensor, values[name], assign)
    return IncompatibleKeys(missing, unexpected)


def _needs_floats(tensor: Tensor) -> bool:
    return isinstance(tensor, Parameter) and tensor.dtype.kind == "f"


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    raise TypeError(
        f"load_state_dict: expected a tensor or an array for {name!r}, got {type(value).__name__}"
    )


def _fill(tensor: Tensor, value: np.ndarray, assign: bool) -> None:
    if assign:
        tensor.data = value
    else:
        tensor._write(lambda data: np.copyto(data, value, casting="unsafe"))


def _complaint(
    owner: str,
    missing: list[str],
    unexpected: list[str],
    misshaped: list[str],
    mistyped: list[str],
    strict: bool,
) -> str:
    lines = [f"load_state_dict: the state does not fit {owner}, and nothing was loaded."]
    if strict and missing:
        lines.append(f"  missing (the module has it, the state does not): {', '.join(missing)}")
    if strict and unexpected:
        hints = [_with_hint(name, missing) for name in unexpected]
        lines.append(f"  unexpected (the state has it, the module does not): {', '.join(hints)}")
    lines += [f"  wrong shape: {text}" for text in misshaped]
    lines += [f"  wrong dtype: {text}" for text in mistyped]
    if mistyped:
        lines.append("Convert what cannot be trained, or leave out assign=True, to copy the values.")
    elif misshaped:
        lines.append("Build the module with the sizes that the state was saved from.")
    else:
        lines.append(
            "Build the module that the state was saved from, or pass strict=False to load the names in "
            "common."
        )
    return "\n".join(lines)


def _with_hint(name: str, missing: list[str]) -> str:
    close = difflib.get_close_matches(name, missing, n=1, cutoff=0.75)
    return f"{name} (for {close[0]}?)" if close else name


def describe(module: Module) -> str:
    """The repr: the tree of modules with the numbers of their own parameters, and the total at the end."""
    text = _tree(module)
    total = sum(parameter._data.size for parameter in module.parameters())
    return f"{text}  # {total:,} parameters" if total and any(True for _ in module.children()) else text


def _tree(module: Module) -> str:
    name = type(module).__name__
    extra = module.extra_repr()
    # every name is shown, also of a module that stands there twice
    children = [(n, v) for n, v in module.__dict__.items() if hasattr(type(v), "named_modules")]
    own = sum(parameter._data.size for _, parameter in module._own_parameters())
    if not children and "\n" not in extra:
        return f"{name}({extra})" + (f"  # {own:,} parameters" if own else "")
    lines = [f"{name}("]
    lines += [f"  {line}" for line in extra.splitlines()]
    for child_name, child in children:
        lines.append("  " + f"({child_name}): {_tree(child)}".replace("\n", "\n  "))
    return "\n".join([*lines, ")"])
