"""The matrix unit of Intel's processors (AMX): Linux has to be asked for it, once in each process.

Its registers are eight tiles of 16 rows of 64 bytes.  One instruction adds to a tile of int32 the product of
a tile of unsigned bytes, 16 x 64, and one of signed bytes, 64 x 16, whose groups of four lie as `int8` packs
them.  How many rows and bytes of each tile count is configured beforehand, for the thread.
"""

from __future__ import annotations

import ctypes
import platform
import sys

import llvmlite.binding as llvm

_ARCH_PRCTL, _REQUEST, _TILES = (
    158,
    0x1023,
    18,
)  # the call on x86_64, what it is to do, and for which registers


def _allowed() -> bool:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    features = llvm.get_host_cpu_features()
    if not all(features.get(name) for name in ("amx-tile", "amx-int8", "avx512vnni")):
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILES) == 0


ALLOWED = _allowed()
