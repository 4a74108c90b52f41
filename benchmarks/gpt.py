"""Milestone 5's training step: a GPT of 4 layers, 4 heads and 128 numbers a token, on contexts of 64 letters.

Forward, backward and AdamW with weight decay on the matrices.  All of PyTorch's variants attend with
`scaled_dot_product_attention`; all but `torch-eager` have the fused optimiser.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import jax_step
from benchmarks.training import repeat
from benchmarks.workload import OURS, Step, Workload

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 65, 64, 4, 4, 128
RATE, BETAS, DECAY = 1e-3, (0.9, 0.99), 0.1


def flops(batch: int) -> float:
    """Of the matrix products: 12 · width² weights a layer, the tied head, and attention to half the context.

    The backward pass takes two products for each of the forward pass.
    """
    a_token = LAYERS * (12 * WIDTH**2 + CONTEXT * WIDTH) + VOCABULARY * WIDTH
    return 3 * 2.0 * batch * CONTEXT * a_token


def letters(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Contexts and the letters that follow, both (batch, CONTEXT)."""
    text = np.random.default_rng(0).integers(0, VOCABULARY, (batch, CONTEXT + 1))
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])


def ours(batch: int) -> Step:
    import tinytorch as tt
    from tinytorch.models import GPT, GPTConfig

    model = GPT(
        GPTConfig(
            vocab_size=VOCABULARY, block_size=CONTEXT, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH
        )
    )  # fmt: skip
    optimizer = tt.optim.AdamW(model.parameter_groups(DECAY), lr=RATE, betas=BETAS)
    x, y = (tt.tensor(array) for array in letters(batch))
    return repeat(optimizer, lambda: tt.cross_entropy(model(x).reshape(-1, VOCABULARY), y.reshape(-1)))


def torch_model(context: int = CONTEXT) -> Any:
    """The same network in PyTorch, with room for `context` tokens."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.c_attn, self.attn_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.c_fc, self.mlp_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            parts = self.c_attn(self.ln_1(x)).split(c, dim=2)
            q, k, v = (part.view(b, t, HEADS, c // HEADS).transpose(1, 2) for part in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.attn_proj(y.transpose(1, 2).reshape(b, t, c))
            return x + self.mlp_proj(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(context, WIDTH)
            self.h = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.ln_f = nn.LayerNorm(WIDTH)
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, tokens: Any) -> Any:
            x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
            for block in self.h:
                x = block(x)
            return functional.linear(self.ln_f(x), self.wte.weight)

    torch.manual_seed(0)
    return Model()


def torch(batch: int, fused: bool = True, compiled: bool = False) -> Step:
    import torch
    from torch.nn import functional

    model = torch_model()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=fused)
    x, y = (torch.from_numpy(array) for array in letters(batch))

    def loss(x: Any, y: Any) -> Any:
        return functional.cross_entropy(model(x).view(-1, VOCABULARY), y.view(-1))

    forward = torch.compile(loss, disable=not compiled)
    return repeat(optimizer, lambda: forward(x, y))


def jax(batch: int) -> Step:
    import jax
    from jax import numpy as jnp

    rng = np.random.default_rng(0)

    def linear(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        weight = 0.02 * rng.standard_normal((inputs, outputs))
        return weight.astype(np.float32), np.zeros(outputs, np.float32)

    def norm() -> tuple[np.ndarray, np.ndarray]:
        return np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    sizes = (WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)
    blocks = [(norm(), norm(), *(linear(*size) for size in sizes)) for _ in range(LAYERS)]
    tables = [(0.02 * rng.standard_normal((n, WIDTH))).astype(np.float32) for n in (VOCABULARY, CONTEXT)]

    def normalize(x: Any, weight: Any, bias: Any) -> Any:
        off = x - x.mean(-1, keepdims=True)
        return off * jax.lax.rsqrt((off**2).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def block(x: Any, ln_1: Any, ln_2: Any, c_attn: Any, attn_proj: Any, c_fc: Any, mlp_proj: Any) -> Any:
        b, t, c = x.shape
        qkv = (normalize(x, *ln_1) @ c_attn[0] + c_attn[1]).reshape(b, t, 3, HEADS, c // HEADS)
        y = jax.nn.dot_product_attention(*(qkv[:, :, i] for i in range(3)), is_causal=True)
        x = x + y.reshape(b, t, c) @ attn_proj[0] + attn_proj[1]
        hidden = jax.nn.gelu(normalize(x, *ln_2) @ c_fc[0] + c_fc[1], approximate=True)
        return x + hidden @ mlp_proj[0] + mlp_proj[1]

    def objective(parameters: Any, tokens: Any, labels: Any) -> Any:
        (wte, wpe), blocks, ln_f = parameters
        x = jnp.take(wte, tokens, axis=0) + wpe
        for weights in blocks:
            x = block(x, *weights)
        logits = normalize(x, *ln_f) @ wte.T
        return jax_step.cross_entropy(logits.reshape(-1, VOCABULARY), labels.reshape(-1))

    optimizer = jax_step.adam(RATE, BETAS, decay=DECAY)
    return jax_step.training_step(objective, (tables, blocks, norm()), optimizer, *letters(batch))


WORKLOADS = [
    Workload(
        f"gpt step b{batch} t{CONTEXT}",
        {
            OURS: partial(ours, batch),
            "torch-eager": partial(torch, batch, fused=False),
            "torch-fused": partial(torch, batch),
            "torch-compile": partial(torch, batch, compiled=True),
            "jax-jit": partial(jax, batch),
        },
        flops=flops(batch),
        measures_memory=True,
    )
    for batch in (12, 32)
]
