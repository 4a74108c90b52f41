"""The checks of every module pass for the library, and stop an implementation with one thing wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from grading.checkpoints import __main__ as checkpoints
from grading.checkpoints.checking import Names
from grading.checkpoints.modules import MILESTONES, MODULES, unlocks

IMPORTS = "import copy, time\nimport numpy as np\nimport tinytorch as tt\nfrom tinytorch import nn, optim, systems, text, data, models\n"

WRONG = {
    1: [
        "class Tensor(tt.Tensor):\n    def __matmul__(self, other): return super().__matmul__(other) * 2.0",
        "class Tensor(tt.Tensor):\n    def sum(self, *a, **k): return super().sum(*a, **k) + 1.0",
    ],
    2: [
        "class ReLU(nn.ReLU):\n    def forward(self, x): return abs(x)",
        "class Sigmoid(nn.Sigmoid):\n    def forward(self, x): return 1.0 / (1.0 + (x * -1.0).exp()) * 0.5",
        "class Softmax(nn.Softmax):\n    def forward(self, x): return x.exp() / x.exp().sum(0, keepdim=True)",
    ],
    3: [
        "class Linear(nn.Linear):\n    def parameters(self, recurse=True): return iter([self.weight])",
        "class Sequential(nn.Sequential):\n    def forward(self, x):\n        for m in reversed(list(self)): x = m(x)\n        return x",
    ],
    4: [
        "class Linear(nn.Linear):\n    def forward(self, x): return x @ self.weight.T",
        "class Dropout(nn.Dropout):\n    def forward(self, x): return tt.dropout(x, 0.5)",
    ],
    5: [
        "class MSELoss(nn.MSELoss):\n    def forward(self, x, y): return ((x - y) ** 2).sum()",
        "class CrossEntropyLoss(nn.CrossEntropyLoss):\n    def forward(self, x, y): return super().forward(x, y) * 2.0",
    ],
    6: [
        "class Linear(nn.Linear):\n    def forward(self, x): return super().forward(x.detach())",
        "class Tensor(tt.Tensor):\n    def __mul__(self, other): return super().__mul__(getattr(other, 'detach', lambda: other)())",
    ],
    7: [
        "class SGD(optim.SGD):\n    def __init__(self, p, lr): super().__init__(p, lr=2 * lr)",
        "class SGD(optim.SGD):\n    def zero_grad(self, set_to_none=True): pass",
        "class Adam(optim.Adam):\n    def __init__(self, p, lr): super().__init__(p, lr=lr, betas=(0.5, 0.5))",
    ],
    8: [
        "class SGD(optim.SGD):\n    def step(self, closure=None): pass",
        "class SGD(optim.SGD):\n    def __init__(self, p, lr): super().__init__(p, lr=lr, maximize=True)",
    ],
    9: [
        "class Conv2d(nn.Conv2d):\n    def forward(self, x):\n        return tt.conv2d(x, tt.flip(self.weight, (2, 3)), self.bias, padding=self.padding)",
        "class MaxPool2d(nn.MaxPool2d):\n    def forward(self, x): return tt.avg_pool2d(x, 2)",
    ],
    10: [
        "class DataLoader(data.DataLoader):\n    def __iter__(self): return iter(list(super().__iter__())[:-1])",
        "class DataLoader(data.DataLoader):\n    def __init__(self, d, batch_size=1, shuffle=False): super().__init__(d, batch_size=batch_size)",
    ],
    11: [
        "class CharTokenizer(text.CharTokenizer):\n    def decode(self, t): return super().decode(t)[::-1]",
        "class BPETokenizer(text.BPETokenizer):\n    @classmethod\n    def train(cls, words, size): return super().train(words, 256)",
    ],
    12: [
        "class Embedding(nn.Embedding):\n    def forward(self, x): return super().forward(x) * 2.0",
        "class SinusoidalPositionalEncoding(nn.SinusoidalPositionalEncoding):\n    def forward(self, x): return x",
    ],
    13: [
        "def scaled_dot_product_attention(q, k, v, is_causal=False):\n    return nn.functional.scaled_dot_product_attention(q, k, v)",
        "class MultiheadAttention(nn.MultiheadAttention):\n    def forward(self, q, k, v, need_weights=True):\n        return super().forward(q, k, v)[0] * 2.0, None",
    ],
    14: [
        "class LayerNorm(nn.LayerNorm):\n    def forward(self, x): return x - x.mean(-1, keepdim=True)",
        "class GPT(models.GPT):\n    def forward(self, t): return super().forward(t).mean(1, keepdim=True).expand(*t.shape, 11)",
    ],
    15: ["def estimate_flops(model, shape): return systems.estimate_flops(model, shape) // 2"],
    16: [
        "def quantize_dynamic(model): return model",
        "def quantize_dynamic(model):\n    for p in model.parameters(): p.data[...] = np.sign(p.data) * np.abs(p.data).mean()\n    return systems.quantize_dynamic(model)",
    ],
    17: [
        "def prune_magnitude(model, amount): return systems.prune_magnitude(model, amount / 2)",
        "def prune_channels(model, amount, example_input): return model",
        "class DistillationLoss(systems.DistillationLoss):\n    def __call__(self, s, t, y): return tt.cross_entropy(s, y)",
    ],
    18: [
        "def generate(model, p, n, seed=0, use_cache=True): return text.generate(model, p, n, seed=seed, use_cache=False)",
        "def generate(model, p, n, seed=0, use_cache=True): return text.generate(model, p, n, seed=seed + use_cache)",
    ],
    19: [
        "class Tensor(tt.Tensor):\n    def __matmul__(self, o):\n        time.sleep(0.05)\n        return super().__matmul__(o)",
    ],
    20: ["def latency(f, repeats=50, warmup=3):\n    f()\n    return 0.0"],
}


def problems(number: int, names: Names, folder) -> list[str]:
    """Which checks of a module are not passed."""
    found = []
    module = import_module(f"grading.checkpoints.{MODULES[number - 1].path.stem}")
    for name, check in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        given = {"names": names, "rng": np.random.default_rng(0), "tmp_path": folder}
        try:
            check(**{key: given[key] for key in inspect.signature(check).parameters})
        except Exception as error:
            found.append(f"{name}: {error}")
    return found


@pytest.mark.parametrize("number", range(1, 21))
def test_the_library_passes(number, tmp_path):
    assert problems(number, Names(None), tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(n, code, id=f"{n:02}-{i}") for n, codes in WRONG.items() for i, code in enumerate(codes)],
)
def test_one_thing_wrong_is_noticed(number, code, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(f"{IMPORTS}\n{code}\n", "utf-8")
    assert problems(number, Names(str(path)), tmp_path)


def test_all_modules_lead_to_a_milestone_but_the_first():
    assert [unlocks(module.number) for module in MODULES if module.number in (1, 2, 6, 8, 10, 14, 15)] == [
        None, 1, 2, 3, 4, 5, 6,
    ]  # fmt: skip
    assert {number for _, needs in MILESTONES.values() for number in needs} == set(range(2, 21))


def test_a_name_that_is_missing_is_said_in_a_line(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("class Tensor:\n    def __init__(self, data, requires_grad=False): self.data = data\n")
    (first, *_) = problems(9, Names(str(path)), tmp_path)
    assert "this module needs `Conv2d`: you have none, and ours cannot work with your Tensor" in first


def test_the_state_is_kept_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "STATE", tmp_path / "checkpoints.json")
    monkeypatch.setattr(sys, "argv", ["checkpoints", "test", "5"])
    assert checkpoints.main() == 0
    wrong = tmp_path / "wrong.py"
    wrong.write_text(f"{IMPORTS}\n{WRONG[2][0]}\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["checkpoints", "test", "2", "--implementation", str(wrong)])
    assert checkpoints.main() == 1
    assert "✗ relu" in capsys.readouterr().out
    found = checkpoints.overview()
    states = {row["number"]: row["status"] for row in found["modules"]}
    assert (states[5], states[2], states[1]) == ("passed", "failed", "untested")
    assert found["next"] == 1
    assert found["modules"][1]["failing"][0]["message"].startswith("ReLU: expected")


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
    listed = subprocess.run(
        [*command[:3], "list", "--json"], cwd=checkpoints.ROOT, capture_output=True, check=True
    )
    assert len(json.loads(listed.stdout)["modules"]) == 20
