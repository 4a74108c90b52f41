"""What the tools of milestone 6 have to show: the profiler, the cache of keys and values, distillation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from grading import exams
from grading.gates import require
from grading.optimised import as_module, in_turn
from grading.thresholds import MILESTONES, ROOT, SYSTEMS
from tinytorch import nn, optim
from tinytorch.models import GPT, MLP, GPTConfig, LeNet
from tinytorch.nn import functional as F
from tinytorch.serialization import load
from tinytorch.systems import DistillationLoss, memray_peak, profile
from tinytorch.text import generate

# --- the profiler ---------------------------------------------------------------------------------------


def counts_are_right() -> None:
    """Parameters and FLOPs of every layer of a LeNet: two for a multiplication and its sum, one for each
    bias, ReLU and comparison."""
    costs = profile(LeNet(3, 32, channels=(6, 16), hidden=84), (3, 32, 32), repeats=0)
    by_hand = [
        ("Conv2d", 6 * (27 + 1), 1024 * 6 * (2 * 27 + 1)),
        ("ReLU", 0, 1024 * 6),
        ("MaxPool2d", 0, 256 * 6 * 4),
        ("Conv2d", 16 * (54 + 1), 256 * 16 * (2 * 54 + 1)),
        ("ReLU", 0, 256 * 16),
        ("MaxPool2d", 0, 64 * 16 * 4),
        ("Flatten", 0, 0),
        ("Linear", 84 * (1024 + 1), 84 * (2 * 1024 + 1)),
        ("ReLU", 0, 84),
        ("Linear", 10 * (84 + 1), 10 * (2 * 84 + 1)),
    ]
    found = [(layer.kind, layer.params, layer.flops) for layer in costs.layers]
    rest = [row for row in found if row not in by_hand]
    require(
        found == by_hand,
        f"profile: expected a LeNet's layers with parameters and FLOPs as counted by hand, got {rest}",
    )
    sums = (sum(params for _, params, _ in by_hand), sum(flops for *_, flops in by_hand))
    require(
        (costs.params, costs.flops) == sums,
        f"profile: expected sums of {sums}, got {costs.params, costs.flops}",
    )


def profiled_seconds_are_true() -> None:
    """The layers' times add up to what a clock says of a forward and backward pass that nobody watches."""
    model, x = LeNet(3, 32), tt.randn(32, 3, 32, 32)

    def work() -> None:
        model.zero_grad()
        model(x).sum().backward()

    ratios = []
    for _ in range(SYSTEMS["attempts"]):
        (before,), costs, (after,) = in_turn([work], 0.1), profile(model, x, repeats=5), in_turn([work], 0.1)
        ratios.append(costs.seconds / statistics.fmean((before, after)))
    apart = abs(statistics.median(ratios) - 1)
    require(
        apart <= SYSTEMS["profiled_within"],
        f"profile: expected seconds within {SYSTEMS['profiled_within']:.0%} of the clock's, got "
        f"{statistics.median(ratios):.3f} times these in the middle of {len(ratios)} rounds, "
        f"{min(ratios):.3f} to {max(ratios):.3f}",
    )


def profiled_bytes_are_true() -> None:
    """What it says that is alive at most is what memray sees beside the model."""
    model, x = LeNet(3, 32), tt.randn(64, 3, 32, 32)
    costs = profile(model, x, repeats=1)

    def work() -> None:
        model(x).sum().backward()
        model.zero_grad(set_to_none=True)

    seen = memray_peak(work)
    ratio = costs.peak_bytes / seen
    require(
        abs(ratio - 1) <= SYSTEMS["profiled_within"],
        f"profile: expected a peak within {SYSTEMS['profiled_within']:.0%} of memray's {seen:,} bytes, got "
        f"{costs.peak_bytes:,}",
    )


# --- the cache ------------------------------------------------------------------------------------------


def cache_pays() -> None:
    """A GPT writes `cache_tokens` tokens so many times as fast with its keys and values cached, its cache is
    read, and its logits are those without."""
    count = SYSTEMS["cache_tokens"]
    tt.manual_seed(0)
    model = GPT(GPTConfig(65, count, n_layer=4, n_head=4, n_embd=128, positions="rotary")).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            parameter.data[...] *= 3  # so that what is looked at matters
    tokens = np.random.default_rng(0).integers(0, 65, (1, count))
    with tt.no_grad():
        whole = model(tt.tensor(tokens)).numpy()[0]
        cache, apart = model.new_cache(1), 0.0
        for t in range(count):
            logits = model.head(model.hidden(tokens[:, t : t + 1], cache)).numpy()[0, 0]
            apart = max(apart, float(np.abs(logits - whole[t]).max()))
    require(
        apart <= SYSTEMS["cached"], f"cache: expected logits within {SYSTEMS['cached']:g}, got {apart:.3g}"
    )
    times = [
        _seconds(lambda cached=cached: generate(model, [0], count - 1, seed=0, use_cache=cached))
        for cached in (True, False)
    ]
    require(
        times[1] / times[0] >= SYSTEMS["cache_times"],
        f"cache: expected {count} tokens {SYSTEMS['cache_times']:g} × as fast with a cache, got "
        f"{times[1] / times[0]:.2f} ×. Is it read, or is everything computed again?",
    )


def _seconds(work: Callable[[], object]) -> float:
    """The least of a few runs."""
    times = []
    for _ in range(SYSTEMS["cache_runs"]):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


# --- distillation ---------------------------------------------------------------------------------------


def student_is_better(loss: Callable[..., Any] | None = None) -> float:
    """A student that learns from the answers of a CNN beats the same student, taught by the labels alone.

    Both see the same few images in the same order, with the same recipe. The teacher has learned from more,
    which is what it passes on.
    """
    of = SYSTEMS["distilled"]
    exam, milestone = exams.exam("digits"), MILESTONES["cnn-digits"]
    shipped = load(ROOT / "milestones" / "weights" / "cnn_digits.safetensors")["weights"]
    network: Any = milestone.network
    teacher = as_module(network, shipped)
    criterion = loss or DistillationLoss(of["temperature"], of["alpha"])
    gains = []
    for seed in range(of["seeds"]):
        assert exam.train_x is not None
        assert exam.train_y is not None
        chosen = np.random.default_rng(seed).permutation(len(exam.train_x))[: of["images"]]
        x, y = exam.train_x[chosen], exam.train_y[chosen]
        with tt.no_grad():
            answers = teacher(tt.tensor(network.prepared(x))).numpy()
        alone = _taught(x, y, seed, lambda output, y, rows: F.cross_entropy(output, y))
        taught = _taught(
            x, y, seed, lambda output, y, rows, a=answers: criterion(output, tt.tensor(a[rows]), y)
        )
        gains.append(_right(taught, exam) - _right(alone, exam))
    gain = statistics.fmean(gains)
    told = ", ".join(f"{100 * g:+.1f}" for g in gains)
    require(
        gain >= of["better"],
        f"distillation: expected the student to be {100 * of['better']:g} points better than alone, on the "
        f"mean of {of['seeds']} seeds, got {100 * gain:+.2f} ({told})",
    )
    return gain


def _taught(x: np.ndarray, y: np.ndarray, seed: int, loss: Callable[..., Any]) -> nn.Module:
    of = SYSTEMS["distilled"]
    tt.manual_seed(seed)
    student = MLP(x[0].size, (of["hidden"],), 10)
    steps = of["epochs"] * -(-len(x) // of["batch"])
    optimizer = optim.AdamW(student.parameters(), lr=of["lr"], weight_decay=1e-2)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=of["lr"], total_steps=steps)
    rng = np.random.default_rng(seed)
    for _ in range(of["epochs"]):
        for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // of["batch"])):
            optimizer.zero_grad()
            loss(student(tt.tensor(x[rows])), tt.tensor(y[rows]), rows).backward()
            optimizer.step()
            schedule.step()
    return student.eval()


def _right(model: Any, exam: exams.Exam) -> float:
    with tt.no_grad():
        return float(np.mean(model(tt.tensor(exam.x)).numpy().argmax(1) == exam.y))
