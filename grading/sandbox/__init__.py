"""Untrusted code in a process of its own, with limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """How a sandboxed process ended.

    exit_code: None when it was stopped. stopped: "", "time", "memory", "processes", "output" or "disk".
    output: the tail of what it printed. isolation: what held it, as in grade.json.
    """

    exit_code: int | None
    stopped: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    output: str = ""
    isolation: dict[str, Any] = field(default_factory=dict)
