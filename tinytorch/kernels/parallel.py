"""One parallel loop for all kernels that divide their work themselves.

A kernel `share(*arguments, part, parts)` of integers does the share `part` of `parts` of a job.
`on_all_threads` runs one share on every thread.  It reaches the kernel by its address, so it is compiled
once for all of them, and no kernel is compiled twice, alone and inside a parallel loop.  (A parallel loop
costs Numba about a second to compile, and would hold copies of all it calls.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT, bind, kernel

ARGUMENTS = 6  # of a share, beside part and parts
ASK = -1  # as `part`: do nothing, and return how many bytes of scratch are missing

if JIT:
    _INTEGERS = (types.int64,) * (ARGUMENTS + 2)

    @intrinsic
    def call(_, address, a, b, c, d, e, f, part, parts):
        """Call the share at `address`, which has C's calling convention."""

        def codegen(context, builder, signature, arguments):
            word = ir.IntType(64)
            kind = ir.FunctionType(word, [word] * len(_INTEGERS))
            share = builder.inttoptr(arguments[0], kind.as_pointer())
            return builder.call(share, arguments[1:])

        return types.int64(types.int64, *_INTEGERS), codegen

    @intrinsic
    def _thread_count(_):
        """Numba's get_num_threads, which would keep the kernel that calls it out of the disk cache."""

        def codegen(context, builder, signature, arguments):
            word = ir.IntType(64)
            count = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(word, []), "get_num_threads"
            )
            return builder.and_(builder.call(count, []), ir.Constant(word, 0x7FFFFFFF))  # it is a C int

        return types.int64(), codegen

else:

    def call(share: Callable, *arguments: int) -> int:
        """Call the share at `address`."""
        return share(*arguments)

    def _thread_count() -> int:
        return 1


@kernel(parallel=True)
def on_all_threads(share, a, b, c, d, e, f):
    """Run the share with this address on every thread, unless it says that something is missing."""
    parts = _thread_count()
    missing = call(share, a, b, c, d, e, f, ASK, parts)
    if missing == 0:
        for part in prange(parts):  # owns what the share says
            call(share, a, b, c, d, e, f, part, parts)
    return missing


def _entry(dispatcher: Any, integers: int) -> tuple[Callable, Any]:
    """The C function that Numba would call for so many integers, and the compilation it belongs to.

    Calling it saves the 130 ns in which a dispatcher looks at the types of its arguments.
    """
    signature = (types.int64,) * integers
    dispatcher.compile(signature)
    compiled = dispatcher.overloads[signature]
    return compiled.entry_point, compiled


class Job:
    """A kernel that does shares of a job, compiled when it is first asked for.

    `job.alone(a, b, c, d, e, f, part, parts)` does one share on the calling thread,
    `job.together(a, b, c, d, e, f)` does all of them on all threads.  Both return what the share returns: how
    many bytes of scratch it misses, having done nothing that counts if that is not 0.  `job.address` is what
    another share reaches it by, with `call`.
    """

    def __init__(self, share: Callable):
        self.share = kernel(share)
        self.alone: Callable = self._first_alone
        self.together: Callable = self._first_together

    @functools.cached_property
    def address(self) -> Any:
        """Where the compiled share begins; without the JIT, the share."""
        if not JIT:
            return self.share
        _, compiled = _entry(self.share, len(_INTEGERS))
        return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)

    def _first_alone(self, *integers: int) -> int:
        self.alone = _entry(self.share, len(_INTEGERS))[0] if JIT else self.share
        return self.alone(*integers)

    def _first_together(self, *integers: int) -> int:
        launch: Callable = on_all_threads
        if JIT:
            numba.get_num_threads()  # starts the threads, and makes known what _thread_count calls
            if hasattr(launch, "compile"):  # otherwise it is wrapped into a lock
                launch, _ = _entry(launch, ARGUMENTS + 1)
        self.together = functools.partial(launch, self.address)
        return self.together(*integers)


def jobs_of(share: Callable, name: str) -> dict[np.dtype, Job]:
    """`share` for float32 and for float64: its ZERO and LOWEST are 0 and -infinity of the type."""
    return {
        np.dtype(real): Job(bind(share, f"{name}_{real.__name__}", ZERO=real(0), LOWEST=real(-np.inf)))
        for real in (np.float32, np.float64)
    }
