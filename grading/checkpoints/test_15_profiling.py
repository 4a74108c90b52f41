"""15 Profiling: parameters, FLOPs, time and memory, counted."""

from __future__ import annotations

import time

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

MIB = 1 << 20
COUNT = "A multiplication and an addition are two; Linear(in, out) has 2 · in · out for each example."


def flops(lib: Names, examples: int) -> float:
    model, _ = lib.layers(20, 30, 10)
    return float(lib.profile(model, lib.tensor(naive.numbers(examples, 20).astype(np.float32))).flops)


def test_parameters_are_counted(lib: Names):
    model, _ = lib.layers(20, 30, 10)
    got = lib.profile(model, lib.tensor(np.ones((1, 20), np.float32))).params
    holds(got == 940, f"parameters of 20-30-10: expected 20·30 + 30 + 30·10 + 10 = 940, got {got}",
          "Weights and biases, each once.")  # fmt: skip


def test_operations_are_counted(lib: Names):
    products, rest, got = 2 * (20 * 30 + 30 * 10), 30 + 10 + 30, flops(lib, 1)
    holds(
        products <= got <= products + rest,
        f"FLOPs of 20-30-10: expected {products} for the products and at "
        f"most {rest} more for biases and ReLU, got {got:g}",
        COUNT,
    )


def test_twice_the_batch_is_twice_the_work(lib: Names):
    one, two = flops(lib, 4), flops(lib, 8)
    holds(
        two == 2 * one,
        f"FLOPs of 8 examples and of 4: expected twice as many, got {two:g} and {one:g}",
        COUNT,
    )


def test_profiling_changes_nothing(lib: Names):
    model, layers = lib.layers(6, 5, 4)
    before = [numbers(layer.weight).copy() for layer in layers]
    lib.profile(model, lib.tensor(np.ones((2, 6), np.float32)))
    for layer, weight in zip(layers, before, strict=True):
        close("a weight after profiling", layer.weight, weight, "Measure, and leave the model as it was.")
        holds(layer.weight.grad is None, "gradients after profiling: expected none, got some", "Clean up.")


def test_a_call_takes_as_long_as_it_takes(lib: Names):
    got = lib.latency(lambda: time.sleep(0.004), repeats=7, warmup=1)
    holds(
        0.004 <= got < 0.012,
        f"latency of a call that sleeps 4 ms: expected 0.004 to 0.012 s, got {got:.6f}",
        "Seconds of one call, by time.perf_counter.",
    )


def test_warming_up_is_not_counted(lib: Names):
    calls = []

    def slow_at_first() -> None:
        calls.append(0)
        time.sleep(0.05 if len(calls) <= 2 else 0.001)

    got = lib.latency(slow_at_first, repeats=5, warmup=2)
    holds(
        len(calls) == 7, f"calls for warmup=2 and repeats=5: expected 7, got {len(calls)}", "Warm up first."
    )
    holds(got < 0.02, f"latency without two slow first calls: expected about 0.001 s, got {got:.4f}",
          "Compilation and caches belong to the first calls.")  # fmt: skip


def test_one_slow_call_does_not_matter(lib: Names):
    calls = []

    def sometimes_slow() -> None:
        calls.append(0)
        time.sleep(0.08 if len(calls) == 4 else 0.001)

    got = lib.latency(sometimes_slow, repeats=9, warmup=0)
    holds(got < 0.007, f"latency with one slow call in nine: expected about 0.001 s, got {got:.4f}",
          "The median, not the mean.")  # fmt: skip


def test_memory_is_that_of_the_peak(lib: Names):
    kept = np.ones(16 * MIB, np.uint8)
    with lib.peak_memory() as peak:
        for _ in range(3):
            passing = np.ones(8 * MIB, np.uint8)
            del passing
    got = peak.bytes / MIB
    holds(
        8 <= got < 9,
        f"peak of three arrays of 8 MiB, one after the other, beside {kept.nbytes // MIB} MiB "
        f"from before: expected 8 to 9 MiB, got {got:.1f}",
        "The most at one time, above what there was.",
    )
