"""Module 19: the same numbers, sooner."""

import time

import numpy as np

from grading.checkpoints.checking import near
from grading.gates import require


def _loops(x, y):
    out = [[0.0] * len(y[0]) for _ in x]
    for i, row in enumerate(x):
        for k, a in enumerate(row):
            for j, b in enumerate(y[k]):
                out[i][j] += a * b
    return out


def test_a_product_is_exact_to_rounding(names, rng):
    x, y = rng.normal(size=(2, 200, 200)).astype("f4")
    near(names.tensor(x) @ names.tensor(y), x.astype(float) @ y.astype(float), "a @ b of 200 × 200", 1e-4)


def test_a_product_is_sooner_than_loops(names, rng):
    x, y = rng.normal(size=(2, 96, 96)).astype("f4")
    a, b = names.tensor(x), names.tensor(y)
    a @ b
    began = time.perf_counter()
    _loops(x.tolist(), y.tolist())
    loops = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(10):
        a @ b
    times = loops / ((time.perf_counter() - began) / 10)
    require(times > 20, f"96 × 96: expected 20 × as fast as three loops, got {times:.0f} ×")


def test_a_batch_is_sooner_than_its_examples(names, rng):
    layer, x = names("Linear")(256, 256), rng.normal(size=(64, 256)).astype("f4")
    whole, rows = names.tensor(x), [names.tensor(row[None]) for row in x]
    layer(whole)
    times = []
    for calls in ([whole], rows):
        began = time.perf_counter()
        for _ in range(5):
            for call in calls:
                layer(call)
        times.append(time.perf_counter() - began)
    require(times[0] < 0.5 * times[1], f"64 examples: {times[0]:.4f} s at once, {times[1]:.4f} s one by one")


def test_numbers_that_are_not_finite_stay_so(names):
    x = np.array([[np.nan, 1.0], [np.inf, -np.inf]], "f4")
    require(bool(np.isnan(np.asarray((names.tensor(x) * 1.0).data)[0, 0])), "NaN * 1: expected NaN")
