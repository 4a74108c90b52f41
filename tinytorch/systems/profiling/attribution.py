"""Whose an operation is: finds the layer of every operation, forward and backward, and divides the time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinytorch.autograd import registry
from tinytorch.nn import Module, ReLU, Sequential
from tinytorch.systems.profiling.watching import Watch

FORWARD, BACKWARD = 0, 1
_clock = time.perf_counter


class Attribution:
    """Watches passes of a model, and divides their time, all but its own, among rows. It changes nothing.

    An operation belongs to the layer that is being called. Where layers are fused, or a container reads the
    parameters of a layer that it does not call, it belongs to the layer whose parameters it reads. What
    happens backward belongs to the layer that recorded the operation forward.

    rows: for each module its rows, one for each time that it runs in a pass; a module may have none.
    loss, between: rows of the loss, and of what belongs to no layer.
    called: modules that are called in a pass. None: none of what follows is known yet; it is collected.

    seconds[FORWARD][row], seconds[BACKWARD][row], and op_seconds likewise by the name of the operation, are
    those of the pass since `start`.
    """

    def __init__(
        self,
        model: Module,
        rows: dict[Module, list[int]],
        loss: int,
        between: int,
        called: set[Module] | None,
    ):
        self.model, self.rows, self.loss, self.between = model, rows, loss, between
        self.size = 1 + max(loss, between)
        self.called: set[Module] = set()
        self._modules = set(model.modules())
        self._watch = Watch(
            op=self._around_op,
            module=self._around_call,
            gradients=self._around_rule,
            accumulate=self._around_arrival,
        )
        self._owners: dict[int, Module] = {}  # id of an array -> the layer that is not called, whose it is
        self._leaves: dict[int, int] = {}  # id of a parameter -> row
        for module in model.modules():
            own = [p for _, p in (*module._own_parameters(), *module._own_buffers())]
            if called is not None and module not in called:
                self._owners.update((id(p._data), module) for p in own)
            if module in rows:
                self._leaves.update((id(p), rows[module][0]) for p in own)
        self._reset()

    def _reset(self) -> None:
        self.row, self.phase, self.since = self.between, FORWARD, 0.0
        self.seconds = [[0.0] * self.size, [0.0] * self.size]
        self.op_seconds: list[dict[str, float]] = [defaultdict(float), defaultdict(float)]
        self.node_rows: dict[int, int] = {}  # order of a node -> row
        self._runs: dict[Module, int] = {}
        self._group: dict[type, int] | None = None  # of layers that are computed at once
        self._last: int | None = None  # row of the operation that was just carried out
        self.rule = ""  # the operation whose gradient rule ran last

    # --- one pass ---------------------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be there for the passes inside the block."""
        sequences = [module for module in self.model.modules() if isinstance(module, Sequential)]
        for sequence in sequences:
            plan = sequence._plan or sequence._make_plan()
            watched = [(modules, at_once and self._around_group(at_once)) for modules, at_once in plan]
            object.__setattr__(sequence, "_plan", watched)
        self._watch.start()
        try:
            yield
        finally:
            self._watch.stop()
            if self._note in registry.observers:
                registry.observers.remove(self._note)
            for sequence in sequences:
                sequence.__dict__.pop("_plan", None)

    def start(self) -> None:
        """A pass begins."""
        self._reset()
        registry.observers.append(self._note)
        self.since = _clock()

    def turn(self) -> None:
        """The backward pass begins."""
        registry.observers.remove(self._note)  # it would be carried out in another way if it was observed
        self.switch(self.between)
        self.phase = BACKWARD

    def stop(self) -> None:
        """The pass has ended."""
        self.switch(self.between)
        if self.phase == FORWARD:
            registry.observers.remove(self._note)

    def switch(self, row: int) -> None:
        """From now on the time is that of `row`."""
        self._pause()
        self._go_on(row)

    def _pause(self) -> float:
        """Until `_go_on` the time is nobody's: what watching takes is not the model's. Returns now."""
        now = _clock()
        self.seconds[self.phase][self.row] += now - self.since
        return now

    def _go_on(self, row: int) -> float:
        self.row = row
        self.since = now = _clock()
        return now

    def _note(self, op: Any, inputs: Sequence[Any], params: dict, result: Any) -> None:
        """Remember whose the node of an operation is."""
        self._pause()
        if result._node is not None:
            self.node_rows[result._node.order] = self.current
        self._last = None
        self._go_on(self.row)

    @property
    def current(self) -> int:
        """The row of the operation that an observer is told of."""
        return self.row if self._last is None else self._last

    # --- rows -------------------------------------------------------------------------------------------

    def _begin(self, module: Module) -> int:
        """The row of a module that begins to run."""
        if module not in self._modules:  # of the loss, say
            return self.row
        rows = self.rows.get(module)
        run = self._runs[module] = self._runs.get(module, -1) + 1
        return self.between if rows is None else rows[min(run, len(rows) - 1)]

    def _locate(self, op: Any, arrays: Sequence[Any]) -> int:
        """The row of an operation on `arrays`."""
        for array in arrays:
            module = self._owners.get(id(array))
            if module is not None:
                rows = self.rows.get(module)
                if rows is not None:
                    return rows[min(max(self._runs.get(module, 0), 0), len(rows) - 1)]
        if self._group is not None:
            return self._group.get(ReLU, self.row) if op.name == "relu" else self._group[Module]
        return self.row

    # --- what is wrapped --------------------------------------------------------------------------------

    def _around_call(self, _: Any, call: Callable) -> Callable:
        def watched(module: Module, *args: Any, **kwargs: Any) -> Any:
            self._pause()
            before, group, self._group = self.row, self._group, None
            self.called.add(module)
            self._go_on(self._begin(module))
            try:
                return call(module, *args, **kwargs)
            finally:
                self._pause()
                self._group = group
                self._go_on(before)

        return watched

    def _around_group(self, at_once: Callable) -> Callable:
        def watched(input: Any, *modules: Module) -> Any:
            self._pause()
            before = self.row
            group: dict[type, int] = {}
            for module in modules:
                row = self._begin(module)
                group[ReLU if type(module) is ReLU else Module] = row  # the last one for all but a ReLU
                group.setdefault(object, row)
            self._group = group
            self._go_on(group[object])
            try:
                return at_once(input, *modules)
            finally:
                self._pause()
                self._group = None
                self._go_on(before)

        return watched

    def _around_op(self, op: Any, forward: Callable) -> Callable:
        name = op.name

        def watched(*arrays: Any, **params: Any) -> Any:
            if self.phase == BACKWARD:
                return forward(*arrays, **params)
            self._pause()
            before, row = self.row, self._locate(op, arrays)
            began = self._go_on(row)
            result = forward(*arrays, **params)
            self.op_seconds[FORWARD][name] += self._pause() - began
            self._last = row
            self._go_on(before)
            return result

        return watched

    def _around_rule(self, _: Any, gradients: Callable) -> Callable:
        """What follows a rule, until the next one, is its gradients' way to where they belong."""

        def watched(node: Any, g: Any, needs: Any, on_arrays: bool) -> Any:
            self._pause()
            self.rule = name = node.op.name
            began = self._go_on(self.node_rows.get(node.order, self.row))
            result = gradients(node, g, needs, on_arrays)
            self.op_seconds[BACKWARD][name] += self._pause() - began
            self._go_on(self.row)
            return result

        return watched

    def _around_arrival(self, _: Any, accumulate: Callable) -> Callable:
        def watched(leaf: Any, *args: Any) -> None:
            self.switch(self._leaves.get(id(leaf), self.row))
            accumulate(leaf, *args)

        return watched
