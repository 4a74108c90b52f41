"""Whole models that predict, in int8 and in float32: the MLP of milestone 3 and the LeNet of milestone 4.

Both int8 models have fixed scales from 64 examples, and take and give float32: quantising the input is part
of the step. PyTorch's is that of `torch.ao.quantization` with ReLU fused, on the best engine there is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import cnn
from benchmarks.workload import OURS, Step, Unavailable, Workload


def our_mlp() -> Any:
    from tinytorch.models import MLP

    return MLP(784, (128, 64), 10)


def torch_mlp() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


@dataclass(frozen=True)
class Network:
    """ours, torch: make the model. image: shape of one example. macs: multiply-adds of one."""

    ours: Callable[[], Any]
    torch: Callable[[], Any]
    image: tuple[int, ...]
    macs: int


NETWORKS = {
    "mlp": Network(our_mlp, torch_mlp, (1, 28, 28), 784 * 128 + 128 * 64 + 64 * 10),
    "cnn": Network(
        cnn.ours, cnn.torch, (3, 32, 32), cnn.NETWORK.first + cnn.NETWORK.others
    ),
}  # fmt: skip


def _images(network: Network, count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *network.image), np.float32)


def ours(network: Network, batch: int, quantised: bool) -> Step:
    import tinytorch as tt
    from tinytorch.systems import quantize_static

    model = network.ours().eval()
    if quantised:
        model = quantize_static(model, [_images(network, 64)])
    x = tt.Tensor(_images(network, batch))

    def step() -> object:
        with tt.no_grad():
            return model(x)

    return step


def torch(network: Network, batch: int, quantised: bool) -> Step:
    import torch

    model = network.torch().eval()
    if quantised:
        model = _torch_int8(model, torch.from_numpy(_images(network, 64)))
    x = torch.from_numpy(_images(network, batch))

    def step() -> object:
        with torch.inference_mode():
            return model(x)

    return step


def _torch_int8(model: Any, examples: Any) -> Any:
    import torch

    with warnings.catch_warnings():  # it says that it will move to another package
        warnings.simplefilter("ignore")
        try:
            from torch.ao import quantization

            engines = torch.backends.quantized.supported_engines
            engine = next(name for name in ("x86", "fbgemm", "onednn", "qnnpack") if name in engines)
            torch.backends.quantized.engine = engine
            wrapped = torch.nn.Sequential(quantization.QuantStub(), *model, quantization.DeQuantStub()).eval()
            with_weights = torch.nn.Linear, torch.nn.Conv2d
            pairs = [
                [str(i), str(i + 1)]
                for i in range(len(wrapped) - 1)
                if isinstance(wrapped[i], with_weights) and isinstance(wrapped[i + 1], torch.nn.ReLU)
            ]
            wrapped = quantization.fuse_modules(wrapped, pairs)
            wrapped.qconfig = quantization.get_default_qconfig(engine)
            prepared = quantization.prepare(wrapped)
            prepared(examples)
            return quantization.convert(prepared)
        except (ImportError, AttributeError, RuntimeError, StopIteration) as error:
            raise Unavailable(f"PyTorch cannot quantise a model here: {error}") from None


WORKLOADS = [
    Workload(
        name=f"int8 {name} b{batch}",
        variants={
            OURS: partial(ours, network, batch, True),
            "ours-float32": partial(ours, network, batch, False),
            "torch-eager": partial(torch, network, batch, False),
            "torch-int8": partial(torch, network, batch, True),
        },
        flops=2.0 * batch * network.macs,
    )
    for name, network in NETWORKS.items()
    for batch in (1, 64)
]
