"""Writing 255 tokens after a first one, with keys and values cached and without: the GPT of `gpt.py`, with
room for 256 tokens.

Each token is drawn from the model's probabilities. PyTorch has a cache of its own here, preallocated like
ours, under `inference_mode`.

With weights in 8 or 4 bits the peer is ourselves in float32 (`ours-float32`), both with a cache.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.gpt import HEADS, LAYERS, VOCABULARY, WIDTH, torch_model
from benchmarks.workload import OURS, Step, Workload

CONTEXT = 256


def ours(cached: bool, bits: int = 32) -> Step:
    from tinytorch.models import GPT, GPTConfig
    from tinytorch.systems import quantize_weight_only
    from tinytorch.text import generate

    model = GPT(GPTConfig(VOCABULARY, CONTEXT, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH))
    if bits < 32:
        model = quantize_weight_only(model, bits)
    return lambda: generate(model, [0], CONTEXT - 1, seed=0, use_cache=cached)


def torch(cached: bool) -> Step:
    import torch
    from torch.nn import functional

    model, size = torch_model(CONTEXT).eval(), WIDTH // HEADS
    kept = torch.empty(LAYERS, 2, 1, HEADS, CONTEXT, size)

    def block_step(block: Any, x: Any, cache: Any, place: int) -> Any:
        q, k, v = block.c_attn(block.ln_1(x)).view(1, 3, HEADS, 1, size).unbind(1)
        cache[0][:, :, place : place + 1], cache[1][:, :, place : place + 1] = k, v
        y = functional.scaled_dot_product_attention(
            q, cache[0][:, :, : place + 1], cache[1][:, :, : place + 1]
        )
        x = x + block.attn_proj(y.reshape(1, 1, WIDTH))
        return x + block.mlp_proj(functional.gelu(block.c_fc(block.ln_2(x)), approximate="tanh"))

    def logits(tokens: Any) -> Any:
        if not cached:
            return model(tokens)[0, -1]
        place = tokens.shape[1] - 1
        x = model.wte(tokens[:, -1:]) + model.wpe.weight[place]
        for block, cache in zip(model.h, kept, strict=True):
            x = block_step(block, x, cache, place)
        return functional.linear(model.ln_f(x), model.wte.weight)[0, -1]

    def step() -> object:
        tokens = torch.zeros(1, 1, dtype=torch.int64)
        with torch.inference_mode():
            for _ in range(CONTEXT - 1):
                drawn = torch.multinomial(torch.softmax(logits(tokens), dim=0), 1)
                tokens = torch.cat([tokens, drawn[None]], dim=1)
        return tokens

    return step


WORKLOADS = [
    Workload(
        f"generate {name} t{CONTEXT}",
        {OURS: partial(ours, cached), "torch-eager": partial(torch, cached)},
        slow=True,
    )
    for name, cached in (("cached", True), ("recomputed", False))
] + [
    Workload(
        f"generate int{bits} t{CONTEXT}",
        {OURS: partial(ours, True, bits), "ours-float32": partial(ours, True)},
        slow=True,
    )
    for bits in (8, 4)
]
