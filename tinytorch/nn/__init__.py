"""Layers, losses and what they are made of: names, arguments and defaults are PyTorch's."""

from tinytorch.nn import functional, init, utils
from tinytorch.nn._activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from tinytorch.nn._attention import MultiheadAttention
from tinytorch.nn._containers import ModuleDict, ModuleList, ParameterList
from tinytorch.nn._conv import Conv1d, Conv2d, ConvTranspose2d
from tinytorch.nn._dropout import Dropout, Dropout1d, Dropout2d
from tinytorch.nn._embedding import Embedding
from tinytorch.nn._linear import Identity, Linear
from tinytorch.nn._losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from tinytorch.nn._module import Module
from tinytorch.nn._norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm
from tinytorch.nn._pad import ConstantPad2d, ReflectionPad2d, ReplicationPad2d, ZeroPad2d
from tinytorch.nn._parameter import Parameter
from tinytorch.nn._pool import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from tinytorch.nn._positions import (
    LearnedPositionalEmbedding,
    RotaryEmbedding,
    SinusoidalPositionalEncoding,
)
from tinytorch.nn._recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from tinytorch.nn._sequential import Sequential
from tinytorch.nn._shape import Flatten, Unflatten
from tinytorch.nn._transformer import Transformer, TransformerDecoder, TransformerEncoder
from tinytorch.nn._transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer
from tinytorch.nn._upsample import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "ConstantPad2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReflectionPad2d",
    "ReplicationPad2d",
    "RotaryEmbedding",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositionalEncoding",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad2d",
    "functional",
    "init",
    "utils",
]
