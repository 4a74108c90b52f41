"""What a workload is: one piece of work, spelled in several frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Step = Callable[[], object]

OURS = "ours"
FRAMEWORKS = {  # variant -> the package it needs
    OURS: "tinytorch",
    "ours-float32": "tinytorch",
    "numpy": "numpy",
    "torch-eager": "torch",
    "torch-channels-last": "torch",
    "torch-fused": "torch",
    "torch-compile": "torch",
    "torch-int8": "torch",
    "jax-jit": "jax",
    "tokenizers": "tokenizers",
}


class Unavailable(Exception):
    """The work cannot be done here; the text says why."""


@dataclass(frozen=True)
class Workload:
    """`variants[framework]()` prepares the work in the worker's own process and returns the step to be timed.

    flops: floating point operations of one step, where a rate makes sense.
    measures_memory: also report what the preparation and three steps need, beside `torch-eager`.
    slow: a step of seconds, of which few are run.
    reports_seconds: the step returns the seconds that count, and is run once a round.
    by_name: it takes minutes, and is left out where no names are given.
    """

    name: str
    variants: dict[str, Callable[[], Step]] = field(hash=False)
    flops: float | None = None
    measures_memory: bool = False
    slow: bool = False
    reports_seconds: bool = False
    by_name: bool = False
