"""Rows of sweeps: what was run, and that nothing stays changed. No figure is asserted but equal logits."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.kernels._jit import get_num_threads, set_num_threads
from tinytorch.models import GPT, GPTConfig
from tinytorch.systems import batch_sweep, cache_study, thread_sweep
from tinytorch.systems.inference.sweeps import evaluating


class Seen(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.seen = nn.Dropout(0.5), []

    def forward(self, x):
        recorded = (tt.ones(1, requires_grad=True) * 1).requires_grad
        self.seen.append((x.shape, get_num_threads(), self.training, recorded))
        return self.inner(x)


def test_a_batch_sweep_repeats_the_examples():
    model = Seen()
    rows = batch_sweep(model, tt.ones(2, 3), (1, 5), seconds=0.0)
    assert [(row.batch, row.latency.batch) for row in rows] == [(1, 1), (5, 5)]
    assert {shape for shape, *_ in model.seen} == {(1, 3), (5, 3)}
    assert {seen[2:] for seen in model.seen} == {(False, False)}
    assert all(row.throughput == row.batch / row.latency.p50 for row in rows)
    assert model.training
    assert model.inner.training


def test_a_thread_sweep_leaves_the_threads_as_they_were():
    before = get_num_threads()
    model = Seen()
    rows = thread_sweep(model, np.ones((4, 3), np.float32), seconds=0.0)
    assert [row.threads for row in rows] == list(range(1, before + 1))
    assert {threads for _, threads, *_ in model.seen} == set(range(1, before + 1))
    assert {row.batch for row in rows} == {4}
    assert get_num_threads() == before
    with pytest.raises(ValueError, match="expected a whole number from 1 to"):
        thread_sweep(model, tt.ones(1, 3), (1, 4096), seconds=0.0)
    assert get_num_threads() == before
    set_num_threads(before)


def test_modules_get_their_own_modes_back():
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5).eval())
    with evaluating(model, model):
        assert [module.training for module in model.modules()] == [False] * 3
        assert not tt.is_grad_enabled()
    assert [module.training for module in model.modules()] == [True, True, False]
    assert tt.is_grad_enabled()


def test_a_cache_gives_the_logits_of_computing_all_again():
    tt.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, block_size=12, n_layer=2, n_head=2, n_embd=8))
    tokens = np.random.default_rng(0).integers(0, 11, (2, 12))
    rows = cache_study(model, tokens, repeats=1)
    assert [row.tokens for row in rows] == [3, 6, 12]
    assert all(row.difference < 1e-5 and row.speedup == row.recomputed / row.cached for row in rows)
    assert rows[0].cache_bytes == model.new_cache(2).nbytes
    assert model.training


def test_a_cache_that_forgets_is_found():
    tt.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=1, n_embd=8))
    for parameter in model.parameters():
        parameter.data = parameter.data * 10
    new_cache = model.new_cache

    def forgetful(batch):
        cache = new_cache(batch)
        cache.layers[0].attend = lambda qkv: qkv[:, :, :8] * 0
        cache.modules = None
        return cache

    model.new_cache = forgetful
    with pytest.raises(RuntimeError, match="expected equal logits with and without a cache"):
        cache_study(model, [1, 2, 3, 4], repeats=1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: batch_sweep(m, tt.ones(1, 3), ()), r"batch_sweep: expected sizes of 1 or more, got \[\]"),
        (lambda m: batch_sweep(m, tt.ones(1, 3), (0, 2)), r"expected sizes of 1 or more, got \[0, 2\]"),
        (
            lambda m: batch_sweep(m, tt.ones(0, 3)),
            r"expected a batch of at least one example, .* got \(0, 3\)",
        ),
        (lambda m: thread_sweep(m, tt.ones(1, 3), (0,)), r"thread_sweep: expected threads of 1 or more"),
    ],
)
def test_sweeps_of_nothing(call, text):
    with pytest.raises(ValueError, match=text):
        call(nn.Linear(3, 2))


def test_studies_of_nothing():
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4))
    with pytest.raises(ValueError, match=r"t from 1 to 4 \(block_size\), got \(1, 5\)"):
        cache_study(model, [1] * 5)
    with pytest.raises(ValueError, match="expected lengths up to the 3 tokens, got 4"):
        cache_study(model, [1] * 3, [2, 4])
    with pytest.raises(ValueError, match="expected at least one repeat, got 0"):
        cache_study(model, [1] * 3, repeats=0)
