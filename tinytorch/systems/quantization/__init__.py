"""Models in int8: stored as int8, computed in int8, with 32-bit sums.

`quantize_dynamic(model)` needs no data; `quantize_static(model, batches)` is `prepare`, `calibrate` and
`convert`, for convolutions too; `prepare_qat(model)`, training and `convert` is for what loses too much
otherwise. Every one of them returns a new model, and its `report` says which layers stayed in float32, and
why. `state_dict()` holds the int8 codes; to load one, quantise a model of the same structure the same way.
"""

from tinytorch.systems.quantization._attention import QuantizedMultiheadAttention
from tinytorch.systems.quantization._conv import QuantizedConv2d
from tinytorch.systems.quantization._convert import convert, quantize_static
from tinytorch.systems.quantization._dynamic import quantize_dynamic
from tinytorch.systems.quantization._embedding import QuantizedEmbedding
from tinytorch.systems.quantization._linear import QuantizedLinear
from tinytorch.systems.quantization._observers import (
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MSEObserver,
    Observer,
    PercentileObserver,
)
from tinytorch.systems.quantization._prepare import FakeQuantize, calibrate, prepare, prepare_qat
from tinytorch.systems.quantization._report import KeptFloat, UncalibratedModel, UnsupportedLayer
from tinytorch.systems.quantization._scheme import QParams, choose_qparams

__all__ = [
    "FakeQuantize",
    "KeptFloat",
    "MSEObserver",
    "MinMaxObserver",
    "MovingAverageMinMaxObserver",
    "Observer",
    "PercentileObserver",
    "QParams",
    "QuantizedConv2d",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "QuantizedMultiheadAttention",
    "UncalibratedModel",
    "UnsupportedLayer",
    "calibrate",
    "choose_qparams",
    "convert",
    "prepare",
    "prepare_qat",
    "quantize_dynamic",
    "quantize_static",
]
