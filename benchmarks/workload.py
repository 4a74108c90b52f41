"""What a workload is: one piece of work, spelled in several frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Step = Callable[[], object]

OURS = "ours"
FRAMEWORKS = {  # variant -> the package it needs
    OURS: "tinytorch",
    "numpy": "numpy",
    "torch-eager": "torch",
    "torch-channels-last": "torch",
    "torch-fused": "torch",
    "torch-compile": "torch",
    "jax-jit": "jax",
}


@dataclass(frozen=True)
class Workload:
    """`variants[framework]()` prepares the work in the worker's own process and returns the step to be timed.

    flops: floating point operations of one step, where a rate makes sense.
    measures_memory: also report the peak of what the preparation and three steps allocate (ours only).
    slow: a step of seconds, of which few are run.
    """

    name: str
    variants: dict[str, Callable[[], Step]] = field(hash=False)
    flops: float | None = None
    measures_memory: bool = False
    slow: bool = False
