"""Products of int8 codes, beside float32 and beside PyTorch's int8.

`int8 gemm`: codes are there; ours gives scaled float32, PyTorch's `_int_mm` the int32 sums.  `int8 linear`: a
layer with float32 in and out whose input is quantised at each step, ours by row, PyTorch's by tensor.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from benchmarks.workload import OURS, Step, Unavailable, Workload

SIZES = (512, 1024, 2048)


def _operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, weight = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    return a, weight


def _codes(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x * 30), -127, 127).astype(np.int8)


def ours(size: int, dynamic: bool) -> Step:
    from tinytorch.kernels import int8, quantize

    a, weight = _operands(size)
    packed = int8.pack_weight(_codes(weight))
    w_scale = np.full(size, 1 / 30, np.float32)
    if dynamic:

        def layer() -> np.ndarray:
            codes, scale, zero = quantize.quantize_rows(a)
            return int8.int8_linear(codes, scale, zero, packed, w_scale)

        return layer
    codes, scale, zero = quantize.quantize_rows(a)
    return lambda: int8.int8_linear(codes, scale, zero, packed, w_scale)


def ours_float(size: int) -> Step:
    from tinytorch.kernels import gemm

    a, weight = _operands(size)
    b = weight.T
    return lambda: gemm.gemm(a, b)


def torch_float(size: int) -> Step:
    import torch

    a, weight = (torch.from_numpy(x) for x in _operands(size))
    return lambda: torch.nn.functional.linear(a, weight)


def torch_int_mm(size: int) -> Step:
    import torch

    a, weight = (torch.from_numpy(_codes(x)) for x in _operands(size))
    b = weight.t()
    return lambda: torch.ops.aten._int_mm(a, b)


def torch_dynamic(size: int) -> Step:
    import torch

    a, weight = (torch.from_numpy(x) for x in _operands(size))
    layer = torch.nn.Linear(size, size, bias=False)
    layer.weight.data = weight
    with warnings.catch_warnings():  # it says that it will move to another package
        warnings.simplefilter("ignore")
        try:
            model = torch.ao.quantization.quantize_dynamic(
                torch.nn.Sequential(layer), {torch.nn.Linear}, dtype=torch.qint8
            )
        except (AttributeError, RuntimeError) as error:
            raise Unavailable(f"PyTorch cannot quantise a Linear here: {error}") from None

    def step() -> object:
        with torch.inference_mode():
            return model(a)

    return step


WORKLOADS = [
    Workload(
        name=f"int8 {kind} {size}",
        variants={
            OURS: partial(ours, size, kind == "linear"),
            "ours-float32": partial(ours_float, size),
            "torch-eager": partial(torch_float, size),
            "torch-int8": partial(torch_dynamic if kind == "linear" else torch_int_mm, size),
        },
        flops=2.0 * size**3,
    )
    for kind in ("gemm", "linear")
    for size in SIZES
]
