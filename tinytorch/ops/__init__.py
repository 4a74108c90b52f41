"""Every differentiable operation: checks, gradient, cost and samples, registered with `@op`."""

from tinytorch.ops import index
from tinytorch.ops.activation import gelu, sigmoid, silu, tanh
from tinytorch.ops.arithmetic import (
    abs,
    add,
    div,
    floor_divide,
    mul,
    neg,
    pow,
    remainder,
    sub,
)  # fmt: skip
from tinytorch.ops.attention import scaled_dot_product_attention
from tinytorch.ops.border import border, extend
from tinytorch.ops.compare import (
    eq,
    ge,
    gt,
    isclose,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)  # fmt: skip
from tinytorch.ops.conv import conv1d, conv2d, conv_transpose2d
from tinytorch.ops.counts import bincount, unique
from tinytorch.ops.dropout import dropout, dropout1d, dropout2d
from tinytorch.ops.einsum import einsum
from tinytorch.ops.elementary import (
    cast,
    ceil,
    clone,
    cos,
    erf,
    exp,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    log2,
    log10,
    reciprocal,
    round,
    rsqrt,
    sign,
    sin,
    sqrt,
    square,
)  # fmt: skip
from tinytorch.ops.extreme import (
    amax,
    amin,
    argmax,
    argmin,
    argsort,
    max,
    maximum,
    median,
    min,
    minimum,
    sort,
    topk,
)  # fmt: skip
from tinytorch.ops.fake_quantize import fake_quantize, fake_quantize_grad
from tinytorch.ops.gather import (
    embedding,
    gather,
    index_select,
    scatter,
    scatter_add,
    take_along_dim,
)  # fmt: skip
from tinytorch.ops.index import getitem, index_add, index_put, masked_select, nonzero
from tinytorch.ops.join import (
    cat,
    chunk,
    flip,
    hstack,
    narrow,
    pad,
    repeat,
    repeat_interleave,
    roll,
    split,
    stack,
    tile,
    unbind,
    vstack,
)  # fmt: skip
from tinytorch.ops.loss_binary import bce_with_logits, binary_cross_entropy
from tinytorch.ops.loss_classes import cross_entropy, nll_loss
from tinytorch.ops.loss_regression import huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss
from tinytorch.ops.matmul import (
    addmm,
    bmm,
    dot,
    linear,
    matmul,
    matmul_grad_a,
    matmul_grad_b,
    matrix_product,
    mm,
    outer,
)  # fmt: skip
from tinytorch.ops.moments import logsumexp, std, var
from tinytorch.ops.norm import batch_norm, group_norm, layer_norm, rms_norm
from tinytorch.ops.pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)  # fmt: skip
from tinytorch.ops.rectifier import elu, leaky_relu, relu, relu_grad, softplus
from tinytorch.ops.recurrent import gru_recurrence, lstm_recurrence, rnn_recurrence
from tinytorch.ops.reduce import all, any, cumsum, mean, prod, sum, sum_to, trace
from tinytorch.ops.resize import interpolate
from tinytorch.ops.rotary import rotary_embedding
from tinytorch.ops.select import clip, masked_fill, nan_to_num, tril, triu, where
from tinytorch.ops.self_attention import self_attention
from tinytorch.ops.shape import (
    broadcast_to,
    diag,
    diagonal,
    expand,
    flatten,
    movedim,
    numel,
    permute,
    reshape,
    squeeze,
    t,
    transpose,
    unflatten,
    unsqueeze,
)  # fmt: skip
from tinytorch.ops.softmax import log_softmax, softmax
from tinytorch.ops.vector_norm import euclidean_norm, norm
