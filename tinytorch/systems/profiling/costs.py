"""What a profile consists of: work, layers, operations, a model; and the table that people read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

BETWEEN = "between layers"
WIDE = 120  # columns of a terminal from which on the table has all of its own


@dataclass
class Work:
    """What ran, and how long it took.

    flops: by the cost rules of the operations. bytes: moved at least, every array touched once by each
    operation. seconds: 0 where nothing was timed.
    """

    flops: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0

    @property
    def intensity(self) -> float:
        """FLOPs for each byte that is moved; 0 where none is."""
        return self.flops / self.bytes if self.bytes else 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes, self.seconds + other.seconds)


class BothWays:
    """What has a `forward` and a `backward`, and their sums."""

    forward: Work
    backward: Work

    @property
    def work(self) -> Work:
        """Forward and backward together."""
        return self.forward + self.backward

    @property
    def seconds(self) -> float:
        """Forward and backward together."""
        return self.forward.seconds + self.backward.seconds

    @property
    def intensity(self) -> float:
        """FLOPs for each byte, forward and backward together."""
        return self.work.intensity


@dataclass
class LayerProfile(BothWays):
    """One layer in one pass: a module that contains no other, or what a container computes itself.

    name: its dotted name in the model. kind: its class. output_shape: of what it returned.
    params, param_bytes: the parameters that are its own.
    flops: of one forward pass of the layer by itself, what a hand count gives.
    output_bytes: of what it returned; 0 for a view of what it was given.
    activation_bytes: of the arrays that its part of the graph keeps alive for the backward pass. An array is
    counted once, for the first layer that saves it; parameters, and what the caller gave, are not counted.
    forward, backward: what ran. Where neighbours are fused, each operation counts for the layer whose
    parameters or kind it has: a ReLU in the product of a `Linear` for the `Linear`, and a ReLU behind the
    pooling instead of before it does the less work.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] = ()
    params: int = 0
    param_bytes: int = 0
    flops: int = 0
    output_bytes: int = 0
    activation_bytes: int = 0
    forward: Work = field(default_factory=Work)
    backward: Work = field(default_factory=Work)


@dataclass
class OpProfile(BothWays):
    """All calls of one operation. backward: what its gradient rule did.

    seconds: in the op's function on ndarrays, and in its rule; the graph around them is not in there.
    """

    name: str
    calls: int = 0
    forward: Work = field(default_factory=Work)
    backward: Work = field(default_factory=Work)


@dataclass
class ModelProfile:
    """The layers of a model in the order in which they ran, and their sums.

    layers: those that compute something or have parameters, and every module without others in it.
    rest: the loss, and what is between layers: containers that only call others, the start of the way back.
    ops: the operations, the longest first.
    params, param_bytes: of the whole model. flops: of all layers, forward, by a hand count.
    input_shapes: of what the model was called with.
    clock: seconds of a pass (forward, and backward if asked for) that nobody watched, taken in turn with
    those that were: what `seconds` should be; 0 where nothing was timed.
    repeats: rounds of timed passes. with_backward: whether the backward pass is in here.
    peak_forward_bytes, peak_bytes: the most that a forward pass, and a whole one with its gradients, has
    allocated at one time, by `tracemalloc` (`peak_memory`); 0 where nothing was timed.
    """

    layers: list[LayerProfile]
    rest: list[LayerProfile]
    ops: list[OpProfile]
    params: int
    param_bytes: int
    input_shapes: list[tuple[int, ...]]
    clock: float = 0.0
    repeats: int = 0
    with_backward: bool = False
    peak_forward_bytes: int = 0
    peak_bytes: int = 0

    def _all(self) -> Iterator[LayerProfile]:
        yield from self.layers
        yield from self.rest

    @property
    def flops(self) -> int:
        """FLOPs of a forward pass, the layers' by themselves, and what is between them."""
        return sum(layer.flops for layer in self.layers)

    @property
    def forward(self) -> Work:
        """What ran forward, the loss included."""
        return sum((layer.forward for layer in self._all()), Work())

    @property
    def backward(self) -> Work:
        """What ran backward."""
        return sum((layer.backward for layer in self._all()), Work())

    @property
    def bytes(self) -> float:
        """Bytes that the forward pass moved at least."""
        return self.forward.bytes

    @property
    def seconds(self) -> float:
        """Of the timed passes, forward and backward: all layers, the loss, and what is between them."""
        return sum(layer.seconds for layer in self._all())

    @property
    def intensity(self) -> float:
        """FLOPs for each byte, forward and backward together."""
        return (self.forward + self.backward).intensity

    @property
    def output_bytes(self) -> int:
        """Bytes of all layers' results."""
        return sum(layer.output_bytes for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes that the graph keeps alive between forward and backward, each array once."""
        return sum(layer.activation_bytes for layer in self._all())

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists and numbers, for JSON."""
        sums = {
            name: getattr(self, name)
            for name in ("flops", "bytes", "seconds", "intensity", "output_bytes", "activation_bytes")
        }
        return {**asdict(self), **sums, "forward": asdict(self.forward), "backward": asdict(self.backward)}

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=148, force_terminal=False).print(self)
        return text.getvalue().rstrip()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield self._table(options.max_width >= WIDE)

    def _table(self, wide: bool) -> Any:
        """The layers as rows; a narrow one has the columns that say where the time goes, and why."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        shapes = ", ".join("×".join(map(str, shape)) or "scalar" for shape in self.input_shapes)
        table = Table(
            box=SIMPLE_HEAD, title=f"input {shapes}", title_justify="left", title_style="bold", pad_edge=False
        )
        table.add_column("layer")
        timed = self.repeats > 0
        headings = ["result", "parameters"] if wide else []
        headings += ["FLOPs", *(["bytes moved"] if wide else []), "FLOPs/byte"]
        headings += (
            ["held for\nbackward", *(["FLOPs\nbackward"] if wide else [])] if self.with_backward else []
        )
        headings += ["forward"] if timed else []
        headings += ["backward"] if timed and self.with_backward else []
        headings += ["of all"] if timed else []
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)

        def add(name: str, shape: str, layer: Any, flops: float, params: int) -> None:
            cells = [shape, _count(params)] if wide else []
            cells.append(_count(flops))
            cells += [_bytes(layer.forward.bytes + layer.backward.bytes)] if wide else []
            cells.append(f"{layer.intensity:.2f}" if layer.intensity else "–")
            if self.with_backward:
                cells.append(_bytes(layer.activation_bytes))
                cells += [_count(layer.backward.flops)] if wide else []
            if timed:
                cells.append(_seconds(layer.forward.seconds))
                cells += [_seconds(layer.backward.seconds)] if self.with_backward else []
                cells.append(f"{layer.seconds / self.seconds:.1%}" if self.seconds else "–")
            table.add_row(name, *cells)

        for layer in self.layers:
            shape = "×".join(map(str, layer.output_shape)) or "–"
            add(f"{layer.kind} [dim]{layer.name}[/]", shape, layer, layer.flops, layer.params)
        for layer in self.rest:
            add(f"[dim]{layer.name}[/]", "", layer, layer.forward.flops, 0)
        table.add_section()
        add("[bold]in all[/]", "", self, self.flops, self.params)
        if timed:
            table.caption = (
                f"{_seconds(self.seconds)} in the layers, {_seconds(self.clock)} by the clock of passes that "
                f"nobody watched, in {self.repeats} rounds; at most {_bytes(self.peak_bytes)} allocated"
            )
            table.caption_justify = "left"
        return table


def _count(number: float) -> str:
    """A whole number, in thousands, millions or billions from ten thousand up."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10 * size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f}" if number else "–"


def _bytes(number: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:,.0f} B" if number else "–"


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{1e6 * value:.1f} µs" if value else "–"
