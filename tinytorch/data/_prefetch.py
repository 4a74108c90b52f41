"""One thread that makes the next batches while the present one is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from tinytorch.autograd.modes import modes
from tinytorch.kernels._jit import set_num_threads


class _Worker(threading.Thread):
    """Turns each request into a result, in order, until it is stopped or fails."""

    def __init__(self, fetch: Callable[[Any], Any]):
        super().__init__(name="tinytorch-loader", daemon=True)
        self._fetch = fetch
        self._grad = modes.grad
        self.requests: SimpleQueue[Any] = SimpleQueue()
        self.results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.stopped = False

    def run(self) -> None:
        # Kernels that a dataset calls use this thread alone: the other cores are the training's, and Numba's
        # `workqueue` layer would abort the process.
        set_num_threads(1)
        modes.grad = self._grad
        while True:
            indices = self.requests.get()
            if self.stopped:
                return
            try:
                result = self._fetch(indices)
            except BaseException as error:
                error.add_note(
                    f"This happened in the DataLoader's thread, for the samples {_brief(indices)}."
                )
                self.results.put((None, error))
                return
            self.results.put((result, None))

    def stop(self) -> None:
        """End the thread, after the batch it is at."""
        self.stopped = True
        self.requests.put(None)
        self.join()


def prefetch(fetch: Callable[[Any], Any], indices: Iterator[Any], ahead: int) -> Iterator[Any]:
    """`map(fetch, indices)`, with up to `ahead` results made in advance by a thread.

    Indices are drawn in the calling thread, so what a sampler draws from a shared generator comes in the same
    order as without the thread.
    """
    worker = _Worker(fetch)
    worker.start()
    try:
        pending = 0
        for batch in indices:
            worker.requests.put(batch)
            pending += 1
            if pending > ahead:
                yield _receive(worker)
                pending -= 1
        for _ in range(pending):
            yield _receive(worker)
    finally:
        worker.stop()


def _receive(worker: _Worker) -> Any:
    result, error = worker.results.get()
    if error is not None:
        raise error
    return result


def _brief(indices: Any) -> str:
    """The indices of a batch, or the first of many."""
    if not hasattr(indices, "__iter__"):
        return str(indices)
    numbers = [str(index) for index in indices]
    return f"[{', '.join(numbers[:8])}{', ...' if len(numbers) > 8 else ''}]"
