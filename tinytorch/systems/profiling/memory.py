"""How much memory a piece of work takes at its peak."""

from __future__ import annotations

import sys
import tracemalloc

from tinytorch.kernels import memory

MIB = 1 << 20


class peak_memory:
    """The most memory, in bytes, that was allocated at one time inside a `with` block and not before it.

    Counted by `tracemalloc`: Python's objects and NumPy's arrays, which all of TinyTorch's are. The pool of
    buffers is emptied first, so a buffer that is reused counts once. Not in it: what existed before the
    block, code, and the process itself (`process_peak()` has them). The block runs slower meanwhile.

    `bytes` and `mib` hold the result after the block.

    >>> import numpy as np
    >>> with peak_memory() as peak:
    ...     _ = np.ones(3 * 2**20, np.uint8)
    >>> 3.0 <= peak.mib < 3.1
    True
    """

    bytes: int = 0

    def __enter__(self) -> peak_memory:
        memory.empty_cache()
        self._nested = tracemalloc.is_tracing()
        if not self._nested:
            tracemalloc.start()
        tracemalloc.reset_peak()
        self._before = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = max(0, tracemalloc.get_traced_memory()[1] - self._before)
        if not self._nested:
            tracemalloc.stop()

    @property
    def mib(self) -> float:
        """The same in MiB."""
        return self.bytes / MIB


def process_peak() -> int | None:
    """The most resident memory this process ever had, in bytes: interpreter, libraries and data included.

    None where the operating system has no `getrusage` (Windows).
    """
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
