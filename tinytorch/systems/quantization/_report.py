"""What was not quantised, and why; and the two errors of quantisation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tinytorch.nn import Module


class UnsupportedLayer(ValueError):
    """A layer has weights that cannot be quantised, and `strict=True` forbids to keep it as it is."""


class UncalibratedModel(RuntimeError):
    """A scale is asked for where no data has been seen."""


class KeptFloat(NamedTuple):
    """A layer that stays in float32. layer: its dotted name. kind: its class. why: what stands against it."""

    layer: str
    kind: str
    why: str

    def __str__(self) -> str:
        return f"{self.layer} ({self.kind}): {self.why}"


def kept_float(model: Module, reasons: dict[str, str], done: tuple[type[Module], ...]) -> list[KeptFloat]:
    """The modules of `model` with parameters of their own that are none of the kinds `done`.

    reasons: what is known about some of them, by name.
    """
    return [
        KeptFloat(name, type(module).__name__, reasons.get(name, "there is no int8 kind of this layer"))
        for name, module in model.named_modules()
        if not isinstance(module, done) and any(True for _ in module._own_parameters())
    ]


def refuse(model: Module, report: Iterable[KeptFloat]) -> None:
    """Raise UnsupportedLayer where a layer in `report` has a weight of two dimensions or more.

    Vectors, such as the scales of a norm, are not what int8 is for.
    """
    found = [
        kept
        for kept in report
        if any(p.ndim >= 2 for _, p in model.get_submodule(kept.layer)._own_parameters())
    ]
    if found:
        lines = "\n".join(f"  {kept}" for kept in found)
        raise UnsupportedLayer(
            f"strict=True: expected layers that can be quantised, got {len(found)} that cannot:\n{lines}\n"
            "Leave out strict=True to keep them in float32."
        )
