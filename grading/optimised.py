"""What the models that milestone 6 made smaller have to show: gates that look at files, clocks and test data.

The script's own figures are believed by nobody. Sizes are read off the files, codes off their types,
qualities are worked out in NumPy from what the files hold, and the grader has a clock of its own.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import tinytorch as tt
from grading import exams
from grading.exams import Exam
from grading.gates import require
from grading.networks import Network
from grading.runs import Run
from grading.thresholds import MILESTONES, SYSTEMS, Milestone
from grading.transformer import Transformer
from tinytorch import nn
from tinytorch.systems import load_sparse

INTEGERS = {"I8", "U8"}


@dataclass
class Optimised:
    """What a run of the script left about one model.

    name: "mlp", "cnn" or "gpt". rows: its candidates by name, as details.json has them. folder: of the run.
    """

    name: str
    milestone: Milestone
    rows: dict[str, dict[str, Any]]
    folder: Path
    qualities: dict[str, float] = field(default_factory=dict)

    def file(self, candidate: str) -> Path:
        """Where a candidate's numbers are."""
        require(candidate in self.rows, f"{self.name}: expected a model called {candidate!r}, got none")
        path = self.folder / self.rows[candidate]["file"]
        require(path.is_file(), f"{self.name}: {candidate} has no file {path.name}")
        return path

    def weights(self, candidate: str) -> dict[str, np.ndarray]:
        """Its arrays in float32: codes times their scales, zeros in their places."""
        path = self.file(candidate)
        if "sparse" in _header(path).get("__metadata__", {}).get("tinytorch", ""):
            return {name: tensor.numpy() for name, tensor in load_sparse(path).items()}
        return dequantised(load_file(path))

    def quality(self, candidate: str, exam: Exam) -> float:
        """The share of right answers, or minus the loss, by the grader's own arithmetic; worked out once."""
        if candidate not in self.qualities:
            weights = self.weights(candidate)
            network = self.milestone.network
            if isinstance(network, Transformer):
                self.qualities[candidate] = -exams.loss(network, network.read(weights), exam)
            else:
                network = resized(network, weights)
                self.qualities[candidate] = exams.accuracy(network, network.read(weights), exam.x, exam.y)
        return self.qualities[candidate]


def read(run: Run, folder: Path) -> dict[str, Optimised]:
    """What the script left, by the model's name."""
    found = sorted(folder.rglob("details.json"))
    require(len(found) == 1, f"systems: expected one details.json, got {len(found)}. {run.output}")
    models = {}
    for name, facts in json.loads(found[0].read_text("utf-8"))["models"].items():
        of = SYSTEMS["models"][name]
        require(facts["dataset"] in of, f"{name}: expected one of {', '.join(of)}, got {facts['dataset']}")
        rows = {row["name"]: row for row in facts["candidates"]}
        models[name] = Optimised(name, MILESTONES[of[facts["dataset"]]], rows, found[0].parent)
    return models


def is_embedded(folder: Path) -> bool:
    """Whether a run was about the data that need no download."""
    facts = json.loads((folder / "details.json").read_text("utf-8"))["models"].values()
    return all(row["dataset"] in SYSTEMS["embedded"] for row in facts)


def dequantised(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """int8 codes with a scale for each row become the weights that they stand for; the rest stays."""
    found = {}
    for name, array in arrays.items():
        layer, _, what = name.rpartition(".")
        if what == "codes":
            scale = arrays[f"{layer}.scale"].reshape(-1, *[1] * (array.ndim - 1))
            found[f"{layer}.weight"] = array.astype(np.float32) * scale
        elif what not in ("scale", "activation"):
            found[name] = array
    return found


def resized(network: Network, weights: Mapping[str, np.ndarray]) -> Network:
    """The network with as many channels and units in each layer as its weights have."""
    widths = iter(w.shape[0] for name, w in sorted(weights.items(), key=_natural) if name.endswith(".weight"))
    layers = [re.sub(r"\d+", lambda _: str(next(widths)), layer) for layer in network.layers]
    return replace(network, layers=layers)


def _natural(item: tuple[str, Any]) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item[0])]


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, read here and not by any library."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return json.loads(stream.read(length))


# --- sizes ----------------------------------------------------------------------------------------------


def sizes_are_those_of_files(found: Optimised, exam: Exam) -> None:
    """What is reported of every candidate is the size of the file that is named beside it."""
    for name, row in found.rows.items():
        size = found.file(name).stat().st_size
        require(
            row["bytes"] == size,
            f"{found.name}: {name} is reported with {row['bytes']:,} bytes, its file has {size:,}. Was the "
            "size computed instead of measured?",
        )


def codes_are_integers(found: Optimised, exam: Exam) -> None:
    """Every matrix of the int8 model is stored as 8-bit integers."""
    header = _header(found.file("int8"))
    matrices = {n: t for n, t in header.items() if n != "__metadata__" and len(t["shape"]) > 1}
    other = [f"{name} ({t['dtype']})" for name, t in matrices.items() if t["dtype"] not in INTEGERS]
    require(
        matrices and not other,
        f"{found.name}: expected codes of 8 bits in the int8 model's file, got "
        f"{', '.join(other) or 'no codes'}",
    )


def smaller_on_disk(found: Optimised, exam: Exam) -> float:
    """The float32 file is so many times the int8 file."""
    times = found.file("float32").stat().st_size / found.file("int8").stat().st_size
    least = SYSTEMS["times_smaller"]
    require(times >= least, f"{found.name}: expected an int8 file {least} × smaller, got {times:.2f} ×")
    return times


# --- quality --------------------------------------------------------------------------------------------


def loses_little(candidate: str, allowed: str) -> Callable[[Optimised, Exam], float]:
    """The gate that a candidate answers nearly as well as the float32 model, on the test data."""

    def gate(found: Optimised, exam: Exam) -> float:
        lost = found.quality("float32", exam) - found.quality(candidate, exam)
        most = SYSTEMS["lost"][allowed]["gpt" if found.name == "gpt" else "classifier"]
        require(
            lost <= most,
            f"{found.name}: expected {candidate} to lose at most {most:g}, got {lost:.4f} on the test data",
        )
        return lost

    gate.__name__ = f"{allowed}_loses_little"
    return gate


def qualities_are_true(found: Optimised, exam: Exam) -> None:
    """What is reported of each candidate is what its file can do on the test data."""
    sign = -1 if found.name == "gpt" else 1
    within = SYSTEMS["reported_within"]["gpt" if found.name == "gpt" else "classifier"]
    for name in [n for n in SYSTEMS["examined"] if n in found.rows]:
        told, true = sign * found.rows[name]["quality"]["value"], found.quality(name, exam)
        hint = ""
        if exam.learned is not None and told > true + within:
            hint = " Was it measured on the training data?"
        require(
            abs(told - true) <= within,
            f"{found.name}: {name} reports {abs(told):.4f}, its file gives {abs(true):.4f} on the test "
            f"data.{hint}",
        )


# --- fewer weights --------------------------------------------------------------------------------------


def mostly_zeros(found: Optimised, exam: Exam) -> float:
    """Of the weights in matrices four of five are zero, and the file says so."""
    matrices = [w for w in found.weights("80 % zeros").values() if w.ndim > 1]
    zeros = sum(int((w == 0).sum()) for w in matrices) / sum(w.size for w in matrices)
    least = SYSTEMS["sparsity"]
    require(zeros >= least, f"{found.name}: expected {least:.0%} of the weights zero, got {zeros:.1%}")
    return zeros


def half_is_smaller(found: Optimised, exam: Exam) -> float:
    """Removing channels halved the file at least."""
    times = found.file("float32").stat().st_size / found.file("half the channels").stat().st_size
    least = SYSTEMS["structured"]["smaller"]
    require(times >= least, f"{found.name}: expected half the channels {least} × smaller, got {times:.2f} ×")
    return times


def half_is_faster(found: Optimised, exam: Exam) -> float:
    """With the same kernels and layers, by the grader's clock, for a batch."""
    network = found.milestone.network
    assert isinstance(network, Network)
    models = [as_module(network, found.weights(name)) for name in ("float32", "half the channels")]
    x = tt.tensor(network.prepared(exam.x[: SYSTEMS["structured"]["batch"]]))
    with tt.no_grad():
        whole, half = in_turn([lambda model=model: model(x) for model in models])
    least = SYSTEMS["structured"]["faster"]
    require(
        whole / half >= least,
        f"{found.name}: expected half the channels {least} × faster, got {whole / half:.2f} × "
        f"({1e3 * whole:.3f} against {1e3 * half:.3f} ms)",
    )
    return whole / half


def as_module(network: Network, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """The library's layers with these weights, as many of each as there are."""
    groups = resized(network, weights).read(weights)
    layers: list[nn.Module] = []
    for kind in (layer.split()[0] for layer in network.layers):
        if kind in ("conv", "linear"):
            group = groups.pop(0)
            outputs, inputs = group["weight"].shape[:2]
            layer = nn.Conv2d(inputs, outputs, 3, padding=1) if kind == "conv" else nn.Linear(inputs, outputs)
            layer.load_state_dict({name: array.astype(np.float32) for name, array in group.items()})
            layers.append(layer)
        else:
            layers.append({"relu": nn.ReLU, "pool": lambda: nn.MaxPool2d(2), "flatten": nn.Flatten}[kind]())
    return nn.Sequential(*layers).eval()


def in_turn(functions: list[Callable[[], object]], seconds: float = 2.0) -> list[float]:
    """The median time of each, called in turn for about so long: what slows one down slows all."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, taken in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]
