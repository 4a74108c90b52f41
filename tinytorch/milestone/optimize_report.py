"""What milestone 6 tells and draws of what it measured: tables, pictures, the studies of `--scaling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich.box
from rich.table import Table

from tinytorch import viz
from tinytorch.milestone.optimization import Subject
from tinytorch.milestone.telling import Telling
from tinytorch.systems import Latency, batch_sweep, machine, profile, roofline, thread_sweep
from tinytorch.systems.benchmarking.latency import speedup
from tinytorch.systems.benchmarking.pareto import Candidate, pareto_front

FLOOR_POINTS, FLOOR_NATS = 6.0, 0.6  # below the original, from which on a point is drawn at the edge


def tell(
    telling: Telling, subject: Subject, candidates: Sequence[Candidate], latency: Mapping[str, Latency]
) -> None:
    """Print one row a model, those dim that another beats in everything, and name what does not pay here."""
    first, front = candidates[0], pareto_front(candidates)
    scale, digits = (1, 4) if subject.falls else (100, 2)
    table = Table(box=rich.box.SIMPLE_HEAD, padding=0)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    timed, asked = ("µs/token", "nats") if subject.falls else ("µs/image", "accuracy")
    for heading in ("bytes", "", timed, "", asked, "", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, c in enumerate(candidates, 1):
        table.add_row(
            str(number),
            c.name,
            f"{c.bytes:,}",
            f"{first.bytes / c.bytes:.2f}×",
            f"{1e6 * c.seconds.value:,.1f}",
            f"{speedup(latency[first.name], latency[c.name])[0]:.2f}×",
            f"{scale * c.quality.value:.{digits}f}",
            f"±{scale * (c.quality.high - c.quality.low) / 2:.{digits}f}",
            f"{scale * (c.loss - first.loss):.{digits}f}" if c is not first else "",
            style="" if c in front else "dim",
        )
    telling.console.print(table)
    telling.say("  [dim]dim: another is no larger, no slower and no worse[/]")
    useless = [c.name for c in candidates[1:] if not _pays(c, first, latency)]
    if useless:
        telling.say(f"  does not pay here, neither smaller nor faster: {', '.join(useless)}")


def _pays(candidate: Candidate, first: Candidate, latency: Mapping[str, Latency]) -> bool:
    """Whether it is smaller by more than a fiftieth, or faster by more than the measurement leaves open."""
    _, (least, _) = speedup(latency[first.name], latency[candidate.name])
    return candidate.bytes < 0.98 * first.bytes or least > 1


def quality_text(candidate: Candidate) -> str:
    """Its accuracy or loss, in words."""
    value = candidate.quality.value
    return f"{value:.4f} nats a token" if candidate.falls else f"{100 * value:.2f} %"


def draw(subject: Subject, candidates: Sequence[Candidate], path: Path) -> None:
    """Draw quality against bytes and against time, the front in colour, into a file."""
    front, scale = pareto_front(candidates), 1 if subject.falls else 100
    rows = [
        {
            "name": c.name,
            "bytes": c.bytes,
            "seconds": (c.seconds.value, c.seconds.low, c.seconds.high),
            "quality": tuple(scale * v for v in (c.quality.value, c.quality.low, c.quality.high)),
            "front": c in front,
        }
        for c in candidates
    ]
    first = scale * candidates[0].quality.value
    viz.pareto(
        rows,
        path,
        quality="loss on the test text, nats a token" if subject.falls else "accuracy on the test images, %",
        falls=subject.falls,
        floor=first + FLOOR_NATS if subject.falls else first - FLOOR_POINTS,
        latency="milliseconds a token" if subject.falls else "milliseconds for one image",
        title=f"{subject.milestone.title}, made smaller and faster",
    )


def sweeps(telling: Telling, subject: Subject, sizes: Sequence[int]) -> dict[str, Any]:
    """What `--scaling` asks for: times by the size of a batch and by the number of threads."""
    batches = batch_sweep(subject.model, subject.inputs(1), sizes)
    threads = thread_sweep(subject.model, subject.inputs(sizes[0]))
    for title, rows in (
        ("Batches", [(row.batch, row.latency.p50) for row in batches]),
        ("Threads", [(row.threads, row.latency.p50) for row in threads]),
    ):
        telling.say(f"[bold]{title}[/]  " + ", ".join(f"{size}: {1e3 * s:.3g} ms" for size, s in rows))
    return {
        "batches": [{"batch": row.batch, "seconds": row.latency.p50} for row in batches],
        "threads": [{"threads": row.threads, "seconds": row.latency.p50} for row in threads],
    }


def costs(telling: Telling, subject: Subject, size: int, picture: Path | None) -> dict[str, Any]:
    """What `--profile` asks for: the costs of every layer, and a picture of what bounds each."""
    found = profile(subject.model, subject.inputs(size))
    telling.console.print(found)
    rows, of_machine = [asdict(row) for row in roofline(found)], machine().to_dict()
    if picture is not None:
        title = f"{subject.milestone.title}: what bounds each layer"
        viz.roofline(rows, of_machine, picture, title=title)
    return {"profile": found.to_dict(), "roofline": rows, "machine": of_machine}
