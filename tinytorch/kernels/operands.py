"""Handing a tuple of arrays and numbers to a share, where it needs more than it has arguments.

A share gets the `id` of the tuple, an integer: CPython's tuple object ends in the addresses of its items, and
the `id` of an array is all that `packing` needs to read it.  The caller holds the tuple while the kernel
runs.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.packing import first_length
from tinytorch.kernels.parallel import Job
from tinytorch.kernels.simd import load, word

BYTE, SIGNED, FLOAT, INTEGER = (np.dtype(kind) for kind in (np.uint8, np.int8, np.float32, np.int32))

_ITEMS = tuple.__basicsize__  # of a tuple object: where the addresses of its items begin
_NUMBER = object.__basicsize__  # of a float object: where its double is

_scratch = Scratch()


@kernel(inline=True)
def item(operands, index):
    """The id of an item of the tuple with this id."""
    return word(operands + _ITEMS + 8 * index)


@kernel(inline=True)
def real_number(number):
    """The Python float with this id, as float32."""
    return np.float32(load(number + _NUMBER, np.float64(0)))


@kernel(inline=True)
def step_of(array):
    """Bytes from one 4-byte number of an array to the next, or 0 if there is only one."""
    return 4 if first_length(array) > 1 else 0


def run(job: Job, alone: bool, operands: tuple, a: int, b: int, c: int, d: int) -> None:
    """Launch a job of a tuple, scratch and four integers, on one thread or on all."""
    buffer = _scratch.buffer
    if alone:
        missing = job.alone(id(operands), id(buffer), a, b, c, d, 0, 1)
    else:
        missing = job.together(id(operands), id(buffer), a, b, c, d)
    if missing:
        _scratch.grow(missing)
        run(job, alone, operands, a, b, c, d)
