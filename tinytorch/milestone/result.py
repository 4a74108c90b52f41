"""The result of a run: what `result.json` holds."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """The contract with whoever reads `results/<milestone>/<script>/result.json`.

    milestone, script, dataset: names. metric: "accuracy", the share of test examples answered
    correctly, or another of the milestone's own, such as "validation_loss" in nats per character.
    value, threshold: of the metric; passed: whether the first reaches the second.
    params: trainable numbers. flops_forward: of one forward pass of one example, by the operations' cost
    rules. peak_mib: the most memory at one time in three training steps (when nothing was trained: in the
    evaluation), from building the model on, without the dataset; counted by tracemalloc, in a pass of its
    own. train_seconds: without compiling and evaluating. compile_seconds: spent on compiling kernels in the
    whole run. eval_seconds: for the whole test set, once. epochs: trained, 0 for pre-trained weights.
    history: for each epoch its number, mean loss, metric on the test data and seconds; what is not
    finite is None.
    versions: of Python and of the libraries that computed.

    After `--test-only`, which measures nothing, value, passed, peak_mib and the seconds are None.
    """

    milestone: str
    script: str
    dataset: str
    metric: str
    value: float | None
    threshold: float
    passed: bool | None
    params: int
    flops_forward: int
    peak_mib: float | None
    train_seconds: float | None
    compile_seconds: float
    eval_seconds: float | None
    epochs: int
    batch_size: int
    seed: int
    threads: int
    history: list[dict[str, Any]]
    versions: dict[str, str]

    def to_json(self) -> str:
        """As a JSON object, fields in the order above."""
        return to_json(asdict(self))


def versions() -> dict[str, str]:
    """Of Python and of the libraries that computed."""
    found = {"python": platform.python_version()}
    for library in ("tinytorch", "numpy", "numba"):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:  # run from the sources, without an installation
            found[library] = "not installed"
    return found


def to_json(value: Any) -> str:
    """JSON that every reader accepts: what is not finite becomes null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write(text: str, path: Path) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
