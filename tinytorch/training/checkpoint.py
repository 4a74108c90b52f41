"""Checkpoints: everything that the next epoch depends on, in one file, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinytorch import random
from tinytorch.nn import Module
from tinytorch.optim import Optimizer
from tinytorch.serialization import load, save

FORMAT = "tinytorch checkpoint 1"


def save_checkpoint(
    path: str | Path,
    *,
    model: Module,
    optimizer: Optimizer,
    scheduler: Any = None,
    history: list[dict[str, Any]] | None = None,
    loader: Any = None,
) -> None:
    """Write weights, optimiser, schedule, history and the positions of all random generators to `path`.

    loader: its generator, and its sampler's, are saved where it has its own; the default one always is.

    To be called between two epochs: the position inside an epoch is not part of it.
    """
    state = {
        "format": FORMAT,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "history": [] if history is None else history,
        "random": random.get_rng_state(),
        "generators": [generator.get_state() for generator in _generators(loader)],
        "training": [module.training for module in model.modules()],
    }
    save(state, path)


def load_checkpoint(
    path: str | Path, *, model: Module, optimizer: Optimizer, scheduler: Any = None
) -> dict[str, Any]:
    """Put model, optimiser and schedule into the state that was saved, and return all of it.

    Pass the result to `restore_random` right before training goes on.

    Raises:
        ValueError: the file is no checkpoint, or was made with or without a scheduler and is loaded
        otherwise. RuntimeError: it is a checkpoint of another model; nothing is changed then.
    """
    state = load(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(
            f"load_checkpoint: {path} is no checkpoint: expected the format {FORMAT!r}. Is it a state dict?"
        )
    if (state["scheduler"] is None) != (scheduler is None):
        had, has = ("no" if s is None else "a" for s in (state["scheduler"], scheduler))
        raise ValueError(
            f"load_checkpoint: {path} was saved with {had} scheduler and is loaded with {has} scheduler"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if scheduler is not None:
        scheduler.load_state_dict(state["scheduler"])
    for module, training in zip(model.modules(), state["training"], strict=True):
        module.training = training
    return state


def restore_random(state: dict[str, Any], loader: Any = None) -> None:
    """Put all random generators where they were when the checkpoint was written.

    Raises ValueError when the loader has another number of generators of its own than the one that was saved.
    """
    generators = list(_generators(loader))
    if len(generators) != len(state["generators"]):
        raise ValueError(
            f"restore_random: expected a loader with {len(state['generators'])} generators of its own, as "
            f"when the checkpoint was written, got one with {len(generators)}"
        )
    for generator, position in zip(generators, state["generators"], strict=True):
        generator.set_state(position)
    random.set_rng_state(state["random"])


def _generators(loader: Any) -> Iterator[random.Generator]:
    """The generators that the order of a loader's batches is drawn from, apart from the default one."""
    seen = {id(random.default_generator)}
    sampler, batch_sampler = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
    for owner in (loader, sampler, batch_sampler, getattr(batch_sampler, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, random.Generator) and id(generator) not in seen:
            seen.add(id(generator))
            yield generator
