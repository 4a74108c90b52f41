"""The one `@kernel` decorator: how Numba compiles, caches, threads and announces every kernel.

Three facts of Numba decide what is here (each was seen to go wrong):

* `cache=True` stamps only the file a function lives in, so an edited helper in another file is served
  stale.  `_Cache` keys the folder on a hash of *all* kernel sources, the Numba version and the processor.
* `fastmath=True` lets LLVM assume there is no NaN.  `FASTMATH` is as fast and keeps NaN and infinity.
* Where only the `workqueue` threading layer exists, two Python threads in parallel kernels abort the
  process; there one lock is held around each parallel launch.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, event

from tinytorch.kernels import amx

FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz", "afn"})
JIT = not numba.config.DISABLE_JIT
# Parallel kernels keep silent about an index out of bounds, so NUMBA_BOUNDSCHECK=1 compiles them serial.
BOUNDS_CHECKED = bool(numba.config.BOUNDSCHECK)

# How long a waiting thread spins before it sleeps. libgomp's own 300,000 rounds are milliseconds, in which it
# holds the core that the thread it waits for may need: on a busy machine a step of 0.5 ms took 120.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "3000"

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def _sources_hash() -> str:
    """Hash of everything that decides what machine code a kernel becomes."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    build = (numba.__version__, platform.python_version(), platform.machine(), BOUNDS_CHECKED, amx.ALLOWED)
    digest.update(repr(build).encode())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: `TINYTORCH_CACHE_DIR`, else the user's cache folder."""
    root = os.environ.get("TINYTORCH_CACHE_DIR")
    if root is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
        root = Path(home) / "tinytorch"
    return Path(root) / "kernels" / SOURCES_HASH


SOURCES_HASH = _sources_hash()


class _Locator(caching._CacheLocator):
    """Puts a kernel's cache file into the folder of the present sources."""

    def __init__(self, function: Callable, source: str):
        self._name = f"{function.__module__}.{function.__qualname__}"

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return SOURCES_HASH

    def get_disambiguator(self) -> str:
        return hashlib.sha256(self._name.encode()).hexdigest()[:8]

    @classmethod
    def from_function(cls, function: Callable, source: str) -> _Locator:
        return cls(function, source)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  (Numba's own attribute)


class _Cache(caching.FunctionCache):
    """Numba's disk cache, without which everything still works: a folder that cannot be used is said once."""

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            _say_once(
                f"cannot keep compiled kernels in {cache_folder()}; set TINYTORCH_CACHE_DIR to another folder"
            )


@functools.cache
def _say_once(text: str) -> None:
    if os.environ.get("TINYTORCH_QUIET") != "1":
        print(f"tinytorch: {text}", file=sys.stderr, flush=True)


class _CompileClock(event.Listener):
    """Adds up compile time, and says on stderr that it is happening, once a process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.kernels = 0
        self._depth = 0
        self._started = 0.0

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._started = time.perf_counter()
        self._depth += 1
        _say_once("compiling kernels, first run only ...")

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._started
            self.kernels += 1


_clock = _CompileClock()
event.register("numba:compile", _clock)


def compile_seconds() -> float:
    """Seconds this process has spent compiling kernels; a warm cache keeps it at 0."""
    return _clock.seconds


def compiled_kernels() -> int:
    """How many kernel specialisations this process compiled rather than loaded from the cache."""
    return _clock.kernels


def _only_workqueue() -> bool:
    for layer in ("omppool", "tbbpool"):
        try:
            __import__(f"numba.np.ufunc.{layer}")
        except ImportError:
            continue
        return False
    return True


_workqueue_lock = threading.RLock() if JIT and _only_workqueue() else None


def kernel(function: Callable | None = None, *, parallel: bool = False, inline: bool = False) -> Any:
    """Compile `function` lazily with Numba: no GIL, careful fast maths, cached on disk.

    parallel: its `prange` loops run on all threads; each iteration must own what it writes.
    inline: a helper that LLVM folds into its callers.
    """
    if function is None:
        return functools.partial(kernel, parallel=parallel, inline=inline)
    if not JIT:
        return function
    options: dict[str, Any] = {"fastmath": set(FASTMATH), "nogil": True, "error_model": "numpy"}
    if inline:
        return numba.njit(function, forceinline=True, **options)
    dispatcher = numba.njit(function, parallel=parallel and not BOUNDS_CHECKED, **options)
    dispatcher._cache = _Cache(function)
    if parallel and _workqueue_lock is not None:
        return _locked(dispatcher, _workqueue_lock)
    return dispatcher


def _locked(dispatcher: Callable, lock: threading.RLock) -> Callable:
    @functools.wraps(dispatcher.py_func)
    def launch(*arguments: Any) -> Any:
        with lock:
            return dispatcher(*arguments)

    return launch


def bind(template: Callable, name: str, **names: Any) -> Callable:
    """A copy of the plain function `template` in which the global names `names` mean something else.

    This is how one driver loop serves a family of kernels: Numba refuses to cache a closure over another
    dispatcher, but a *global* that is one is cached like any other code.
    """
    code = template.__code__.replace(co_name=name, co_qualname=name)
    copy = types.FunctionType(code, {**template.__globals__, **names}, name, template.__defaults__)
    copy.__module__ = template.__module__
    copy.__qualname__ = name
    return copy


def get_num_threads() -> int:
    """Threads that parallel kernels use."""
    return numba.get_num_threads()


def set_num_threads(threads: int) -> None:
    """Use `threads` threads in parallel kernels, 1 up to the number the process started with.

    Results do not depend on it: every kernel gives the same bits for any number of threads.
    """
    most = numba.config.NUMBA_NUM_THREADS
    if not isinstance(threads, int) or not 1 <= threads <= most:
        raise ValueError(
            f"set_num_threads: expected a whole number from 1 to {most}, got {threads!r}. "
            "The upper limit is set before the first import by the environment variable NUMBA_NUM_THREADS."
        )
    numba.set_num_threads(threads)
