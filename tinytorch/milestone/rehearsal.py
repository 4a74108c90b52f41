"""One pass through everything that milestone 6 does to a model, with made-up examples and no training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.kernels._jit import cache_folder
from tinytorch.milestone import studies
from tinytorch.milestone.optimization import milestone_of
from tinytorch.models import GPT
from tinytorch.systems import quantize_dynamic, quantize_weight_only
from tinytorch.text import generate


def rehearse(script: Path, seed: int) -> tuple[float, float, bool]:
    """The loss of an untrained model, how far int8 is from it, and whether every gradient is finite."""
    milestone = milestone_of(script)[0]
    tt.manual_seed(seed)
    model: Any = milestone.build()
    inputs, labels = (tt.tensor(array) for array in studies.example(milestone, 8))
    loss = milestone.loss(model(inputs), labels)
    loss.backward()
    finite = all(p.grad is not None and np.isfinite(p.grad.data).all() for p in model.parameters())
    model.eval()
    with tt.inference_mode():
        apart = float((quantize_dynamic(model)(inputs) - model(inputs)).abs().max().item())
    _write(model, seed)
    tt.optim.AdamW(model.parameters()).step()
    return loss.item(), apart, finite


def rehearse_writing(script: Path, seed: int) -> None:
    """What an untrained model writes, if it is one that writes."""
    _write(milestone_of(script)[0].build().eval(), seed)


def _write(model: Any, seed: int) -> None:
    """Two tokens, if it is a model that writes, with float32, int8 and int4 weights."""
    if isinstance(model, GPT):
        for writer in (model, quantize_weight_only(model, 8), quantize_weight_only(model, 4)):
            generate(writer, [0], 2, seed=seed)


def compile_first(study: str, scripts: Mapping[str, Path], seed: int) -> None:
    """On a machine that has no compiled kernels, get them in two processes, one for the last model alone.

    study: the file of milestone 6. scripts: of each model's name, the one that trained it.
    """
    if len(scripts) < 2 or any(cache_folder().glob("*.nbi")):
        return
    *here, last = scripts
    command = [sys.executable, study, "--test-only", "--models", last]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        for name in here:
            rehearse(scripts[name], seed)
        rehearse_writing(scripts[last], seed)  # its model is the largest, and writes last of all
