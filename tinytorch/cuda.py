"""What scripts ask before they choose a device. There is no GPU here: tinytorch computes on the processor."""

from __future__ import annotations


def is_available() -> bool:
    """Whether there is a GPU to compute on: no.

    >>> import tinytorch as tt
    >>> tt.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many GPUs there are to compute on: none."""
    return 0


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs, of which there are none; `manual_seed` is the processor's."""
