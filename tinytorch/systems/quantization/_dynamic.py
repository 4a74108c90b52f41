"""Quantisation without calibration: int8 weights, and a scale for each row of what comes in."""

from __future__ import annotations

import copy
from typing import Any

from tinytorch.nn import Embedding, Linear, Module, MultiheadAttention
from tinytorch.systems.quantization._attention import QuantizedMultiheadAttention
from tinytorch.systems.quantization._embedding import QuantizedEmbedding
from tinytorch.systems.quantization._layers import QuantizedLayer
from tinytorch.systems.quantization._linear import QuantizedLinear
from tinytorch.systems.quantization._prepare import is_watched, replaced
from tinytorch.systems.quantization._report import kept_float, refuse

DYNAMIC: dict[type[Module], Any] = {
    Linear: QuantizedLinear.from_float,
    MultiheadAttention: QuantizedMultiheadAttention.from_float,
    Embedding: QuantizedEmbedding.from_float,
}


def quantize_dynamic(
    model: Module, layers: tuple[type[Module], ...] = tuple(DYNAMIC), strict: bool = False
) -> Any:
    """A new model, in evaluation mode, in which layers of the given kinds have int8 weights and compute in
    integers; `model` stays as it is.

    Each row of a layer's input is quantised by its own range when it comes (`kernels.quantize_rows`), so no
    data is needed beforehand. Good where weights are the bulk: language models, and MLPs.

    layers: among `Linear`, `MultiheadAttention` (its four projections) and `Embedding`, which may be the
    output layer too, as in `models.GPT`. Derived classes stay as they are.
    strict: refuse a model in which other layers have weights.
    The result's `report` is a list of the layers that stay in float32 (`KeptFloat`: layer, kind, why).

    Raises TypeError for a kind that has no int8 counterpart, and with strict UnsupportedLayer.

    >>> import tinytorch as tt
    >>> from tinytorch.models import MLP
    >>> model = MLP(64, (128, 64), 10)
    >>> small = quantize_dynamic(model)
    >>> small.output.codes.dtype, (small(tt.ones(2, 64)) - model(tt.ones(2, 64))).abs().max().item() < 0.05
    (dtype('int8'), True)
    """
    strange = [kind for kind in layers if kind not in DYNAMIC]
    if strange:
        known = ", ".join(kind.__name__ for kind in DYNAMIC)
        raise TypeError(
            f"quantize_dynamic: expected layers among {known}, got {', '.join(k.__name__ for k in strange)}. "
            "Convolutions are quantised by quantize_static()."
        )

    def change(name: str, module: Module) -> Module:
        if type(module) not in layers or is_watched(module):
            return module
        return DYNAMIC[type(module)](module).eval()

    made = replaced(copy.deepcopy(model).eval(), change)
    reasons = {name: why for name, module in made.named_modules() if (why := _why_float(module, layers))}
    report = kept_float(made, reasons, (QuantizedLayer, QuantizedMultiheadAttention))
    if strict:
        refuse(made, report)
    made.report = report
    return made


def _why_float(module: Module, layers: tuple[type[Module], ...]) -> str | None:
    if is_watched(module):
        return "it has a hook or a forward of its own, which int8 kernels would not call"
    if type(module) in DYNAMIC:
        return f"{type(module).__name__} was not asked for in layers"
    if isinstance(module, tuple(DYNAMIC)):
        return f"{type(module).__name__} may compute something else than the class it is derived from"
    return None
