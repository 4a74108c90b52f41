"""The checks of every module pass for the library, and each implementation with one thing wrong is stopped.

A mutant names the check that has to stop it: one that fails for another reason proves nothing.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from grading.checkpoints import __main__ as checkpoints
from grading.checkpoints.modules import MILESTONES, MODULES, unlocks
from grading.checkpoints.names import LIBRARY, Names

IMPORTS = """
import time
import numpy as np
import tinytorch as tt
from tinytorch import data, models, nn, optim, systems, text, training
from tinytorch.optim import lr_scheduler
"""
# Module, the check that notices, and what is wrong.
WRONG = [
    (1, "multiplies_matrices", """
class Tensor(tt.Tensor):
    def __matmul__(self, other): return super().__matmul__(other) * 2.0"""),
    (1, "sums_and_takes_means", """
class Tensor(tt.Tensor):
    def mean(self, *dims): return self.sum(*dims) / self.data.size"""),
    (1, "changes_shape_without_changing_the_order", """
class Tensor(tt.Tensor):
    def transpose(self, a, b): return self.reshape(*self.shape[::-1])"""),
    (1, "leaves_its_operands_alone", """
class Tensor(tt.Tensor):
    def __add__(self, other):
        self.data += other.data if isinstance(other, tt.Tensor) else other
        return self"""),
    (2, "relu_keeps_what_is_positive", """
class ReLU(nn.ReLU):
    def forward(self, x): return abs(x)"""),
    (2, "sigmoid_survives_large_numbers", """
class Sigmoid:
    def __call__(self, x):
        with np.errstate(all="ignore"): return tt.Tensor(np.exp(x.data) / (1 + np.exp(x.data)))"""),
    (2, "softmax_knows_its_dimension", """
class Softmax(nn.Softmax):
    def forward(self, x): return tt.softmax(x, -1)"""),
    (3, "training_and_evaluation_reach_everything_inside", """
class Module(nn.Module):
    def eval(self):
        self.training = False
        return self
class Sequential(Module, nn.Sequential): pass"""),
    (3, "sequential_runs_in_order", """
class Sequential(nn.Sequential):
    def forward(self, x):
        for module in reversed(list(self)): x = module(x)
        return x"""),
    (3, "a_shared_module_counts_once", """
class Sequential(nn.Sequential):
    def parameters(self, recurse=True): return iter([p for module in self for p in module.parameters()])"""),
    (4, "linear_multiplies_and_adds", """
class Linear(nn.Linear):
    def forward(self, x): return x @ self.weight.T"""),
    (4, "dropout_does_nothing_in_evaluation", """
class Dropout(nn.Dropout):
    def forward(self, x): return tt.dropout(x, self.p)"""),
    (4, "dropout_keeps_the_mean", """
class Dropout(nn.Dropout):
    def forward(self, x): return super().forward(x) * (1 - self.p)"""),
    (4, "weights_start_random", """
class Linear(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.weight.data[...] = 0.01"""),
    (5, "squares_are_averaged", """
class MSELoss(nn.MSELoss):
    def forward(self, x, y): return ((x - y) ** 2).sum()"""),
    (5, "cross_entropy_survives_large_logits", """
class CrossEntropyLoss:
    def __call__(self, x, y):
        with np.errstate(all="ignore"): shares = np.exp(x.data) / np.exp(x.data).sum(1, keepdims=True)
        return tt.Tensor(-np.log(shares[np.arange(len(shares)), y.data]).mean())"""),
    (5, "binary_cross_entropy_asks_for_the_right_answers_probability", """
class BCELoss(nn.BCELoss):
    def forward(self, p, y): return super().forward(1 - p, y)"""),
    (6, "a_square", """
class Tensor(tt.Tensor):
    def __mul__(self, other): return super().__mul__(other.detach() if isinstance(other, tt.Tensor) else other)"""),
    (6, "gradients_of_a_network", """
class Linear(nn.Linear):
    def forward(self, x): return super().forward(x.detach())"""),
    (6, "two_backward_passes_add_up", """
class Tensor(tt.Tensor):
    def __mul__(self, other):
        self.grad = None
        return super().__mul__(other)"""),
    (6, "gradients_of_a_perceptron", """
class BCELoss(nn.BCELoss):
    def forward(self, p, y):
        loss = super().forward(p, y)
        return loss + (loss - loss.detach()) * 0.1"""),
    (7, "sgd_steps_against_the_gradient", """
class SGD(optim.SGD):
    def __init__(self, params, lr, momentum=0.0): super().__init__(params, 2 * lr, momentum)"""),
    (7, "sgd_takes_every_gradient_anew", """
class SGD(optim.SGD):
    def zero_grad(self, set_to_none=True): pass"""),
    (7, "momentum_remembers_the_direction", """
class SGD(optim.SGD):
    def __init__(self, params, lr, momentum=0.0): super().__init__(params, lr, momentum, dampening=momentum)"""),
    (7, "adam_follows_both_means", """
class Adam(optim.Adam):
    def __init__(self, params, lr): super().__init__(params, lr, betas=(0.9, 0.99))"""),
    (8, "the_loss_falls", """
class SGD(optim.SGD):
    def step(self, closure=None): pass
class StepLR(lr_scheduler.StepLR): pass
class CosineAnnealingLR(lr_scheduler.CosineAnnealingLR): pass"""),
    (8, "steps_divide_the_learning_rate", """
class StepLR(lr_scheduler.StepLR):
    def __init__(self, optimizer, step_size, gamma): super().__init__(optimizer, step_size + 1, gamma)"""),
    (8, "accuracy_is_the_share_of_right_answers", """
def accuracy(scores, labels): return training.accuracy(-1.0 * scores, labels)"""),
    (8, "clipping_shortens_long_gradients", """
def clip_grad_norm_(parameters, largest):
    for p in parameters: nn.utils.clip_grad_norm_([p], largest)"""),
    (9, "the_window_is_not_turned_round", """
class Conv2d(nn.Conv2d):
    def forward(self, x): return tt.conv2d(x, tt.flip(self.weight, (2, 3)), self.bias, padding=self.padding)"""),
    (9, "gradients_of_a_convolution", """
class Conv2d(nn.Conv2d):
    def forward(self, x): return super().forward(x.detach())"""),
    (9, "padding_adds_a_border_of_zeros", """
class Conv2d(nn.Conv2d):
    def forward(self, x): return tt.conv2d(x, self.weight, self.bias)"""),
    (9, "pooling_takes_the_largest", """
class MaxPool2d(nn.MaxPool2d):
    def forward(self, x): return tt.relu(super().forward(x))"""),
    (10, "batches_have_their_size_and_the_last_what_is_left", """
class DataLoader(data.DataLoader):
    def __init__(self, dataset, batch_size=1, shuffle=False, drop_last=False):
        super().__init__(dataset, batch_size, shuffle, drop_last=True)"""),
    (10, "every_epoch_has_an_order_of_its_own", """
class DataLoader(data.DataLoader):
    def __iter__(self):
        tt.manual_seed(3)
        return super().__iter__()"""),
    (10, "examples_keep_their_labels", """
class DataLoader(data.DataLoader):
    def __iter__(self): return ((x, y[::-1]) if False else (x, tt.flip(y, (0,))) for x, y in super().__iter__())"""),
    (11, "any_text_comes_back_from_byte_pairs", """
class BPETokenizer(text.BPETokenizer):
    def decode(self, ids): return super().decode(ids).encode("ascii", "ignore").decode()"""),
    (11, "what_was_joined_is_joined_again", """
class BPETokenizer(text.BPETokenizer):
    @classmethod
    def train(cls, words, size): return super().train(words, min(size, 257))"""),
    (11, "unknown_characters_are_refused", """
class CharTokenizer(text.CharTokenizer):
    def encode(self, words): return super().encode("".join(c for c in words if c in self.alphabet))"""),
    (12, "gradients_go_to_the_rows_that_were_used", """
class Embedding(nn.Embedding):
    def forward(self, tokens):
        found = super().forward(tokens)
        return found.detach() + (found - found.detach()) * 0.5"""),
    (12, "sines_and_cosines_tell_places_apart", """
class SinusoidalPositionalEncoding(nn.SinusoidalPositionalEncoding):
    def forward(self, x): return x"""),
    (12, "learned_places_are_added", """
class LearnedPositionalEmbedding(nn.LearnedPositionalEmbedding):
    def forward(self, x): return x + self.weight[1 : x.shape[1] + 1]"""),
    (13, "the_future_changes_nothing", """
class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, q, k, v, need_weights=True, is_causal=False): return super().forward(q, k, v, need_weights=False)"""),
    (13, "heads_work_side_by_side", """
class MultiheadAttention(nn.MultiheadAttention):
    def __init__(self, width, heads, batch_first): super().__init__(width, 1, batch_first=True)"""),
    (13, "gradients", """
class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, q, k, v, **options): return super().forward(q, k.detach(), v, **options)"""),
    (14, "a_norm_scales_and_shifts", """
class LayerNorm(nn.LayerNorm):
    def forward(self, x): return (super().forward(x) - self.bias) / self.weight"""),
    (14, "gradients_of_a_norm", """
class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True).detach()
        spread = ((centred * centred).mean(-1, keepdim=True) + 1e-5).sqrt().detach()
        return centred / spread * self.weight + self.bias"""),
    (14, "every_parameter_has_a_gradient", """
class Embedding(nn.Embedding):
    def forward(self, tokens): return super().forward(tokens).detach()"""),
    (15, "parameters_are_counted", """
class profile:
    def __init__(self, model, x):
        found = systems.profile(model, x, repeats=0)
        self.params, self.flops = found.params - 10, found.flops"""),
    (15, "operations_are_counted", """
class profile:
    def __init__(self, model, x):
        found = systems.profile(model, x, repeats=0)
        self.params, self.flops = found.params, found.flops // 2"""),
    (15, "one_slow_call_does_not_matter", """
def latency(call, repeats, warmup):
    for _ in range(warmup): call()
    began = time.perf_counter()
    for _ in range(repeats): call()
    return (time.perf_counter() - began) / repeats"""),
    (16, "the_file_is_a_quarter", """
def quantize_dynamic(model): return model"""),
    (16, "answers_are_nearly_the_same", """
def quantize_dynamic(model):
    for p in model.parameters(): p.data[...] = np.sign(p.data) * np.abs(p.data).mean()
    return systems.quantize_dynamic(model)"""),
    (16, "no_weight_is_off_by_more_than_half_a_step", """
def quantize_dynamic(model):
    small = systems.quantize_dynamic(model)
    for p in model.parameters():
        step = np.abs(p.data).max() / 127
        p.data[...] = np.floor(p.data / step) * step
    changed = systems.quantize_dynamic(model)
    return changed"""),
    (17, "the_smallest_go_and_the_others_stay", """
def prune_magnitude(model, share):
    for p in model.parameters():
        if p.data.ndim > 1: p.data[p.data < np.quantile(p.data, share)] = 0"""),
    (17, "zeros_can_be_held_while_training_goes_on", """
class prune_magnitude:
    def __init__(self, model, share): systems.prune_magnitude(model, share)
    def apply(self): pass"""),
    (17, "the_channels_that_matter_least_go", """
def prune_channels(model, share, example_input):
    return systems.prune_channels(model, share, example_input=example_input,
                                  importance=lambda name, layer: -np.abs(layer.weight.data).sum(1))"""),
    (17, "a_teacher_alone_is_a_divergence", """
class DistillationLoss(systems.DistillationLoss):
    def forward(self, student, teacher, labels):
        return super().forward(student, teacher, labels) / self.temperature**2"""),
    (18, "places_go_on_counting", """
class GPT(models.GPT):
    def _embed(self, tokens, start): return super()._embed(tokens, 0)"""),
    (18, "the_past_is_not_read_again", """
class Cache:
    def __init__(self): self.reset()
    length = property(lambda self: self.tokens.shape[1])
    def reset(self): self.tokens = np.zeros((1, 0), np.int64)
class GPT(models.GPT):
    def new_cache(self, batch=1): return Cache()
    def forward(self, tokens, cache=None):
        if cache is None: return super().forward(tokens)
        before = cache.length
        cache.tokens = np.concatenate([cache.tokens, tokens.data], 1) if before else tokens.data
        return super().forward(tt.tensor(cache.tokens))[:, before:]"""),
    (18, "two_caches_do_not_meet", """
class GPT(models.GPT):
    def new_cache(self, batch=1):
        self.shared = getattr(self, "shared", None) or super().new_cache(batch)
        return self.shared"""),
    (19, "products_are_faster_than_a_loop", """
class Tensor(tt.Tensor):
    def __matmul__(self, other):
        time.sleep(0.02)
        return super().__matmul__(other)"""),
    (19, "long_sums_stay_exact", """
class Tensor(tt.Tensor):
    def sum(self): return tt.Tensor(np.cumsum(self.data, dtype=np.float32)[-1])"""),
    (19, "the_same_call_gives_the_same_bits", """
class Tensor(tt.Tensor):
    def __matmul__(self, other): return super().__matmul__(other) * (1 + 1e-6 * np.random.default_rng().random())"""),
    (20, "percentiles_are_those_of_the_calls", """
class measure_latency:
    def __init__(self, call, **options):
        found = systems.measure_latency(call, **options)
        self.p50 = self.p95 = self.p99 = found.mean"""),
    (20, "what_is_compared_takes_turns", """
def measure_together(calls, rounds, warmup):
    return {name: systems.measure_latency(call, runs=rounds, warmup=warmup) for name, call in calls.items()}"""),
    (20, "an_interval_is_right_19_times_in_20", """
def median_interval(values):
    half = np.std(values) / len(values)
    return np.median(values) - half, np.median(values) + half"""),
]  # fmt: skip


def failing(number: int, source: str | None, folder: Path) -> dict[str, str]:
    """Of a module's checks those that fail, and what they say."""
    path = None
    if source is not None:
        path = folder / "wrong.py"
        path.write_text(f"{IMPORTS}\n{source}\n", encoding="utf-8")
    names, found = Names(number, path), {}
    module = import_module(f"grading.checkpoints.{MODULES[number - 1].path.stem}")
    for name, check in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_"):
            try:
                check(names)
            except Exception as error:
                found[name.removeprefix("test_")] = f"{type(error).__name__}: {error}"
    return found


@pytest.mark.parametrize("number", range(1, 21))
def test_the_library_passes(number, tmp_path):
    assert failing(number, None, tmp_path) == {}


@pytest.mark.parametrize(
    ("number", "check", "source"),
    [pytest.param(*wrong, id=f"{wrong[0]:02}-{wrong[1]}") for wrong in WRONG],
)
def test_one_thing_wrong_is_noticed(number, check, source, tmp_path):
    found = failing(number, source, tmp_path)
    assert check in found
    assert found[check].startswith("NotMet: ")


def test_every_module_has_checks_and_mutants():
    for module in MODULES:
        checks = [
            n for n in dir(import_module(f"grading.checkpoints.{module.path.stem}")) if n.startswith("test_")
        ]
        assert len(checks) >= 5
        assert sum(number == module.number for number, *_ in WRONG) >= 2


def test_all_modules_lead_to_a_milestone_but_the_first():
    assert [unlocks(number) for number in (1, 2, 6, 8, 10, 14, 15)] == [None, 1, 2, 3, 4, 5, 6]
    assert {number for _, needs in MILESTONES.values() for number in needs} == set(range(2, 21))


def test_the_library_has_every_name():
    for name, place in LIBRARY.items():
        assert hasattr(import_module(place), name)


def test_a_name_that_is_missing_is_said_in_a_line(tmp_path):
    own = "class Tensor:\n    def __init__(self, data, requires_grad=False): self.data = data"
    found = failing(9, own, tmp_path)["a_window_looks_at_every_place"]
    assert found == (
        "Missing: module 09 needs `Conv2d`: your implementation has none, and ours cannot work with your Tensor"
    )


def test_the_state_is_kept_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "STATE", tmp_path / "checkpoints.json")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from tinytorch import nn\nclass ReLU(nn.ReLU):\n    def forward(self, x): return x.nonsense\n",
        "utf-8",
    )
    monkeypatch.setattr(sys, "argv", ["checkpoints", "test", "2", "--implementation", str(wrong)])
    assert checkpoints.main() == 1
    told = capsys.readouterr().out
    assert "✗ relu keeps what is positive" in told
    assert "(wrong.py:3 in forward)" in told
    assert "yours: ReLU; the library's: GELU" in told
    state = json.loads((tmp_path / "checkpoints.json").read_text("utf-8"))["modules"]["2"]
    assert (state["status"], len(state["sha256"])) == ("failed", 64)
    found = checkpoints.overview()
    assert [row["status"] for row in found["modules"][:2]] == ["untested", "failed"]
    assert found["next"] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while True: pass", "did not end within 8 s"),
        ("__import__('os')._exit(0)", "ended the process with exit code 0"),
    ],
)
def test_what_does_not_end_or_ends_everything_is_a_failed_check(tmp_path, body, message):
    path = tmp_path / "hostile.py"
    path.write_text(
        f"from tinytorch import nn\nclass ReLU(nn.ReLU):\n    def forward(self, x):\n        {body}\n"
    )
    (check,), _ = checkpoints.tried(MODULES[1], path, seconds=8)
    assert check == {"name": "relu keeps what is positive", "passed": False, "message": message}


def test_plain_grading_leaves_them_out():
    command = [sys.executable, "-m", "pytest", "grading", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=checkpoints.ROOT, capture_output=True, text=True, check=False).stdout
    assert "test_04_cnn" in found
    assert "checkpoints" not in found


def test_bad_usage_is_refused():
    command = [sys.executable, "-m", "grading.checkpoints", "test", "3", "--implementation", "nothing.py"]
    found = subprocess.run(command, cwd=checkpoints.ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "there is none" in found.stderr
