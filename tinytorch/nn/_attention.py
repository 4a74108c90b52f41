"""`MultiheadAttention`: several heads of attention side by side, and the projections around them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._linear import Linear
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor


class MultiheadAttention(Module):
    """Each query looks at all keys, and takes a mean of the values, weighted by how well they match.

    `head_h = softmax(q_h @ k_h^T / sqrt(d) + mask) @ v_h`, with q, k and v projected from query, key and
    value and cut into heads of d = embed_dim / num_heads columns; `output = concat(head_1, ...) @ W^T + b`.

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) -> output (L, N, embed_dim) and
    weights (N, L, S). With batch_first the batch N comes first; without a batch, its axis is left out.

    dropout: the probability with which a weight is dropped in training.
    bias: False leaves it out of all projections. add_bias_kv: one more key and value, learned, behind the
    others; add_zero_attn: one of zeros. kdim, vdim: widths of key and value, embed_dim by default.
    dtype: float32 or float64.

    The projections of queries, keys and values start as Glorot's uniform, all biases at 0; names in the state
    dict are PyTorch's.

    Raises ValueError for heads that do not divide the width, and in the call for widths, lengths or masks
    that do not fit.
    Cost: 2 · (L · (2E + S) + S · (kdim + vdim + L)) · E FLOPs an example, E = embed_dim. Where no weights are
    asked for, the scores of all queries and keys are never in memory at once.
    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> import tinytorch as tt
    >>> attention = tt.nn.MultiheadAttention(16, 4, batch_first=True)
    >>> x = tt.randn(2, 5, 16)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((2, 5, 16), (2, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = np.float32,
    ):
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                "MultiheadAttention: expected num_heads to divide embed_dim, both above 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads}"
            )
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"MultiheadAttention: expected a dropout from 0 to 1, got {dropout}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def parameter(wanted: bool, *shape: int) -> Parameter | None:
            return Parameter(empty(shape, np.dtype(dtype))) if wanted else None

        packed = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = parameter(packed, 3 * embed_dim, embed_dim)
        self.q_proj_weight = parameter(not packed, embed_dim, embed_dim)
        self.k_proj_weight = parameter(not packed, embed_dim, self.kdim)
        self.v_proj_weight = parameter(not packed, embed_dim, self.vdim)
        self.in_proj_bias = parameter(bias, 3 * embed_dim)
        self.bias_k = parameter(add_bias_kv, 1, 1, embed_dim)
        self.bias_v = parameter(add_bias_kv, 1, 1, embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections anew, but for the weights of the last, and set their biases to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """The output, and the weights or None.

        key_padding_mask: (N, S), keys that nobody looks at. attn_mask: (L, S) or (N · num_heads, L, S), keys
        that a query does not look at. Booleans, True where it must not (the opposite of
        `scaled_dot_product_attention`), or numbers that are added to the scores.
        need_weights: False returns None for them, and needs no memory for them. average_attn_weights: False
        returns those of every head, (N, num_heads, L, S).
        is_causal: query i looks at keys 0 to i. A given attn_mask must say the same, and need not be read.
        A query that may look at nothing gets zeros; where weights are asked for NaN, as in PyTorch.
        """
        self._check(query, key, value)
        itself, batched = query is key and key is value, query.ndim == 3
        query, key, value = (self._batch_first(x) for x in (query, key, value))
        n, l, s = *query.shape[:2], key.shape[1]
        attn_mask = _as_mask("attn_mask", attn_mask, l, s, n * self.num_heads)
        padding = _as_mask("key_padding_mask", key_padding_mask, *((n, s) if batched else (s,)))
        more_keys = self.bias_k is not None or self.add_zero_attn
        if is_causal and not (need_weights or more_keys or padding is not None):
            attn_mask = None
        elif is_causal:
            attn_mask = new_tensor(causal(l, s)) if attn_mask is None else attn_mask
            is_causal = False
        mask = self._merged(attn_mask, padding, n, query.dtype)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if itself and self.in_proj_weight is not None and not (need_weights or more_keys):
            packed = ops.linear(query, self.in_proj_weight, self.in_proj_bias)
            output = ops.self_attention(
                packed, self.num_heads, is_causal=is_causal, dropout_p=dropout, attn_mask=_allowed(mask)
            )
        else:
            q, k, v = (self._heads(x) for x in self._projected(query, key, value))
            if need_weights:
                output, weights = _attend(q, k, v, mask, dropout)
            else:
                output = ops.scaled_dot_product_attention(q, k, v, _allowed(mask), dropout, is_causal)
            output = output.transpose(1, 2).reshape(n, l, self.num_heads * self.head_dim)
        output = self.out_proj(output)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.transpose(0, 1), weights

    def _check(self, query: Any, key: Any, value: Any) -> None:
        widths = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        for name, (x, width) in widths.items():
            if x.ndim != query.ndim or x.ndim not in (2, 3):
                order = "(N, L, width)" if self.batch_first else "(L, N, width)"
                raise ValueError(
                    f"MultiheadAttention: expected query, key and value of shape {order}, or all three "
                    f"without the batch N, got {query.shape}, {key.shape} and {value.shape}"
                )
            if x.shape[-1] != width:
                raise ValueError(
                    f"MultiheadAttention: expected a {name} of width {width}, got {x.shape[-1]} "
                    f"({name} {x.shape})"
                )
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                "MultiheadAttention: expected a value for each key, of one batch and length, got keys "
                f"{key.shape} and values {value.shape}"
            )
        batch = 0 if self.batch_first else 1
        if query.ndim == 3 and query.shape[batch] != key.shape[batch]:
            raise ValueError(
                f"MultiheadAttention: expected queries and keys of one batch, got {query.shape[batch]} and "
                f"{key.shape[batch]} (query {query.shape}, key {key.shape}, batch_first={self.batch_first})"
            )

    def _batch_first(self, x: Any) -> Any:
        """x as (N, L, width)."""
        if x.ndim == 2:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _projected(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values (N, L, embed_dim), with those that are not in the input."""
        if self.in_proj_weight is None:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        else:
            weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = map(ops.linear, (query, key, value), weights, biases)
        return q, self._with_more_keys(k, self.bias_k), self._with_more_keys(v, self.bias_v)

    def _with_more_keys(self, x: Any, learned: Any) -> Any:
        shape = (x.shape[0], 1, self.num_heads * self.head_dim)
        parts = [x] if learned is None else [x, learned.expand(*shape)]
        if self.add_zero_attn:
            parts.append(new_tensor(np.zeros(shape, x.dtype)))
        return ops.cat(parts, 1) if len(parts) > 1 else x

    def _heads(self, x: Any) -> Any:
        """(N, L, embed_dim) -> (N, num_heads, L, head_dim)."""
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _merged(self, attn_mask: Any, padding: Any, n: int, dtype: Any) -> Any:
        """One mask that broadcasts to (N, num_heads, L, S), or None; booleans only if both hold these."""
        masks = []
        if attn_mask is not None:
            shape = (n, self.num_heads, *attn_mask.shape[1:]) if attn_mask.ndim == 3 else attn_mask.shape
            masks.append(attn_mask.reshape(*shape))
        if padding is not None:
            masks.append(padding.reshape(n, 1, 1, padding.shape[-1]))
        if not masks:
            return None
        if more := (self.bias_k is not None) + self.add_zero_attn:
            masks = [ops.extend(mask, (0, more)) for mask in masks]
        if all(mask.dtype == np.bool_ for mask in masks):
            return masks[0] if len(masks) == 1 else masks[0] | masks[1]
        added = [_as_numbers(mask, dtype) for mask in masks]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )


def _as_mask(name: str, mask: Any, *shape: int) -> Any:
    """`mask` as a tensor, once its shape and dtype have been found to fit.

    shape: (N, S) or (S,) of a key_padding_mask; L, S and N * num_heads of an attn_mask.
    """
    if mask is None:
        return None
    mask = mask if isinstance(mask, Tensor) else Tensor(mask)
    if mask.dtype != np.bool_ and mask.dtype.kind != "f":
        raise TypeError(
            f"MultiheadAttention: expected {name} to hold booleans, True for what must not be looked at, or "
            f"numbers to be added to the scores, got {mask.dtype}"
        )
    if name == "attn_mask":
        l, s, heads = shape
        allowed = {(l, s): "(L, S)", (heads, l, s): "(N * num_heads, L, S)"}
    else:
        allowed = {shape: "(N, S)" if len(shape) == 2 else "(S,)"}
    if mask.shape not in allowed:
        wanted = " or ".join(f"{letters}={size}" for size, letters in allowed.items())
        raise ValueError(f"MultiheadAttention: expected {name} of shape {wanted}, got {mask.shape}")
    return mask


def _as_numbers(mask: Any, dtype: Any) -> Any:
    """What is added to the scores: minus infinity where a mask of booleans is true."""
    if mask.dtype == np.bool_:
        return new_tensor(np.where(mask._data, -np.inf, 0.0).astype(dtype))
    return mask.to(dtype)


def _allowed(mask: Any) -> Any:
    """A mask for `scaled_dot_product_attention`, whose booleans say where a query may look."""
    return ~mask if mask is not None and mask.dtype == np.bool_ else mask


def causal(l: int, s: int) -> np.ndarray:
    """True above the diagonal: what query i must not look at."""
    return np.triu(np.ones((l, s), np.bool_), 1)


def _attend(q: Any, k: Any, v: Any, mask: Any, dropout: float) -> tuple[Any, Any]:
    """Attention of heads (N, H, L, d), with the weights (N, H, L, S) that the values were summed up with."""
    scores = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf) if mask.dtype == np.bool_ else scores + mask
    weights = ops.dropout(scores.softmax(-1), dropout)
    return weights @ v, weights
