"""`FlatState`: the state of a flat optimiser to look at, as a mapping that says how to change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn


class FlatState(Mapping[Any, Any]):
    """A read-only dict. What it shows lies in flat buffers, which a changed dict would not reach."""

    def __init__(self, entries: dict[Any, Any]):
        self._entries = entries

    def __getitem__(self, key: Any) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return repr(self._entries)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "optimizer.state cannot be changed: its values lie in one buffer for all parameters. Write into "
            "a tensor of it (state[p][name].zero_()), change a state_dict() and load it "
            '(`state["state"] = {}` starts anew), or make a new optimizer.'
        )

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _refuse
