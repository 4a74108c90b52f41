"""19 Acceleration: kernels that give the same numbers, sooner.

How many times faster than a loop in Python a kernel has to be is set low: machines are shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

TIMES = 20  # faster than the loop


def seconds(call: Callable[[], Any], calls: int = 5) -> float:
    """The shortest of some calls: what disturbs them only makes them longer."""
    spent = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return min(spent)


def faster(what: str, kernel: Callable[[], Any], loop: Callable[[], Any]) -> None:
    kernel()  # the first call may compile it
    times = seconds(loop, 1) / seconds(kernel)
    holds(times > TIMES, f"{what}: expected {TIMES} × as fast as a loop in Python, got {times:.1f} ×",
          "Hand whole arrays to NumPy, or compile the loop with Numba.")  # fmt: skip


def single(*shape: int, seed: int = 0) -> np.ndarray:
    return naive.numbers(*shape, seed=seed).astype(np.float32)


def test_products_of_awkward_sizes(lib: Names):
    for m, k, n in ((1, 1, 1), (1, 65, 1), (7, 17, 33), (64, 64, 64), (65, 3, 129)):
        a, b = single(m, k), single(k, n, seed=1)
        expected = a.astype(np.float64) @ b.astype(np.float64)
        close(f"({m}, {k}) @ ({k}, {n})", lib.tensor(a) @ lib.tensor(b), expected,
              "What is left over behind the last whole block counts, too.", 1e-4)  # fmt: skip


def test_products_of_turned_matrices(lib: Names):
    a, b = single(40, 30), single(40, 20, seed=1)
    found = lib.tensor(a).transpose(0, 1) @ lib.tensor(b)
    close("a.transpose(0, 1) @ b", found, a.T.astype(np.float64) @ b, "Mind the strides.", 1e-4)


def test_products_are_faster_than_a_loop(lib: Names):
    a, b = single(48, 48), single(48, 48, seed=1)
    x, y = lib.tensor(a), lib.tensor(b)
    faster("(48, 48) @ (48, 48)", lambda: x @ y, lambda: naive.matmul(a, b))


def test_convolutions_are_the_same_and_faster(lib: Names):
    x, weight, bias = single(2, 3, 16, 16), single(8, 3, 3, 3), single(8)
    layer, given = lib.Conv2d(3, 8, 3, padding=1), lib.tensor(x)
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    close(
        "Conv2d(3, 8, 3)", layer(given), naive.conv2d(x, weight, bias, 1), "Compare with your own loop.", 1e-3
    )
    faster("Conv2d(3, 8, 3) on 16×16", lambda: layer(given), lambda: naive.conv2d(x, weight, bias, 1))


def test_activations_are_faster_than_a_loop(lib: Names):
    x = single(300, 300)
    gelu, given = lib.GELU(approximate="tanh"), lib.tensor(x)
    faster("GELU of 90,000 numbers", lambda: gelu(given), lambda: [naive.gelu(float(v)) for v in x.ravel()])


def test_a_batch_is_faster_than_its_examples(lib: Names):
    layer, x = lib.Linear(256, 256), single(64, 256)
    whole, rows = lib.tensor(x), [lib.tensor(row[None]) for row in x]
    layer(whole)
    times = seconds(lambda: [layer(row) for row in rows]) / seconds(lambda: layer(whole))
    holds(times > 2, f"64 examples at once: expected 2 × as fast as one by one, got {times:.1f} ×",
          "One product of matrices reads the weights once.")  # fmt: skip


def test_what_is_no_number_stays_none(lib: Names):
    found = numbers(lib.tensor(np.array([np.nan, np.inf, -np.inf], np.float32)) * 2.0)
    got = [str(value) for value in found]
    holds(got == ["nan", "inf", "-inf"], f"twice NaN, inf and -inf: expected the same, got {got}",
          "A kernel that assumes finite numbers hides a training that has failed.")  # fmt: skip


def test_long_sums_stay_exact(lib: Names):
    x = np.full(1 << 20, 0.1, np.float32)
    expected = float(x.astype(np.float64).sum())
    close("the sum of a million times 0.1", lib.tensor(x).sum(), expected,
          "One float32 loses bits as it grows: add up in parts, or in float64.", 1e-5)  # fmt: skip


def test_threads_change_no_bit(lib: Names):
    a, b, x = single(96, 80), single(80, 72, seed=1), single(8, 3, 12, 12)
    layer = lib.Conv2d(3, 8, 3, padding=1)
    found = []
    try:
        for threads in (1, 2):
            lib.set_num_threads(threads)
            parts = lib.tensor(a) @ lib.tensor(b), lib.tensor(a).sum(), layer(lib.tensor(x))
            found.append([numbers(part).copy() for part in parts])
    finally:
        lib.set_num_threads(1)
    for name, one, two in zip(("a product", "a sum", "a convolution"), *found, strict=True):
        close(f"{name} with 2 threads, beside 1", two, one, "Each thread owns what it writes.", 1e-4)
        holds(
            np.array_equal(one, two),
            f"{name} with 1 thread and with 2: expected the same bits, got others",
            "Split the outputs among the threads, never a sum.",
        )


def test_the_same_call_gives_the_same_bits(lib: Names):
    a, b = lib.tensor(single(96, 80)), lib.tensor(single(80, 72, seed=1))
    first = numbers(a @ b).copy()
    for _ in range(5):
        holds(np.array_equal(first, numbers(a @ b)), "a product, again: expected the same bits, got others",
              "Do two threads write to one place?")  # fmt: skip
