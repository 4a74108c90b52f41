"""A trained network of the library's, made smaller with a submission's tools."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .networks import save
from .requirements import numbers


def run(names: Mapping[str, Any], task: Mapping[str, Any], arrays: dict[str, np.ndarray], out: Path) -> dict:
    """Write a file for the network as it is, in int8, with zeros, with half its channels; teach students.

    What was learned comes to the grader as weights: answers could be made up.
    """
    import tinytorch as tt
    from tinytorch.models import MLP

    tt.manual_seed(task["seed"])
    weights = {name.removeprefix("weight."): a for name, a in arrays.items() if name.startswith("weight.")}
    model = MLP(64, tuple(task["hidden"]), 10)
    model.load_state_dict(weights)
    model.eval()
    files = [out / name for name in task["names"]]
    names["save_model"](model, files[0])

    small = names["quantize_dynamic"](copy.deepcopy(model))
    names["save_model"](small, files[1])
    with tt.no_grad():
        save(out / "answers.npy", numbers(small(tt.tensor(arrays["test_x"]))))

    sparse = copy.deepcopy(model)
    pruner = names["prune_magnitude"](sparse, 0.81)
    curve = _finetune(sparse, task, arrays, pruner.apply)
    names["save_model"](sparse, files[2])

    half = names["prune_channels"](copy.deepcopy(model), 0.5, example_input=tt.tensor(arrays["train_x"][:2]))
    _finetune(half, task, arrays, lambda: None)
    names["save_model"](half, files[3])

    criterion = names["DistillationLoss"](task["distilled"]["temperature"], task["distilled"]["alpha"])
    logits = tt.tensor(arrays["probe_student"], requires_grad=True)
    loss = criterion(logits, tt.tensor(arrays["probe_teacher"]), tt.tensor(arrays["probe_y"]))
    loss.backward()
    save(out / "loss.npy", numbers(loss))
    if logits.grad is not None:
        save(out / "gradient_0.npy", numbers(logits.grad))

    def taught(output: Any, x: Any, labels: Any) -> Any:
        with tt.no_grad():
            said = model(x)
        return criterion(output, said, labels)

    for seed in range(task["distilled"]["seeds"]):
        for i, parameter in enumerate(student(task["distilled"], seed, arrays, taught).parameters()):
            save(out / f"taught_{seed}_{i}.npy", numbers(parameter))
    return {"losses": curve}


def _finetune(
    model: Any, task: Mapping[str, Any], arrays: dict[str, np.ndarray], after: Callable[[], Any]
) -> list[float]:
    """Some epochs of AdamW, with `after` called after each step; the loss of each epoch."""
    import tinytorch as tt

    x, y, rng = arrays["train_x"], arrays["train_y"], np.random.default_rng(task["seed"])
    optimizer = tt.optim.AdamW(model.parameters(), lr=task["lr"])
    model.train()
    curve = []
    for _ in range(task["epochs"]):
        order, total = rng.permutation(len(x)), 0.0
        for first in range(0, len(order), task["batch"]):
            rows = order[first : first + task["batch"]]
            optimizer.zero_grad()
            loss = tt.cross_entropy(model(tt.tensor(x[rows])), tt.tensor(y[rows]))
            loss.backward()
            optimizer.step()
            after()
            total += loss.item() * len(rows)
        curve.append(total / len(x))
    model.eval()
    return curve


def student(
    of: Mapping[str, Any], seed: int, arrays: Mapping[str, np.ndarray], loss: Callable[..., Any] | None = None
) -> Any:
    """A small network that learns from few images: by their labels alone, which the grader does, too, or by
    `loss`(output, images, labels)."""
    import tinytorch as tt
    from tinytorch.models import MLP

    tt.manual_seed(seed)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(arrays["train_x"]))[: of["images"]]
    x, y = arrays["train_x"][chosen], arrays["train_y"][chosen]
    model = MLP(64, (of["hidden"],), 10)
    parts = -(-len(x) // of["batch"])
    optimizer = tt.optim.AdamW(model.parameters(), lr=of["lr"], weight_decay=1e-2)
    schedule = tt.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=of["lr"], total_steps=of["epochs"] * parts)
    for _ in range(of["epochs"]):
        for rows in np.array_split(rng.permutation(len(x)), parts):
            optimizer.zero_grad()
            images, labels = tt.tensor(x[rows]), tt.tensor(y[rows])
            output = model(images)
            lost = tt.cross_entropy(output, labels) if loss is None else loss(output, images, labels)
            lost.backward()
            optimizer.step()
            schedule.step()
    return model.eval()
