"""What a language model is asked beside its loss: what it writes, what attention costs and a cache saves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import viz
from tinytorch.milestone.language import TEMPERATURE, write
from tinytorch.milestone.run import Run
from tinytorch.nn import functional as F
from tinytorch.systems import peak_memory
from tinytorch.tensor import Tensor
from tinytorch.text import bigram_loss, copied_windows, generate, known_words, unigram_loss

JUDGED = 4000  # tokens that are written to be judged
LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
MAPPED = 32  # tokens of a map of attention


def study_language_model(run: Run) -> dict[str, Any]:
    """Acts two and three: what it writes, beside models that count; what attention costs with the length of
    the context; how fast it writes with a cache. Returns the same as facts."""
    counted = baselines(run)
    run.say(
        "[bold]Models that count[/]  "
        + ", ".join(f"{name} {loss:.3f} nats per character" for name, loss in counted.items())
        + "\n"
    )
    judged = judge(run)
    cost = attention_cost()
    run.say(
        "\n[bold]What attention costs[/]  4 heads of 32, forward and backward: tile by tile, and "
        "(second lines) with all scores"
    )
    run.say("  tokens" + "".join(f"{row['t']:>10,}" for row in cost))
    for name, unit, factor in (("seconds", "ms", 1e3), ("mib", "MiB", 1.0)):
        for kind in ("", "naive_"):
            cells = [f"{factor * row[kind + name]:.2f}" if kind + name in row else "–" for row in cost]
            run.say(f"  {unit + (' ' if kind else ''):<6}" + "".join(f"{cell:>10}" for cell in cells))
    run.say("")
    speed = generation_speed(run)
    run.say(
        f"[bold]Act three[/]  {run.model.config.block_size} tokens, one by one: "
        f"{speed['cached']:,.0f} tokens/s with keys and values cached, {speed['recomputed']:,.0f} without, "
        f"{speed['cached'] / speed['recomputed']:.1f} ×; the same text\n"
    )
    run.notes.update(baselines=counted, cost=cost)
    return {"baselines": counted, **judged, "attention_cost": cost, "tokens_per_second": speed}


def draw_language_model(run: Run) -> None:
    """The learning curve beside the baselines, attention on a line of the text, and its cost."""
    if run.history:
        viz.language_curve(
            run.history, run.notes["baselines"], run.milestone.marks, run.picture("learning_curve.png"),
            title=f"{run.milestone.title}, learned", metric=run.milestone.metric.name,
        )  # fmt: skip
    maps, tokens = maps_of(run, run.data.extra["asked"][:MAPPED])
    viz.attention_maps(
        maps, tokens, run.picture("attention.png"), title="Where each head looks, layer by layer"
    )
    viz.attention_cost(
        run.notes["cost"], run.picture("attention_cost.png"), title="What attention costs, 4 heads of 32"
    )


def baselines(run: Run) -> dict[str, float]:
    """Nats per character of models that count single tokens, and pairs of them."""
    (train, _), (test, following) = run.data.train, run.data.test
    tokenizer = run.data.extra["tokenizer"]
    asked = np.append(test.ravel(), following[-1, -1]).astype(np.int64)
    learned = train.ravel().astype(np.int64)
    per_character = following.size / len(tokenizer.decode(following.ravel()))
    counts: dict[str, Callable[..., float]] = {"unigram": unigram_loss, "bigram": bigram_loss}
    return {name: loss(learned, asked, tokenizer.vocab_size) * per_character for name, loss in counts.items()}


def judge(run: Run) -> dict[str, float]:
    """How much of what it writes are words of the text that it learned from, and how much is copied."""
    text, corpus = write(run, JUDGED), run.data.extra["text"]
    found = {"known_words": known_words(text, corpus), "copied_windows": copied_windows(text, corpus)}
    run.say(
        f"[bold]What it writes[/]  {JUDGED:,} tokens at temperature {TEMPERATURE:g}: "
        f"{found['known_words']:.1%} of the words of three letters or more\n"
        f"  occur in the text it read, {found['copied_windows']:.1%} of all stretches of 40 characters "
        "are copied from it"
    )
    return found


def attention_cost(heads: int = 4, size: int = 32) -> list[dict[str, float]]:
    """Seconds and MiB of one forward and backward pass of causal attention over the length of the context:
    tile by tile, and (`naive_`) with all scores in memory, as long as these are no more than 64 MiB."""
    rows = []
    for t in LENGTHS:
        row: dict[str, float] = {"t": t}
        for name, attend in (("", _tiled), ("naive_", _with_all_scores)):
            if not name or 4 * heads * t * t <= 2**26:
                qkv = [tt.randn(1, heads, t, size, requires_grad=True) for _ in range(3)]
                seconds, mib = _cost(lambda qkv=qkv, attend=attend: attend(*qkv).sum().backward())
                row |= {f"{name}seconds": seconds, f"{name}mib": mib}
        rows.append(row)
    return rows


def _tiled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _with_all_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    future = tt.tensor(~np.tri(q.shape[-2], dtype=np.bool_))
    return F.softmax(scores.masked_fill(future, -np.inf), dim=-1) @ v


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, the least of three after one to warm up; and MiB at most, beside what was there."""
    work()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    with peak_memory() as peak:
        work()
    return min(times), peak.mib


def generation_speed(run: Run) -> dict[str, float]:
    """Tokens per second over one context, with the cache and without."""
    context, found = run.model.config.block_size, {}
    for name, cached in (("cached", True), ("recomputed", False)):
        for _ in range(2):  # the first gets the kernels ready
            began = time.perf_counter()
            written = generate(run.model, [0], context - 1, seed=0, use_cache=cached)
            found[name] = (len(written) - 1) / (time.perf_counter() - began)
    return found


def maps_of(run: Run, text: str) -> tuple[np.ndarray, list[str]]:
    """The attention of every layer and head on a text, (layers, heads, t, t), and its tokens."""
    model, tokenizer = run.model, run.data.extra["tokenizer"]
    tokens = tokenizer.encode(text)
    model.eval()
    with tt.no_grad():
        maps = [weights.numpy()[0] for weights in model.attention_maps(tokens[None])]
    model.train()
    return np.stack(maps), [tokenizer.decode([int(token)]) for token in tokens]
