"""The networks that the milestones train."""

from tinytorch.models.cnn import LeNet, Residual, SmallResNet
from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.models.gpt2_file import load_gpt2
from tinytorch.models.kv_cache import KVCache
from tinytorch.models.mlp import MLP
from tinytorch.models.perceptron import Perceptron

__all__ = [
    "GPT",
    "MLP",
    "GPTConfig",
    "KVCache",
    "LeNet",
    "Perceptron",
    "Residual",
    "SmallResNet",
    "load_gpt2",
]
