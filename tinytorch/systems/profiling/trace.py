"""`record`: what a real training run does, operation by operation, as a trace for Perfetto or Chrome."""

from __future__ import annotations

import gzip
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.kernels._jit import get_num_threads
from tinytorch.kernels.memory import reserved_bytes
from tinytorch.nn import Module
from tinytorch.systems.profiling.roofline import processor
from tinytorch.systems.profiling.watching import Watch

_END = object()
_Arguments = tuple[tuple, tuple[int, ...] | None, float]  # shapes of inputs and of the result, FLOPs
_Event = tuple[str, str, int, int, int, _Arguments | None]  # name, category, began, ended (ns), thread


class record:
    """Record what happens inside a `with` block, and write it to `path` as Chrome's trace events, in JSON.

    In it, nested as they ran, on the thread where they ran: modules, operations (with shapes and FLOPs), the
    backward pass and its gradient rules, steps of optimisers, batches as they are waited for and made, and
    the caller's own phases. Open it at https://ui.perfetto.dev or in chrome://tracing. Compressed where the
    name ends in ".gz".

    path: where to write. max_events: what happens after so many is not recorded, and the file says so; an
    event takes about 200 bytes of memory until it is written.

    Nothing that runs is changed: fused layers stay fused, and the backward pass runs on ndarrays. A gradient
    rule that is one kernel is one event; of those only the linear layer's has its FLOPs.
    The file is written when the block ends, also by an exception.
    Cost: 3 to 6 µs an event; `python -m benchmarks.profiler` measures what that is of a training step.

    >>> import tinytorch as tt, tempfile, pathlib
    >>> layer = tt.nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with record(pathlib.Path(folder) / "trace.json") as trace:
    ...         with trace.phase("training"):
    ...             layer(tt.ones(4, 3)).sum().backward()
    ...     sorted(trace.seconds)
    ['backward', 'forward', 'training']
    """

    def __init__(self, path: str | Path, *, max_events: int = 1_000_000):
        if max_events < 1:
            raise ValueError(f"record: expected max_events of 1 or more, got {max_events}")
        self.path, self.max_events = Path(path), max_events
        self.seconds: dict[str, float] = {}
        self.events = self.dropped = 0
        self._events: list[_Event] = []
        self._threads: dict[int, str] = {}
        self._memory: list[tuple[int, int]] = []  # when, and bytes that the pool of buffers held
        self._names: dict[int, str] = {}  # id of a module -> its name in the model
        self._models: list[Module] = []  # that were called: alive, so that ids stay theirs
        self._state = _State()
        self._watch = Watch(
            op=self._around_op,
            module=self._around_call,
            gradients=self._around_rule,
            backward=self._around_backward,
            step=self._around_step,
            waiting=self._around_waiting,
            fetcher=partial(self._around_maker, "gather a batch"),
            transformed=partial(self._around_maker, "make a batch"),
        )

    def __enter__(self) -> record:
        self._began = time.perf_counter_ns()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.stop()
        self._ended = time.perf_counter_ns()
        self.events = len(self._events)
        self._write()
        self._events, self._models = [], []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Show what happens inside the block under `name`: an epoch, the validation."""
        began = time.perf_counter_ns()
        try:
            yield
        finally:
            ended = time.perf_counter_ns()
            self._add(name, "phase", began, ended)
            self._sum(name, ended - began)

    def _add(
        self, name: str, category: str, began: int, ended: int, arguments: _Arguments | None = None
    ) -> None:
        if len(self._events) >= self.max_events:
            self.dropped += 1
            return
        thread = threading.get_ident()
        if thread not in self._threads:
            self._threads[thread] = threading.current_thread().name
        self._events.append((name, category, began, ended, thread, arguments))

    def _sum(self, name: str, nanoseconds: int) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + nanoseconds / 1e9

    # --- what is wrapped --------------------------------------------------------------------------------

    def _around_op(self, op: Any, forward: Callable) -> Callable:
        name, has_extras, cost, clock = op.name, op.extras, op.cost, time.perf_counter_ns
        state = self._state

        def watched(*arrays: Any, **params: Any) -> Any:
            began = clock()
            result = forward(*arrays, **params)
            ended = clock()
            state.ops += 1
            out = result[0] if has_extras else result
            flops = 0.0 if cost is None else cost(*arrays, out=out, **params)
            shapes = tuple([None if a is None else a.shape for a in arrays])
            self._add(
                name, "backward" if modes.backward else "forward", began, ended, (shapes, out.shape, flops)
            )
            return result

        return watched

    def _around_call(self, _: Any, call: Callable) -> Callable:
        def watched(module: Module, *args: Any, **kwargs: Any) -> Any:
            state, began = self._state, time.perf_counter_ns()
            if state.depth == 0 and id(module) not in self._names:
                self._models.append(module)
                kind = type(module).__name__
                for name, inner in module.named_modules():
                    self._names.setdefault(id(inner), f"{type(inner).__name__} {name}" if name else kind)
            state.depth += 1
            try:
                return call(module, *args, **kwargs)
            finally:
                ended = time.perf_counter_ns()
                state.depth -= 1
                self._add(self._names.get(id(module)) or type(module).__name__, "module", began, ended)
                if state.depth == 0 and not modes.backward:
                    self._sum("forward", ended - began)

        return watched

    def _around_rule(self, _: Any, gradients: Callable) -> Callable:
        def watched(node: Any, g: Any, needs: Any, on_arrays: bool) -> Any:
            state = self._state
            before, flops = state.ops, _fused_flops(node, g, needs)
            began = time.perf_counter_ns()
            result = gradients(node, g, needs, on_arrays)
            ended = time.perf_counter_ns()
            if state.ops != before:  # its operations have events of their own
                flops = 0.0
            self._add(f"gradient of {node.op.name}", "backward", began, ended, ((g.shape,), None, flops))
            return result

        return watched

    def _around_backward(self, _: Any, backward: Callable) -> Callable:
        def watched(*args: Any, **kwargs: Any) -> Any:
            began, inner = time.perf_counter_ns(), modes.backward
            try:
                return backward(*args, **kwargs)
            finally:
                ended = time.perf_counter_ns()
                self._add("backward", "phase", began, ended)
                if not inner:
                    self._sum("backward", ended - began)

        return watched

    def _around_step(self, kind: Any, step: Callable) -> Callable:
        def watched(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            state, began = self._state, time.perf_counter_ns()
            state.steps += 1
            try:
                return step(optimizer, *args, **kwargs)
            finally:
                ended = time.perf_counter_ns()
                state.steps -= 1
                if state.steps == 0:  # not the step of a base class that it calls
                    self._add(f"{type(optimizer).__name__}.step", "optimizer", began, ended)
                    self._sum("optimizer step", ended - began)
                    self._memory.append((ended, reserved_bytes()))

        return watched

    def _around_waiting(self, _: Any, timed: Callable) -> Callable:
        def watched(loader: Any, batches: Iterator[Any]) -> Iterator[Any]:
            source = timed(loader, batches)
            try:
                while True:
                    began = time.perf_counter_ns()
                    batch = next(source, _END)
                    ended = time.perf_counter_ns()
                    self._add("wait for a batch", "data", began, ended)
                    self._sum("waiting for batches", ended - began)
                    if batch is _END:
                        return
                    yield batch
            finally:
                source.close()

        return watched

    def _around_maker(self, name: str, _: Any, give: Callable) -> Callable:
        """`give` returns the function that makes a batch, on whichever thread."""

        def watched(*args: Any) -> Callable:
            make = give(*args)

            def making(*request: Any) -> Any:
                began = time.perf_counter_ns()
                try:
                    return make(*request)
                finally:
                    self._add(name, "data", began, time.perf_counter_ns())

            return making

        return watched

    # --- the file ---------------------------------------------------------------------------------------

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        opened = gzip.open if self.path.name.endswith(".gz") else open
        with opened(self.path, "wt", encoding="utf-8") as file:
            file.write('{"displayTimeUnit": "ms", "otherData": ')
            about: dict[str, Any] = {
                "processor": processor(),
                "kernel threads": get_num_threads(),
                "seconds": (self._ended - self._began) / 1e9,
                "events": self.events,
            }
            if self.dropped:
                about["not recorded"] = f"{self.dropped} events after the first {self.max_events}"
            file.write(json.dumps(about) + ', "traceEvents": [\n')
            file.write(",\n".join(map(json.dumps, self._lines())))
            file.write("\n]}\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        process = os.getpid()
        common = {"ph": "M", "pid": process}
        yield {**common, "name": "process_name", "tid": 0, "args": {"name": "tinytorch"}}
        for thread, name in self._threads.items():
            yield {**common, "name": "thread_name", "tid": thread, "args": {"name": name}}
        for name, category, began, ended, thread, arguments in self._events:
            event = {
                "name": name, "cat": category, "ph": "X", "pid": process, "tid": thread,
                "ts": (began - self._began) / 1e3, "dur": (ended - began) / 1e3,
            }  # fmt: skip
            if arguments is not None:
                event["args"] = _arguments(*arguments, ended - began)
            yield event
        for when, size in self._memory:
            yield {
                "name": "pool of buffers", "ph": "C", "pid": process, "tid": 0,
                "ts": (when - self._began) / 1e3, "args": {"MiB": size / 2**20},
            }  # fmt: skip


class _State(threading.local):
    depth = 0  # modules that are running inside each other
    steps = 0  # likewise of optimisers
    ops = 0  # operations so far


def _fused_flops(node: Any, g: Any, needs: Any) -> float:
    """Of a linear layer's way back, which is one kernel: a product for each gradient, and the bias's sums."""
    if node.op.name != "linear" or not node.saved:
        return 0.0
    return math.prod(g.shape) * (2.0 * node.saved[1][0].shape[1] * (needs[0] + needs[1]) + needs[2])


def _arguments(shapes: tuple, out: Any, flops: float, nanoseconds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"inputs": ", ".join("–" if s is None else _shape(s) for s in shapes)}
    if out is not None:
        found["result"] = _shape(out)
    if flops:
        found["FLOPs"] = float(np.round(flops))
        found["GFLOP/s"] = round(flops / max(nanoseconds, 1), 3)
    return found


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
