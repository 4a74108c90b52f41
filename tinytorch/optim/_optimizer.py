"""`Optimizer`: parameter groups, state dicts, and the walk that all update rules share."""

from __future__ import annotations

import difflib
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinytorch.autograd.modes import enable_grad
from tinytorch.autograd.registry import new_tensor
from tinytorch.optim._flat import FlatParameters
from tinytorch.optim._state import FlatState
from tinytorch.tensor import Tensor

_LISTS = ("params", "param_names")  # of a group: an entry for each parameter, not a setting


class Optimizer:
    """Base of the optimisers. A subclass defines `update`, one kernel over flat parameters; or `step`, as in
    PyTorch, from `self.param_groups` and with `self.state[p]`, a dict for each parameter.

    params: an iterable of parameters, of `named_parameters()`, or of dicts with "params" and the settings
    that differ for them. Other keys, such as a "name", are kept.
    defaults: the settings of groups that do not have their own.

    The parameters of a group are moved into one buffer, of which each keeps a view, so that a step is one
    kernel. Arrays taken from `p.data` earlier therefore show the old values; `p.data` itself,
    `load_state_dict` and a replaced `p.data` work as ever. Two optimisers may hold the same parameters: each
    step then copies them from one's buffer to the other's.

    A step changes values in place: a graph kept with retain_graph=True from before it refuses to run
    backward.
    """

    state_names: tuple[str, ...] = ()  # of the state dict, in its order: flat buffers
    counts_steps = False  # whether "step" is part of the state dict

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = _noting(cls.step)

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: expected an iterable of parameters, got one tensor. Put it into a "
                "list: [tensor]."
            )
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{type(self).__name__}: expected at least one parameter, got none. Are the modules assigned "
                "to attributes of the model (a plain list hides them; use ModuleList)?"
            )
        self.defaults = _numbers(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self.stepped = False
        self._is_flat = type(self).update is not Optimizer.update
        self._flats: list[list[FlatParameters]] = []
        self._dicts: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)  # state, where nothing is flat
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train more parameters, with the settings that `param_group` holds beside its "params"."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{name}: expected a dict with "params", got {param_group!r}')
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                f"{name}: expected the parameters in an order that stays the same, got a set. Use a list."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        names, params = _without_names(name, params)
        for p in params:
            _check_parameter(name, p)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if len({id(p) for p in params}) != len(params) or any(id(p) in known for p in params):
            raise ValueError(
                f"{name}: some parameters appear in more than one place. Expected each of them once."
            )
        _check_separate(name, [p for group in self.param_groups for p in group["params"]] + params)
        own = {key: value for key, value in param_group.items() if key not in ("params", *self.defaults)}
        _check_spelling(name, own, self.defaults)
        settings = _numbers({key: param_group.get(key, value) for key, value in self.defaults.items()})
        group = {"params": params, **names, **settings, **own}
        self.check_settings(group)
        by_dtype: dict[np.dtype, list[Tensor]] = {}
        for p in params if self._is_flat else ():
            by_dtype.setdefault(p._data.dtype, []).append(p)
        self.param_groups.append(group)
        self._flats.append([FlatParameters(same) for same in by_dtype.values()])

    def check_settings(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        for name in ("lr", "eps", "weight_decay", "momentum"):
            value = group.get(name, 0.0)
            if not value >= 0.0:
                raise ValueError(f"{type(self).__name__}: expected {name} from 0 up, got {value}")

    def update(self, flat: FlatParameters, gradients: Any, step: int, group: dict[str, Any]) -> None:
        """Update the parameters whose gradient has an id, for the `step`-th time, as `group` says."""
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Returns what `closure()` did, which is called first."""
        if not self._is_flat:
            raise NotImplementedError(
                f"{type(self).__name__} has no rule: define update(flat, gradients, step, group), or step()"
            )
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.stepped = True
        for group, flats in zip(self.param_groups, self._flats, strict=True):
            for flat in flats:
                for gradients, step in flat.collect():
                    self.update(flat, gradients, step, group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = new_tensor(np.zeros_like(p.grad._data))

    # --- state ------------------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[Tensor, Any]:
        """For each parameter that was updated, its state: views of the flat buffers, to write into.

        The dicts around them are read-only, except those of an optimiser with a `step` of its own.
        """
        if not self._is_flat:
            return self._dicts
        return FlatState({p: FlatState(state) for p, state in self._states() if state})

    def _states(self) -> Iterable[tuple[Tensor, dict[str, Any]]]:
        places = {
            id(p): (flat, i) for flats in self._flats for flat in flats for i, p in enumerate(flat.params)
        }
        for group in self.param_groups:
            for p in group["params"]:
                if not self._is_flat:
                    yield p, self._dicts.get(p, {})
                    continue
                flat, i = places[id(p)]
                state: dict[str, Any] = {}
                if flat.steps[i]:
                    if self.counts_steps:
                        state["step"] = flat.steps[i]
                    state.update(
                        {
                            name: new_tensor(flat.view(name, i))
                            for name in self.state_names
                            if name in flat.state
                        }
                    )
                yield p, state

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {index: {...}}, "param_groups": [{..., "params": [index, ...]}]}`, as in PyTorch.

        The tensors share the optimiser's memory.
        """
        groups, first = [], 0
        for group in self.param_groups:
            count = len(group["params"])
            groups.append({**group, "params": list(range(first, first + count))})
            first += count
        return {
            "state": {i: state for i, (_, state) in enumerate(self._states()) if state},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over settings and state from `state_dict()` of an optimiser over the same parameters, in that
        order.

        Raises ValueError, before anything is changed, when groups, numbers of parameters or shapes differ.
        """
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f'{name}.load_state_dict: expected a dict with "state" and "param_groups"')
        saved = state_dict["param_groups"]
        counts, expected = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if counts != expected:
            raise ValueError(
                f"{name}.load_state_dict: expected groups of {expected} parameters, got {counts}. "
                "Make the optimizer from the same model, in the same groups."
            )
        indices = [index for group in saved for index in group["params"]]
        own = [p for group in self.param_groups for p in group["params"]]
        states = {id(p): state_dict["state"].get(index, {}) for p, index in zip(own, indices, strict=True)}
        for index, p in zip(indices, own, strict=True):
            if self._is_flat:
                self._check_state(index, p, states[id(p)])
            else:
                self._dicts[p] = dict(states[id(p)])
        for group, settings in zip(self.param_groups, saved, strict=True):
            group.update({key: value for key, value in settings.items() if key != "params"})
        for flats in self._flats:
            for flat in flats:
                self._fill(flat, [states[id(p)] for p in flat.params])

    def _check_state(self, index: int, p: Tensor, state: dict[str, Any]) -> None:
        name = type(self).__name__
        if state and self.counts_steps and "step" not in state:
            raise ValueError(
                f"{name}.load_state_dict: the state of parameter {index} has no 'step': was it saved by "
                f"{name}?"
            )
        for key, value in state.items():
            if key == "step":
                continue
            if key not in self.state_names:
                raise ValueError(
                    f"{name}.load_state_dict: the state of parameter {index} has {key!r}, which {name} does "
                    f"not keep; it keeps {', '.join(self.state_names) or 'nothing'}. Load it into the "
                    "optimizer that saved it."
                )
            if value is not None and value.shape != p.shape:
                raise ValueError(
                    f"{name}.load_state_dict: expected {key} of parameter {index} with shape {p.shape}, got "
                    f"{value.shape}"
                )

    def _fill(self, flat: FlatParameters, states: list[dict[str, Any]]) -> None:
        flat.state.clear()
        for i, state in enumerate(states):
            flat.steps[i] = int(state.get("step", 1 if state else 0))
            for key in self.state_names:
                value = state.get(key)
                if value is not None:
                    flat.view(key, i)[...] = value._data if isinstance(value, Tensor) else value

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}: {sum(p._data.size for p in group['params']):,} parameters")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in _LISTS]
        return "\n".join([*lines, ")"])


def _noting(step: Callable[..., Any]) -> Callable[..., Any]:
    """A subclass's `step` that leaves a note for the schedules: they warn when they come first."""

    @functools.wraps(step)
    def noting(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self.stepped = True
        return step(self, *args, **kwargs)

    return noting


def _without_names(name: str, params: list[Any]) -> tuple[dict[str, list[str]], list[Any]]:
    """Of `named_parameters()` the names, as a setting of the group, and the parameters."""
    named = [isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in params]
    if not any(named):
        return {}, params
    if not all(named):
        raise ValueError(
            f"{name}: expected names for all parameters of a group or for none, got {sum(named)} names for "
            f"{len(params)} parameters"
        )
    return {"param_names": [n for n, _ in params]}, [p for _, p in params]


def _numbers(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with a tensor's number in place of the tensor: PyTorch takes both."""
    return {key: value.item() if isinstance(value, Tensor) else value for key, value in settings.items()}


def _check_spelling(name: str, keys: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a key of the user's own that is probably meant to be a setting."""
    for key in keys:
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        if close:
            raise ValueError(
                f"{name}: {key!r} is no setting of a parameter group. Did you mean {close[0]!r}? A key of "
                "your own needs a name that is less like it."
            )


def _check_parameter(name: str, p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(f"{name}: expected parameters (tensors), got {type(p).__name__}")
    if p._node is not None:
        raise ValueError(
            f"{name}: expected leaf tensors, got the result of '{p._node.op.name}', shape {p.shape}: an "
            "update of it would be lost. Pass the tensor it was computed from, or "
            ".detach().requires_grad_()."
        )
    if p._data.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating point parameters, got {p.dtype} of shape {p.shape}")


def _check_separate(name: str, params: list[Tensor]) -> None:
    """Refuse two parameters over the same memory: in a buffer each would get values of its own."""
    spans = sorted((start, start + p._data.nbytes) for p in params if p._data.size for start in [_start(p)])
    for (_, end), (start, _) in itertools.pairwise(spans):
        if start < end:
            raise ValueError(
                f"{name}: two parameters share memory, which an optimizer cannot keep. To tie weights, use "
                "the same Parameter object in both places: decoder.weight = encoder.weight."
            )


def _start(p: Tensor) -> int:
    return p._data.ctypes.data
