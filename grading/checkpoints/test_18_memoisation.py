"""18 Memoisation: a cache of keys and values, so that each token is read once.

`model(tokens)` gives logits (batch, t, vocabulary); `model.new_cache(batch)` an empty cache, and
`model(tokens, cache=cache)` the logits of tokens that follow those in it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from grading.checkpoints.expect import close, holds, refuses
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

CONTEXT = 24
TOKENS = np.random.default_rng(0).integers(0, 11, (2, CONTEXT))


def model_of(lib: Names, **options: Any) -> Any:
    lib.seed()
    sizes = {"vocab_size": 11, "block_size": CONTEXT, "n_layer": 2, "n_head": 2, "n_embd": 16} | options
    model = lib.GPT(lib.GPTConfig(**sizes))
    model.eval()
    return model


def in_parts(lib: Names, model: Any, tokens: np.ndarray, *ends: int) -> np.ndarray:
    """Logits of all tokens, read up to each of `ends` in turn."""
    cache, begin, found = model.new_cache(len(tokens)), 0, []
    for end in ends:
        found.append(numbers(model(lib.tensor(tokens[:, begin:end]), cache=cache)))
        begin = end
    return np.concatenate(found, axis=1)


def whole(lib: Names, model: Any, tokens: np.ndarray = TOKENS) -> np.ndarray:
    return numbers(model(lib.tensor(tokens)))


def test_token_by_token_gives_the_same(lib: Names):
    model = model_of(lib)
    found = in_parts(lib, model, TOKENS, *range(1, CONTEXT + 1))
    close("logits, one token at a time", found, whole(lib, model),
          "A new token's query meets the keys of all before it, and its own.", 1e-4)  # fmt: skip


def test_any_parts_give_the_same(lib: Names):
    model = model_of(lib)
    for ends in ((CONTEXT,), (10, 11, CONTEXT), (1, 9, 17, CONTEXT)):
        close(f"logits, read up to {list(ends)}", in_parts(lib, model, TOKENS, *ends), whole(lib, model),
              "Within a part, too, a token sees only what came before: mask it, moved by the cache's length.",
              1e-4)  # fmt: skip


def test_places_go_on_counting(lib: Names):
    model, same = model_of(lib), np.full((1, 8), 3)
    found = in_parts(lib, model, same, *range(1, 9))
    close("logits of one token eight times", found, whole(lib, model, same),
          "The place of a new token is the cache's length, not 0.", 1e-4)  # fmt: skip


def test_a_cache_knows_its_length(lib: Names):
    model = model_of(lib)
    cache = model.new_cache(2)
    got = [cache.length]
    for end in (5, 6):
        model(lib.tensor(TOKENS[:, got[-1] : end]), cache=cache)
        got.append(cache.length)
    holds(
        got == [0, 5, 6],
        f"cache.length before, after 5 tokens and one more: expected [0, 5, 6], got {got}",
        "Count once for the whole model, not once for each layer.",
    )


def test_a_cache_can_be_emptied(lib: Names):
    model = model_of(lib)
    cache = model.new_cache(2)
    model(lib.tensor(TOKENS[:, 12:]), cache=cache)
    cache.reset()
    found = numbers(model(lib.tensor(TOKENS[:, :5]), cache=cache))
    close("logits after cache.reset()", found, whole(lib, model)[:, :5], "As if it were new.", 1e-4)


def test_two_caches_do_not_meet(lib: Names):
    model = model_of(lib)
    first, second = model.new_cache(1), model.new_cache(1)
    model(lib.tensor(TOKENS[:1, :6]), cache=first)
    model(lib.tensor(TOKENS[1:, :6]), cache=second)
    found = numbers(model(lib.tensor(TOKENS[:1, 6:9]), cache=first))
    close("the first text, after another was begun", found, whole(lib, model)[:1, 6:9],
          "Keys and values belong to the cache, not to the layer.", 1e-4)  # fmt: skip


def test_more_than_the_context_is_refused(lib: Names):
    model = model_of(lib)
    cache = model.new_cache(1)
    model(lib.tensor(TOKENS[:1]), cache=cache)
    refuses(
        f"token {CONTEXT + 1} of a context of {CONTEXT}",
        lambda: model(lib.tensor(TOKENS[:1, :1]), cache=cache),
        "There is no place for it.",
    )


def test_the_past_is_not_read_again(lib: Names):
    model = model_of(lib, block_size=256, n_embd=64)
    tokens = np.random.default_rng(0).integers(0, 11, (1, 256))
    cache = model.new_cache(1)
    model(lib.tensor(tokens[:, :200]), cache=cache)
    whole(lib, model, tokens[:, :230])
    with_cache, without = [], []
    for end in range(201, 231):
        for spent, call in (
            (with_cache, lambda end=end: model(lib.tensor(tokens[:, end - 1 : end]), cache=cache)),
            (without, lambda end=end: model(lib.tensor(tokens[:, :end]))),
        ):
            began = time.perf_counter()
            call()
            spent.append(time.perf_counter() - began)
    times = float(np.median(without) / np.median(with_cache))
    holds(times > 2, f"a token after 200 others: expected at least 2 × as fast as reading all again, got "
          f"{times:.1f} ×", "Is the cache read, or only filled?")  # fmt: skip
