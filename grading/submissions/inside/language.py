"""A small GPT, made of a submission's layers: examined with given weights, then trained on given text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .networks import save, seed
from .requirements import Misfit, numbers


class GPT:
    """Vaswani et al. (2017), the decoder alone, with norms before what they are for: one block.

    parameters are in the order in which the grader has them.
    """

    def __init__(
        self, names: Mapping[str, Any], vocabulary: int, context: int, layers: int, heads: int, width: int
    ):
        assert layers == 1
        self.tensor = names["Tensor"]
        linear, norm = names["Linear"], names["LayerNorm"]
        self.tokens, self.places = names["Embedding"](vocabulary, width), names["Embedding"](context, width)
        self.norm_1, self.norm_2, self.norm_3 = norm(width), norm(width), norm(width)
        self.attention = names["MultiheadAttention"](width, heads, batch_first=True)
        self.up, self.down, self.head = (
            linear(width, 4 * width),
            linear(4 * width, width),
            linear(width, vocabulary),
        )
        self.gelu = names["GELU"](approximate="tanh")

    def layers(self) -> list[Any]:
        return [
            self.tokens, self.places, self.norm_1, self.attention, self.norm_2, self.up, self.down,
            self.norm_3, self.head,
        ]  # fmt: skip

    def parameters(self) -> list[Any]:
        a = self.attention
        found = [self.tokens.weight, self.places.weight, self.norm_1.weight, self.norm_1.bias]
        found += [a.in_proj_weight, a.in_proj_bias, a.out_proj.weight, a.out_proj.bias]
        for layer in (self.norm_2, self.up, self.down, self.norm_3, self.head):
            found += [layer.weight, layer.bias]
        return found

    def held(self) -> list[Any]:
        """What the layers say are their parameters."""
        return [parameter for layer in self.layers() for parameter in layer.parameters()]

    def __call__(self, tokens: np.ndarray) -> Any:
        """Logits (n, t, vocabulary) of tokens (n, t)."""
        places = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
        x = self.tokens(self.tensor(tokens)) + self.places(self.tensor(np.ascontiguousarray(places)))
        y = self.norm_1(x)
        x = x + self.attention(y, y, y, need_weights=False, is_causal=True)[0]
        x = x + self.down(self.gelu(self.up(self.norm_2(x))))
        return self.head(self.norm_3(x))

    def loss(self, criterion: Any, tokens: np.ndarray, following: np.ndarray) -> tuple[Any, Any]:
        """Logits, and the mean cross-entropy of the tokens that follow."""
        logits = self(tokens)
        rows = logits.reshape(tokens.size, logits.shape[-1])
        return logits, criterion(rows, self.tensor(following.reshape(-1)))


def run(names: Mapping[str, Any], task: Mapping[str, Any], arrays: dict[str, np.ndarray], out: Path) -> dict:
    """Examine, train, and answer; returns the loss of every epoch."""
    seed(task["seed"])
    criterion = names["CrossEntropyLoss"]()
    _examine(names, task, arrays, out, criterion)
    model = GPT(names, **task["gpt"])
    _leave(out, "before", model)
    optimizer, rng = names["Adam"](model.held(), lr=task["lr"]), np.random.default_rng(task["seed"])
    x, y, curve = arrays["train_x"], arrays["train_y"], []
    for _ in range(task["epochs"]):
        order, total = rng.permutation(len(x)), 0.0
        for first in range(0, len(order), task["batch"]):
            rows = order[first : first + task["batch"]]
            optimizer.zero_grad()
            _, loss = model.loss(criterion, x[rows], y[rows])
            loss.backward()
            optimizer.step()
            total += float(numbers(loss).reshape(())) * len(rows)
        curve.append(total / len(x))
    _leave(out, "after", model)
    test = arrays["test_x"]
    save(
        out / "answers.npy",
        np.concatenate([numbers(model(test[i : i + 100])) for i in range(0, len(test), 100)]),
    )
    return {"losses": curve}


def _examine(
    names: Mapping[str, Any],
    task: Mapping[str, Any],
    arrays: dict[str, np.ndarray],
    out: Path,
    criterion: Any,
) -> None:
    """Logits, loss, gradients and two steps of Adam, from the grader's weights."""
    model = GPT(names, **task["gpt"])
    for i, parameter in enumerate(model.parameters()):
        wanted, shape = arrays[f"given_{i}"], numbers(parameter).shape
        if shape != wanted.shape:
            raise Misfit(f"a parameter of shape {wanted.shape}, number {i} of the model; yours is {shape}")
        parameter.data[...] = wanted
    optimizer = names["Adam"](model.held(), lr=task["probe_lr"])
    save(out / "later.npy", numbers(model(arrays["later_x"])))
    for what in ("stepped", "twice"):
        optimizer.zero_grad()
        logits, loss = model.loss(criterion, arrays["probe_x"], arrays["probe_y"])
        loss.backward()
        if what == "stepped":
            save(out / "output.npy", numbers(logits))
            save(out / "loss.npy", numbers(loss))
            for i, parameter in enumerate(model.parameters()):
                if parameter.grad is not None:
                    save(out / f"gradient_{i}.npy", numbers(parameter.grad))
        optimizer.step()
        _leave(out, what, model)


def _leave(out: Path, what: str, model: GPT) -> None:
    for i, parameter in enumerate(model.parameters()):
        save(out / f"{what}_{i}.npy", numbers(parameter))
