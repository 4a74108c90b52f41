"""GPT: a stack of causal self-attention and small MLPs that predicts the next token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.rotary import turns
from tinytorch.models.gpt_step import layers_of, next_hidden
from tinytorch.models.kv_cache import KVCache, LayerCache
from tinytorch.nn import Embedding, LayerNorm, Linear, Module, ModuleList, init
from tinytorch.nn import functional as F
from tinytorch.tensor import Tensor


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a `GPT`, by the names of GPT-2's own configuration; the defaults are its smallest model.

    vocab_size: tokens it knows. block_size: the longest context. n_layer, n_head, n_embd: blocks, heads of
    attention in each, and width, which the heads must divide. dropout: while training. bias: of the linear
    layers and norms.
    positions: "learned" (a vector for each place, as in GPT-2) or "rotary" (Su et al., 2021: queries and keys
    are turned by their place, so that attention sees distances).
    """

    vocab_size: int = 50257
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True
    positions: str = "learned"

    def __post_init__(self) -> None:
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise ValueError(f"GPTConfig: expected {name} of 1 or more, got {getattr(self, name)}")
        if self.n_embd % self.n_head:
            raise ValueError(
                f"GPTConfig: expected n_head to divide n_embd={self.n_embd}, got {self.n_head} heads"
            )
        if self.positions not in ("learned", "rotary"):
            raise ValueError(
                f'GPTConfig: expected positions to be "learned" or "rotary", got {self.positions!r}'
            )
        if self.positions == "rotary" and self.head_size % 2:
            raise ValueError(
                "GPTConfig: rotary positions turn pairs of numbers; expected an even n_embd / n_head, "
                f"got {self.head_size}"
            )

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.n_embd // self.n_head


class CausalSelfAttention(Module):
    """Every token looks at itself and at those before it; x (b, t, c) -> (b, t, c)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """x (b, t, c) -> (b, t, c); with a cache, x are the tokens that follow those in it."""
        qkv = self._queries_keys_values(x, 0 if cache is None else cache.length)
        if cache is not None:
            return self.c_proj(cache.attend(qkv))
        p = self.config.dropout if self.training else 0.0
        return self.c_proj(ops.self_attention(qkv, self.config.n_head, is_causal=True, dropout_p=p))

    def weights(self, x: Tensor) -> Tensor:
        """How much each token looks at each: (b, heads, t, t), rows that sum to one, zeros for the future."""
        b, t, _ = x.shape
        split = self._queries_keys_values(x, 0).reshape(b, t, 3, self.config.n_head, self.config.head_size)
        queries, keys = (split[:, :, i].transpose(1, 2) for i in (0, 1))
        scores = queries @ keys.mT / math.sqrt(self.config.head_size)
        return ops.softmax(scores.masked_fill(Tensor(~np.tri(t, dtype=np.bool_)), -math.inf), dim=-1)

    def _queries_keys_values(self, x: Tensor, start: int) -> Tensor:
        qkv = self.c_attn(x)
        if self.config.positions == "rotary":
            size = self.config.head_size
            qkv = ops.rotary_embedding(qkv, offset=start, head_size=size, rotated=2 * self.config.n_embd)
        return qkv


class FeedForward(Module):
    """Two linear layers with GELU between, for each token alone; x (b, t, c) -> (b, t, c)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.c_fc = Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (b, t, c) -> (b, t, c)."""
        if type(self.c_fc) is not Linear or self.c_fc._hooks is not None:  # it must be called
            return self.c_proj(ops.gelu(self.c_fc(x), approximate="tanh"))
        return self.c_proj(ops.linear(x, self.c_fc.weight, self.c_fc.bias, activation="gelu_tanh"))


class Block(Module):
    """`x + attn(ln_1(x))`, then `x + mlp(ln_2(x))`: normalised before, so the sum itself goes through."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = FeedForward(config)
        self.dropout = config.dropout

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """x (b, t, c) -> (b, t, c)."""
        x = x + F.dropout(self.attn(self.ln_1(x), cache), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)


class GPT(Module):
    """A language model: tokens (b, t) -> logits of the token that follows each, (b, t, vocab_size).

    Embedding (+ positions) -> `n_layer` × (norm, attention, norm, MLP, each added to what came in) -> norm ->
    the embedding's own table once more, as the output layer (weight tying). Names of parameters are GPT-2's;
    its files are read by `models.load_gpt2`.

    Starts as GPT-2 does: normal with standard deviation 0.02, biases zero, and what is added to the sum,
    the two `c_proj` of a block, smaller by sqrt(2 · n_layer).

    Raises IndexError for a token that is none of vocab_size, ValueError for a context over block_size.
    Cost: about 2 · parameters FLOPs a token, and 2 · n_layer · t · n_embd more for attention at place t.
    Source: A. Vaswani et al., "Attention is all you need", 2017; A. Radford et al., "Language models are
    unsupervised multitask learners", 2019.

    >>> import tinytorch as tt
    >>> model = GPT(GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128))
    >>> model(tt.zeros(2, 10, dtype=tt.int64)).shape, sum(p.data.size for p in model.parameters())
    ((2, 10, 65), 809856)
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.wte = Embedding(config.vocab_size, config.n_embd)
        learned = config.positions == "learned"
        self.wpe = Embedding(config.block_size, config.n_embd) if learned else None
        self.h = ModuleList([Block(config) for _ in range(config.n_layer)])
        self.ln_f = LayerNorm(config.n_embd, bias=config.bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        smaller = 0.02 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                init.normal_(parameter, std=smaller if name.endswith("c_proj.weight") else 0.02)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def forward(self, tokens: Any, cache: KVCache | None = None) -> Tensor:
        """Tokens (b, t) -> logits (b, t, vocab_size); with a cache, tokens follow those that it has seen."""
        return self.head(self.hidden(tokens, cache))

    def hidden(self, tokens: Any, cache: KVCache | None = None) -> Tensor:
        """Tokens (b, t) -> what the output layer sees, (b, t, n_embd)."""
        if cache is not None and (last := next_hidden(self, tokens, cache)) is not None:
            return last
        x = self._embed(tokens, 0 if cache is None else cache.length)
        for i, block in enumerate(self.h):
            x = block(x, None if cache is None else cache.layers[i])
        return self.ln_f(x)

    def head(self, hidden: Tensor) -> Tensor:
        """(..., n_embd) -> logits (..., vocab_size)."""
        table: Any = self.wte
        if not isinstance(table, Embedding):  # a quantised one, say, which multiplies in its own way
            return table.as_output(hidden)
        return ops.linear(hidden, table.weight, None)

    def attention_maps(self, tokens: Any) -> list[Tensor]:
        """For each block, how much each token looks at each: (b, heads, t, t). Memory grows with t²."""
        x, maps = self._embed(tokens, 0), []
        for block in self.h:
            maps.append(block.attn.weights(block.ln_1(x)))
            x = block(x)
        return maps

    def new_cache(self, batch: int = 1) -> KVCache:
        """An empty cache for `batch` sequences of up to block_size tokens."""
        c = self.config
        dtype, places = next(self.ln_f.parameters()).dtype, np.arange(c.block_size)
        table = turns(places, c.head_size // 2, 1e4, False, dtype) if c.positions == "rotary" else None
        return KVCache(
            c.n_layer, batch, c.n_head, c.block_size, c.head_size, dtype, turns=table, modules=layers_of(self)
        )

    def parameter_groups(self, weight_decay: float = 0.1) -> list[dict[str, Any]]:
        """For an optimiser: matrices and tables with weight decay, biases and norms without."""
        parameters = list(self.parameters())
        return [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]

    def _embed(self, tokens: Any, start: int) -> Tensor:
        tokens = tokens if isinstance(tokens, Tensor) else Tensor(np.asarray(tokens))
        if tokens.ndim != 2:
            raise ValueError(f"GPT: expected tokens of shape (batch, time), got {tokens.shape}")
        end, longest = start + tokens.shape[1], self.config.block_size
        if end > longest:
            raise ValueError(
                f"GPT: expected at most {longest} tokens (block_size), got {end}. Cut the context."
            )
        x = self.wte(tokens)
        if self.wpe is not None:
            plain = isinstance(self.wpe, Embedding)
            x = x + (self.wpe.weight[start:end] if plain else self.wpe(Tensor(np.arange(start, end))))
        return F.dropout(x, self.config.dropout, self.training)
