"""A model layer by layer and operation by operation: parameters, FLOPs, bytes, memory and time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Embedding, Module
from tinytorch.random import get_rng_state, set_rng_state
from tinytorch.systems.profiling.attribution import BACKWARD, FORWARD, Attribution
from tinytorch.systems.profiling.costs import BETWEEN, LayerProfile, ModelProfile, OpProfile
from tinytorch.systems.profiling.held import held_bytes
from tinytorch.systems.profiling.layers import define, first_tensor
from tinytorch.systems.profiling.memory import peak_memory
from tinytorch.tensor import Tensor

Loss = Callable[[Any], Any]
ROW_SECONDS, MOST_IN_A_ROW = 0.01, 20  # of passes that are timed in a row


def profile(
    model: Module,
    inputs: Any,
    *,
    batch_size: int = 1,
    backward: bool = True,
    loss: Loss | None = None,
    repeats: int = 10,
) -> ModelProfile:
    """What `model` costs, layer by layer and operation by operation, on `inputs`.

    inputs: the shape of one example, *without* the batch axis, such as (1, 28, 28) or (784,): `batch_size`
        made-up examples are taken, normal numbers, or tokens where the first layer is an `Embedding`. Or a
        batch: a tensor, an array (integers stay integers), or a tuple of them for a model of several inputs.
    backward: also measure the backward pass, in the modes (train, eval) in which the modules are. Otherwise
        the model runs in evaluation mode and without gradients. Nothing goes backward where no gradient is
        required.
    loss: makes a scalar of the model's result; by default the sum of its differentiable tensors.
    repeats: rounds in which passes are timed, and as many that nobody watches, in turn: one of each, or of
        short ones as many as take 10 ms; 0 only counts. The times are means over the middle half of them.

    Nothing changes what runs while it is timed: layers that are fused stay fused, and the backward pass runs
    on ndarrays where it can. FLOPs and bytes backward are those of the pass operation by operation. The
    model's gradients, buffers and modes and the random state are left as they were.

    Raises TypeError for a model that is no module and inputs that are neither a shape nor a batch.
    Cost: three passes to count, and to time `2 · repeats + 5`, or as many as take 20 ms a round.

    >>> import tinytorch as tt
    >>> profile(tt.nn.Linear(784, 10), (784,), repeats=0).params
    7850
    """
    if not isinstance(model, Module):
        raise TypeError(f"profile: expected a module, got {type(model).__name__}")
    if repeats < 0:
        raise ValueError(f"profile: expected repeats from 0 up, got {repeats}")
    batch = as_batch("profile", model, inputs, batch_size)
    try:
        with _left_as_it_was(model):
            layers, rows = define(model, batch)
            if not backward:
                model.eval()
            with nullcontext() if backward else no_grad():
                return _Passes(model, batch, layers, rows, loss, backward).measure(repeats)
    except Exception as error:
        if _is_shape(inputs):
            error.add_note(
                f"profile took {inputs} for the shape of one example and called the model with "
                f"{batch[0].shape}: batch_size= gives more examples, and a batch (a tensor or an array) is "
                "taken as it is"
            )
        raise


class _Passes:
    """The passes over a model whose layers are known."""

    def __init__(
        self, model: Module, batch: tuple, layers: list[LayerProfile], rows: dict[Module, list[int]],
        loss: Loss | None, backward: bool,
    ):  # fmt: skip
        self.model, self.batch, self.backward, self.loss = model, batch, backward, loss
        self.layers, self.rows = layers, rows
        self.rest = [LayerProfile("loss", "loss"), LayerProfile(BETWEEN, "")]
        self.everything = [*layers, *self.rest]
        self.ops: dict[str, OpProfile] = {}
        self.went_back = False

    def measure(self, repeats: int) -> ModelProfile:
        """The profile: what is called, what runs and is kept, and `repeats` times how long it takes."""
        found = self._attribution(None)
        with found.watching():
            self.run(found)
        at = self._attribution(found.called)
        with at.watching():
            self._count(at)
        clock = self._time(at, repeats) if repeats else 0.0
        peaks = self._peaks() if repeats else (0, 0)
        parameters = list(self.model.parameters())
        return ModelProfile(
            self.layers,
            self.rest,
            sorted(self.ops.values(), key=lambda op: (-op.seconds, -op.work.flops)),
            sum(p._data.size for p in parameters),
            sum(p._data.nbytes for p in parameters),
            [tuple(t.shape) for t in self.batch if isinstance(t, Tensor)],
            clock,
            repeats,
            self.went_back,
            *peaks,
        )

    def _attribution(self, called: set[Module] | None) -> Attribution:
        n = len(self.layers)
        return Attribution(self.model, self.rows, n, n + 1, called)

    def run(
        self, at: Attribution | None = None, before_backward: Callable[[Any], None] | None = None
    ) -> float:
        """Seconds of one pass, which `at` may watch."""
        for parameter in self.model.parameters():
            parameter.grad = None
        began = time.perf_counter()
        if at is not None:
            at.start()
        output = self.model(*self.batch)
        if self.backward:
            if at is not None:
                at.switch(at.loss)
            value = scalar(output, self.loss)
            if value is not None and value.requires_grad:
                self.went_back = True
                if before_backward is not None:
                    before_backward(value)
                if at is not None:
                    at.turn()
                value.backward()
        if at is not None:
            at.stop()
        return time.perf_counter() - began

    def _count(self, at: Attribution) -> None:
        """FLOPs, bytes and calls of what runs, and what the graph keeps: one pass that is observed."""

        def observe(op: Any, inputs: Sequence[Any], params: dict, result: Any) -> None:
            arrays = [None if t is None else t._data for t in inputs]
            flops, moved = op.flops_and_bytes(arrays, params, result._data)
            name = op.name if at.phase == FORWARD else at.rule
            found = self.ops.setdefault(name, OpProfile(name))
            found.calls += at.phase == FORWARD
            for costs in (self.everything[at.current], found):
                part = _part(costs, at.phase)
                part.flops += flops
                part.bytes += moved

        def book_held(value: Any) -> None:
            tensors = (*self.batch, *self.model.parameters(), *self.model.buffers())
            given = [t._data for t in tensors if isinstance(t, Tensor)]
            for node, size in held_bytes([value], given):
                self.everything[at.node_rows.get(node.order, at.between)].activation_bytes += size

        registry.observers.append(observe)
        try:
            self.run(at, book_held)
        finally:
            registry.observers.remove(observe)

    def _peaks(self) -> tuple[int, int]:
        """Bytes allocated at most in a forward pass, and in a whole one."""
        found = []
        for steps in (self._forward, self.run):
            for parameter in self.model.parameters():
                parameter.grad = None
            with peak_memory() as peak:
                kept = steps()
            del kept
            found.append(peak.bytes)
        return found[0], found[1]

    def _forward(self) -> Any:
        return self.model(*self.batch)

    def _time(self, at: Attribution, repeats: int) -> float:
        """Fill in the seconds; returns those of a pass that nobody watched."""
        clocks, watched = [], []

        def alone(times: int) -> None:
            for _ in range(times):
                clocks.append(self.run())

        def seen(times: int) -> None:
            with at.watching():
                for _ in range(times):
                    self.run(at)
                    watched.append((sum(map(sum, at.seconds)), at.seconds, at.op_seconds))

        alone(1)
        seen(1)  # kernels are loaded, and buffers made
        alone(1)
        times = max(1, min(MOST_IN_A_ROW, round(ROW_SECONDS / clocks[-1])))
        clocks.clear()
        watched.clear()
        for i in range(repeats):
            for passes in (alone, seen) if i % 2 else (seen, alone):
                passes(times)
        chosen = _middle(sorted(watched, key=lambda run: run[0]))
        share = 1 / len(chosen)
        for _, seconds, op_seconds in chosen:
            for phase in (FORWARD, BACKWARD):
                for layer, spent in zip(self.everything, seconds[phase], strict=True):
                    _part(layer, phase).seconds += spent * share
                for name, spent in op_seconds[phase].items():
                    _part(self.ops.setdefault(name, OpProfile(name)), phase).seconds += spent * share
        return statistics.fmean(_middle(sorted(clocks)))


def _part(costs: LayerProfile | OpProfile, phase: int) -> Any:
    return costs.forward if phase == FORWARD else costs.backward


def _middle(values: list) -> list:
    """The middle half of what is sorted."""
    cut = len(values) // 4
    return values[cut : len(values) - cut]


def scalar(output: Any, loss: Loss | None) -> Any:
    """`loss(output)`; or the sum of the differentiable tensors in `output`, or its first tensor."""
    if loss is not None:
        value = loss(output)
        if not isinstance(value, Tensor) or value._data.size != 1:
            got = f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"profile: expected loss(output) to be a tensor with one element, got {got}")
        return value
    sums = [tensor.sum() for tensor in _differentiable(output)]
    return sum(sums[1:], sums[0]) if sums else first_tensor(output)


def _differentiable(output: Any) -> Iterator[Any]:
    if isinstance(output, Tensor):
        if output.requires_grad:
            yield output
    elif isinstance(output, dict):
        yield from _differentiable(tuple(output.values()))
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from _differentiable(value)


@contextmanager
def _left_as_it_was(model: Module) -> Iterator[None]:
    """Give gradients, buffers, modes and the random state back after the block."""
    gradients = [(p, p.grad) for p in model.parameters()]
    buffers = [(b, b._data.copy()) for b in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    random_state = get_rng_state()
    try:
        yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for buffer, values in buffers:
            buffer._data[...] = values
        for module, training in modes:
            module.training = training
        set_rng_state(random_state)


def _is_shape(inputs: Any) -> bool:
    if isinstance(inputs, (int, np.integer)) and not isinstance(inputs, bool):
        return True
    return isinstance(inputs, (tuple, list)) and len(inputs) > 0 and all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in inputs
    )  # fmt: skip


def as_batch(name: str, model: Module, inputs: Any, batch_size: int = 1) -> tuple:
    """The arguments with which a model is called: made up from the shape of an example, or as given."""
    if _is_shape(inputs):
        shape = (inputs,) if isinstance(inputs, (int, np.integer)) else tuple(inputs)
        if batch_size < 1 or any(n < 1 for n in shape):
            raise ValueError(f"{name}: expected sizes of 1 or more, got {shape} and batch_size={batch_size}")
        rng = np.random.default_rng(0)
        table = next((m for m in model.modules() if next(m._own_parameters(), None)), None)
        if isinstance(table, Embedding):
            return (Tensor(rng.integers(0, table.num_embeddings, (batch_size, *shape))),)
        dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
        return (Tensor(rng.standard_normal((batch_size, *shape)).astype(dtype)),)
    batch = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    if not batch or not all(isinstance(x, (Tensor, np.ndarray)) for x in batch):
        kinds = ", ".join(dict.fromkeys(type(x).__name__ for x in batch)) or "nothing"
        raise TypeError(
            f"{name}: expected the shape of an example, such as (1, 28, 28), or a batch: a tensor, an array, "
            f"or a tuple of them; got {kinds}"
        )
    return tuple(x if isinstance(x, Tensor) else Tensor(x) for x in batch)


def latency(function: Callable[[], Any], *, repeats: int = 50, warmup: int = 3) -> float:
    """Median seconds of a call of `function`, after `warmup` calls that are not counted."""
    if repeats < 1:
        raise ValueError(f"latency: expected at least one repeat, got {repeats}")
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
