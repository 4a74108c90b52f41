"""Module 18: a cache of keys and values."""

import time

from grading.gates import require


def _gpt(names, block=256):
    return names("GPT")(
        names("GPTConfig")(vocab_size=11, block_size=block, n_layer=2, n_head=2, n_embd=64)
    ).eval()


def test_it_writes_the_same_tokens(names):
    model = _gpt(names, 32)
    found = [
        list(names("generate")(model, [1, 2, 3], 20, seed=0, use_cache=cached)) for cached in (True, False)
    ]
    require(found[0] == found[1], "with a cache other tokens are written than without")


def test_it_writes_sooner(names):
    model, times = _gpt(names), []
    for cached in (True, False):
        names("generate")(model, [1], 8, seed=0, use_cache=cached)
        began = time.perf_counter()
        names("generate")(model, [1], 200, seed=0, use_cache=cached)
        times.append(time.perf_counter() - began)
    require(times[0] < 0.7 * times[1], f"200 tokens: {times[0]:.2f} s with a cache, {times[1]:.2f} s without")
