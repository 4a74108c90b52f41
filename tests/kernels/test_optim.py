from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import naive_optim as naive
from tests.kernels.layouts import FLOATS, assert_same_for_any_threads, tolerance
from tinytorch.kernels import optim as lib

SMALL = [(3,), (5, 7), (1,), (0,), (2, 2)]
LARGE = [(784, 64), (64,), (64, 10), (10,)]  # several chunks, and parameters that cross them
ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}


def sgd_step(flat, table, offsets, states, step, **options):
    buffer = states[0] if options.get("momentum") else None
    lib.sgd_step(flat, table, offsets, buffer, **options, first=step == 1)


def adam_step(flat, table, offsets, states, step, **options):
    options = dict(options)
    largest = states[2] if options.pop("amsgrad", False) else None
    corrections = {
        "weight_decay": options.pop("weight_decay", 0.0),
        "bias_correction1": 1 - options["beta1"] ** step,
        "bias_correction2": 1 - options["beta2"] ** step,
    }
    lib.adam_step(
        flat, table, offsets, states[0], states[1], **options, **corrections, max_exp_avg_sq=largest
    )


def rmsprop_step(flat, table, offsets, states, step, **options):
    options = dict(options)
    mean = states[2] if options.pop("centered", False) else None
    buffer = states[1] if options.get("momentum") else None
    lib.rmsprop_step(flat, table, offsets, states[0], **options, momentum_buffer=buffer, grad_avg=mean)


CASES = {
    "sgd": (sgd_step, naive.sgd, {"lr": 0.1}),
    "sgd with decay, upwards": (sgd_step, naive.sgd, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "momentum": (sgd_step, naive.sgd, {"lr": 0.1, "momentum": 0.9}),
    "dampening": (sgd_step, naive.sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "nesterov": (sgd_step, naive.sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (adam_step, naive.adam, ADAM),
    "adam with decay": (adam_step, naive.adam, {**ADAM, "weight_decay": 0.1}),
    "adamw": (adam_step, naive.adam, {**ADAM, "weight_decay": 0.1, "decoupled": True}),
    "amsgrad": (adam_step, naive.adam, {**ADAM, "amsgrad": True}),
    "adam upwards": (adam_step, naive.adam, {**ADAM, "maximize": True}),
    "rmsprop": (rmsprop_step, naive.rmsprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-6}),
    "rmsprop centred": (
        rmsprop_step,
        naive.rmsprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-4, "centered": True, "momentum": 0.5},
    ),
    "rmsprop upwards": (
        rmsprop_step,
        naive.rmsprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1, "maximize": True},
    ),
}


def run(shapes, dtype, step, options, steps=4):
    """The flat buffer after some steps, and for a reference to repeat: where it started, the gradients."""
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    gradients = [[rng.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(steps)]
    offsets = np.cumsum([0] + [p.size for p in start])
    flat = np.concatenate([p.ravel() for p in start])
    states = [np.zeros_like(flat) for _ in range(3)]
    for number, arrays in enumerate(gradients, 1):
        step(flat, lib.ids(arrays), offsets, states, number, **options)
    return flat, start, gradients


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_steps(case, dtype):
    check(case, dtype, SMALL)


@pytest.mark.parametrize("case", CASES)
def test_steps_on_all_threads(case):
    check(case, np.float32, LARGE)


def check(case, dtype, shapes):
    step, reference, options = CASES[case]
    flat, start, gradients = run(shapes, dtype, step, options)
    expected = []
    for which, p in enumerate(start):
        p, state = p.astype(np.float64), {}
        for number, arrays in enumerate(gradients, 1):
            p = reference(p, arrays[which].astype(np.float64), state, number, **options)
        expected.append(p.ravel())
    np.testing.assert_allclose(flat, np.concatenate(expected), **tolerance(dtype, 1e-5, 1e-13))


@pytest.mark.parametrize("case", ["momentum", "adam", "amsgrad", "rmsprop centred"])
def test_threads_do_not_change_a_bit(case):
    step, _, options = CASES[case]
    assert_same_for_any_threads(lambda: run(LARGE, np.float32, step, options)[0])


@pytest.mark.nojit_ok
def test_a_parameter_without_gradient_stays_as_it_is():
    flat, state = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
    table, offsets = lib.ids([ones := np.ones(2, np.float32), None, ones]), np.array([0, 2, 4, 6])
    lib.sgd_step(flat, table, offsets, state, lr=1.0, momentum=0.9, weight_decay=0.5)
    assert flat[2:4].tolist() == [2, 3]
    assert state.tolist() == [1, 1.5, 0, 0, 3, 3.5]


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", [(), (0,), (3, 0, 4)])
def test_norm_of_all_gradients(dtype, sizes):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(size).astype(dtype) for size in sizes]
    ref = np.sqrt(sum(np.sum(array.astype(np.float64) ** 2) for array in arrays))
    assert lib.grad_norm(arrays) == pytest.approx(float(ref), rel=1e-12)


def test_the_norm_is_the_same_for_any_threads():
    arrays = [
        np.random.default_rng(0).standard_normal(size).astype(np.float32) for size in (50_000, 7, 12_345)
    ]
    assert lib.grad_norm(arrays) == pytest.approx(np.linalg.norm(np.concatenate(arrays).astype(np.float64)))
    assert_same_for_any_threads(lambda: lib.grad_norm(arrays))
    assert lib.grad_norm([np.array([1e30, 1e30], np.float32)]) == pytest.approx(2**0.5 * 1e30)
    assert np.isnan(lib.grad_norm([np.array([1, np.nan])]))


def test_scale_in_place():
    arrays = [np.ones(3, np.float32), np.full((2, 2), 2.0)]
    lib.scale_(arrays, 0.5)
    assert arrays[0].tolist() == [0.5] * 3
    assert arrays[1].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", FLOATS)
def test_adam_follows_pytorch(dtype):
    import torch

    flat, start, gradients = run(
        SMALL, dtype, adam_step, {**ADAM, "weight_decay": 0.1, "decoupled": True}, steps=20
    )
    tensors = [torch.tensor(p, requires_grad=True) for p in start]
    theirs = torch.optim.AdamW(tensors, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for arrays in gradients:
        for tensor, g in zip(tensors, arrays, strict=True):
            tensor.grad = torch.tensor(g)
        theirs.step()
    ref = np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])
    np.testing.assert_allclose(flat, ref, **tolerance(dtype))
