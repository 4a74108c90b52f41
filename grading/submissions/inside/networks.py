"""Networks of layers in a row, made of a submission's names: examined with given weights, then trained."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .requirements import Misfit, numbers

MOST_BYTES = 32 << 20  # of an array that is left


def run(names: Mapping[str, Any], task: Mapping[str, Any], arrays: dict[str, np.ndarray], out: Path) -> dict:
    """Build `task["layers"]`, examine and train; returns the loss of every epoch."""
    seed(task["seed"])
    _examine(names, task, arrays, out)
    layers, parameters = build(names, task["layers"])
    _leave(out, "before", parameters)
    curve = _train(names, task, arrays, layers)
    _leave(out, "after", parameters)
    save(out / "answers.npy", _answers(names, layers, arrays["test_x"]))
    return {"losses": curve}


def seed(number: int) -> None:
    """Seed whatever a student's initialisation may draw from."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    if "tinytorch" in sys.modules:
        sys.modules["tinytorch"].manual_seed(number)


def build(names: Mapping[str, Any], description: list[list[Any]]) -> tuple[list[Any], list[Any]]:
    """The layers, and weight and bias of each that has some, in order."""
    layers = [names[kind](*sizes, **options) for kind, sizes, options in description]
    parameters = [
        getattr(layer, what) for layer in layers for what in ("weight", "bias") if hasattr(layer, what)
    ]
    return layers, parameters


def _held(layers: list[Any]) -> list[Any]:
    """What the layers say are their parameters."""
    return [parameter for layer in layers if hasattr(layer, "parameters") for parameter in layer.parameters()]


def forward(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _examine(
    names: Mapping[str, Any], task: Mapping[str, Any], arrays: dict[str, np.ndarray], out: Path
) -> None:
    """Output, loss, gradients and two steps of SGD, from the grader's weights."""
    tensor = names["Tensor"]
    layers, parameters = build(names, task["layers"])
    for i, parameter in enumerate(parameters):
        wanted, shape = arrays[f"given_{i}"], numbers(parameter).shape
        if shape != wanted.shape:
            raise Misfit(f"a parameter of shape {wanted.shape}, number {i} of the network; yours is {shape}")
        parameter.data[...] = wanted
    optimizer = names["SGD"](_held(layers), lr=task["probe_lr"])
    optimizer.zero_grad()
    output = forward(layers, tensor(arrays["probe_x"]))
    save(out / "output.npy", numbers(output))
    loss = names[task["loss"]]()(output, tensor(arrays["probe_y"]))
    save(out / "loss.npy", numbers(loss))
    loss.backward()
    for i, parameter in enumerate(parameters):
        if parameter.grad is not None:
            save(out / f"gradient_{i}.npy", numbers(parameter.grad))
    optimizer.step()
    _leave(out, "stepped", parameters)
    optimizer.zero_grad()
    names[task["loss"]]()(forward(layers, tensor(arrays["probe_x"])), tensor(arrays["probe_y"])).backward()
    optimizer.step()
    _leave(out, "twice", parameters)


def _train(
    names: Mapping[str, Any], task: Mapping[str, Any], arrays: dict[str, np.ndarray], layers: list[Any]
) -> list[float]:
    """The loss of every epoch. Each part of the schedule has an optimiser of its own, so none needs to change
    its learning rate."""
    tensor, criterion = names["Tensor"], names[task["loss"]]()
    x, y, rng = arrays["train_x"], arrays["train_y"], np.random.default_rng(task["seed"])
    curve = []
    rates = [rate for epochs, rate in task["schedule"] for _ in range(epochs)]
    optimizer, lr = None, None
    for rate in rates:
        if rate != lr:
            optimizer, lr = names["SGD"](_held(layers), lr=rate), rate
        order, total = rng.permutation(len(x)), 0.0
        for first in range(0, len(order), task["batch"]):
            rows = order[first : first + task["batch"]]
            optimizer.zero_grad()
            loss = criterion(forward(layers, tensor(x[rows])), tensor(y[rows]))
            loss.backward()
            optimizer.step()
            total += float(numbers(loss).reshape(())) * len(rows)
        curve.append(total / len(x))
    return curve


def _answers(names: Mapping[str, Any], layers: list[Any], x: np.ndarray, batch: int = 500) -> np.ndarray:
    parts = [numbers(forward(layers, names["Tensor"](x[i : i + batch]))) for i in range(0, len(x), batch)]
    return np.concatenate(parts)


def _leave(out: Path, what: str, parameters: list[Any]) -> None:
    for i, parameter in enumerate(parameters):
        save(out / f"{what}_{i}.npy", numbers(parameter))


def save(path: Path, array: np.ndarray) -> None:
    """As float32 or int64, so that nothing else can come to the grader by accident."""
    if array.nbytes > MOST_BYTES:
        raise Misfit(f"at most {MOST_BYTES:,} bytes in {path.stem}; yours are {array.nbytes:,}")
    np.save(path, array.astype(np.float32) if array.dtype.kind == "f" else array)
