"""TinyTorch: a deep-learning library whose kernels are Numba functions. Names and defaults follow PyTorch.

>>> import tinytorch as tt
>>> w = tt.tensor([1.0, 2.0], requires_grad=True)
>>> loss = (w * w).sum()
>>> loss.backward()
>>> w.grad
tensor([2., 4.])
"""

from __future__ import annotations

import importlib
from typing import Any

from numpy import e, finfo, iinfo, inf, nan, pi

from tinytorch import autograd, cuda
from tinytorch.autograd import GradcheckError, grad, gradcheck, gradgradcheck
from tinytorch.autograd.functional import hessian, hvp, jacobian, jvp, vjp
from tinytorch.autograd.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)  # fmt: skip
from tinytorch.creation import (
    allclose,
    arange,
    as_tensor,
    broadcast_tensors,
    empty,
    empty_like,
    equal,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_tensor,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from tinytorch.dtypes import bool_, device, float32, float64, int8, int16, int32, int64, uint8
from tinytorch.kernels._jit import get_num_threads, set_num_threads
from tinytorch.kernels.memory import empty_cache
from tinytorch.ops import (
    abs,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    add,
    addmm,
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    avg_pool2d,
    bce_with_logits,
    binary_cross_entropy,
    bincount,
    bmm,
    broadcast_to,
    cat,
    ceil,
    chunk,
    clip,
    clone,
    conv1d,
    conv2d,
    conv_transpose2d,
    cos,
    cross_entropy,
    cumsum,
    diag,
    diagonal,
    div,
    dot,
    dropout,
    dropout1d,
    dropout2d,
    einsum,
    elu,
    embedding,
    eq,
    erf,
    exp,
    expand,
    expm1,
    flatten,
    flip,
    floor,
    floor_divide,
    gather,
    ge,
    gelu,
    gt,
    hstack,
    huber_loss,
    index_add,
    index_select,
    interpolate,
    isclose,
    isfinite,
    isinf,
    isnan,
    kl_div,
    l1_loss,
    le,
    leaky_relu,
    log,
    log1p,
    log2,
    log10,
    log_softmax,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    lt,
    masked_fill,
    masked_select,
    matmul,
    max,
    max_pool1d,
    max_pool2d,
    maximum,
    mean,
    median,
    min,
    minimum,
    mm,
    movedim,
    mse_loss,
    mul,
    nan_to_num,
    narrow,
    ne,
    neg,
    nll_loss,
    nonzero,
    norm,
    numel,
    outer,
    pad,
    permute,
    pow,
    prod,
    reciprocal,
    relu,
    remainder,
    repeat_interleave,
    reshape,
    roll,
    round,
    rsqrt,
    scatter,
    scatter_add,
    sigmoid,
    sign,
    silu,
    sin,
    smooth_l1_loss,
    softmax,
    softplus,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    sub,
    sum,
    t,
    take_along_dim,
    tanh,
    tile,
    topk,
    trace,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unique,
    unsqueeze,
    var,
    vstack,
    where,
)  # fmt: skip
from tinytorch.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from tinytorch.random_creation import (
    bernoulli,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)  # fmt: skip
from tinytorch.tensor import Tensor

__version__ = "0.1.0"

bool, float, double, short, int, long = bool_, float32, float64, int16, int32, int64
clamp, concat, concatenate, swapaxes = clip, cat, cat, transpose

_LAZY = {
    **{name: (f"tinytorch.{name}", None) for name in (
        "data", "datasets", "milestone", "models", "nn", "optim", "systems", "text", "training", "viz",
    )},
    "save": ("tinytorch.serialization", "save"),
    "load": ("tinytorch.serialization", "load"),
    "warmup": ("tinytorch._warmup", "warmup"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a part of the package when it is first asked for: `import tinytorch` stays light."""
    if name not in _LAZY:
        raise AttributeError(f"module 'tinytorch' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module 'tinytorch' has no attribute {name!r}") from None
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
