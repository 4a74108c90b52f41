"""Convolutions, forward and each gradient, of shapes that networks for CIFAR-10 and ResNets are made of."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks import jax_layers
from benchmarks.workload import OURS, Step, Workload


class Shape(NamedTuple):
    """A convolution of `batch` square images with square windows."""

    batch: int
    inputs: int
    size: int
    outputs: int
    window: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        return self.window // 2

    @property
    def out_size(self) -> int:
        return -(-self.size // self.stride)

    @property
    def name(self) -> str:
        more = (f" s{self.stride}" if self.stride > 1 else "") + (
            f" g{self.groups}" if self.groups > 1 else ""
        )
        return f"{self.batch}x{self.inputs}x{self.size}x{self.size}-{self.outputs} k{self.window}{more}"

    @property
    def flops(self) -> float:
        pixels = self.out_size**2
        return 2.0 * self.batch * self.outputs * pixels * self.inputs // self.groups * self.window**2


SHAPES = [
    Shape(64, 3, 32, 32, 3),
    Shape(64, 32, 16, 64, 3),
    Shape(64, 64, 16, 64, 3),
    Shape(64, 64, 8, 128, 3),
    Shape(64, 64, 16, 64, 1),
    Shape(64, 32, 16, 64, 5),
    Shape(64, 64, 16, 128, 3, stride=2),
    Shape(64, 64, 16, 64, 3, groups=64),
    Shape(1, 64, 32, 64, 3),
    Shape(8, 64, 56, 64, 3),
]


def _arrays(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, weight, bias, and a gradient of the result."""
    rng = np.random.default_rng(0)
    out = shape.out_size
    sizes = (
        (shape.batch, shape.inputs, shape.size, shape.size),
        (shape.outputs, shape.inputs // shape.groups, shape.window, shape.window),
        (shape.outputs,),
        (shape.batch, shape.outputs, out, out),
    )
    x, weight, bias, g = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    return x, weight, bias, g


def ours(kind: str, shape: Shape) -> Step:
    from tinytorch.kernels import conv
    from tinytorch.kernels.conv_weight import conv2d_grad_weight

    x, weight, bias, g = _arrays(shape)
    p, s = shape.padding, shape.stride
    options: tuple[Any, ...] = ((s, s), ((p, p), (p, p)), (1, 1), shape.groups)
    if kind == "fwd":
        return lambda: conv.conv2d(x, weight, bias, *options)
    if kind == "grad_input":
        return lambda: conv.conv2d_grad_input(g, weight, x.shape[2:], *options)
    return lambda: conv2d_grad_weight(x, g, weight.shape[2:], *options)


def torch(kind: str, shape: Shape, channels_last: bool = False, compiled: bool = False) -> Step:
    import torch

    arrays = [torch.from_numpy(a) for a in _arrays(shape)]
    if channels_last:
        arrays = [a.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else a for a in arrays]
    p, s = shape.padding, shape.stride
    wanted = [kind == "grad_input", kind == "grad_weight", False]

    def forward(x: Any, weight: Any, bias: Any, g: Any) -> Any:
        return torch.nn.functional.conv2d(x, weight, bias, s, p, 1, shape.groups)

    def backward(x: Any, weight: Any, bias: Any, g: Any) -> Any:
        return torch.ops.aten.convolution_backward(
            g, x, weight, None, [s, s], [p, p], [1, 1], False, [0, 0], shape.groups, wanted
        )

    run = torch.compile(forward if kind == "fwd" else backward, disable=not compiled)
    return lambda: run(*arrays)


def jax(kind: str, shape: Shape) -> Step:
    """In the layout in which XLA is mostly faster: NCHW for the gradient of the weights, else NHWC."""
    import jax

    layout = "NCHW" if kind == "grad_weight" else "NHWC"
    x, weight, bias, g = _arrays(shape)
    if layout == "NHWC":
        x, weight, g = x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0), g.transpose(0, 2, 3, 1)

    def convolution(x: Any, weight: Any) -> Any:
        return jax_layers.convolution(x, weight, shape.stride, shape.groups, layout)

    def run(x: Any, weight: Any, bias: Any, g: Any) -> Any:
        if kind == "fwd":
            return convolution(x, weight) + bias
        if kind == "grad_input":
            return jax.vjp(lambda x: convolution(x, weight), x)[1](g)
        return jax.vjp(lambda weight: convolution(x, weight), weight)[1](g)

    arrays = [jax.numpy.asarray(array) for array in (x, weight, bias, g)]
    compiled = jax.jit(run)
    return lambda: jax.block_until_ready(compiled(*arrays))


WORKLOADS = [
    Workload(
        name=f"conv {kind} {shape.name}",
        variants={
            OURS: partial(ours, kind, shape),
            "torch-eager": partial(torch, kind, shape),
            "torch-channels-last": partial(torch, kind, shape, channels_last=True),
            "torch-compile": partial(torch, kind, shape, compiled=True),
            "jax-jit": partial(jax, kind, shape),
        },
        flops=shape.flops,
    )
    for shape in SHAPES
    for kind in ("fwd", "grad_input", "grad_weight")
]
