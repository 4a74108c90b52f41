"""Every gate of milestone 6 stops what it is there for, tried on the MLP of the digits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tinytorch as tt
from grading import exams, optimised, tools
from grading.gates import NotMet
from grading.optimised import Optimised
from grading.thresholds import MILESTONES, ROOT
from tinytorch.models import MLP
from tinytorch.serialization import load
from tinytorch.systems import (
    DistillationLoss,
    prune_channels,
    prune_magnitude,
    quantize_dynamic,
    save_model,
    save_sparse,
)
from tinytorch.text import _generate


@pytest.fixture(scope="module")
def exam():
    return exams.exam("digits")


@pytest.fixture
def found(tmp_path, exam):
    """What an honest script leaves of the MLP: four files, and what it says of them."""
    model = MLP(64, (128, 64), 10).eval()
    model.load_state_dict(load(ROOT / "milestones" / "weights" / "mlp_digits.safetensors")["weights"])
    zeros = MLP(64, (128, 64), 10).eval()
    zeros.load_state_dict(model.state_dict())
    prune_magnitude(zeros, 0.81)
    half = prune_channels(model, 0.5, example_input=tt.zeros(1, 64))
    written = {
        "float32": (save_model, model),
        "int8": (save_model, quantize_dynamic(model)),
        "80 % zeros": (save_sparse, zeros),
        "half the channels": (save_model, half),
    }
    rows = {}
    for name, (write, changed) in written.items():
        file = f"{name.replace(' ', '_').replace('%', '')}.safetensors"
        write(changed, tmp_path / file)
        with tt.no_grad():
            right = float(np.mean(changed(tt.tensor(exam.x)).numpy().argmax(1) == exam.y))
        size = (tmp_path / file).stat().st_size
        rows[name] = {"name": name, "file": file, "bytes": size, "quality": {"value": right}}
    return Optimised("mlp", MILESTONES["mlp-digits"], rows, tmp_path)


FILES = (optimised.sizes_are_those_of_files, optimised.codes_are_integers, optimised.smaller_on_disk)


def test_the_honest_one_passes(found, exam):
    for gate in (*FILES, optimised.qualities_are_true, optimised.mostly_zeros, optimised.half_is_smaller):
        gate(found, exam)
    optimised.loses_little("int8", "int8")(found, exam)


# --- what broken and dishonest scripts leave ------------------------------------------------------------


def codes_in_float(found, exam):
    """The codes are rounded, and kept as float32."""
    arrays = load_file(found.file("int8"))
    rounded = {n: a.astype(np.float32) if n.endswith("codes") else a for n, a in arrays.items()}
    save_file(rounded, found.file("int8"))
    found.rows["int8"]["bytes"] = found.file("int8").stat().st_size


def sizes_computed(found, exam):
    """A quarter of the float32 file, because int8 is a quarter of float32."""
    found.rows["int8"]["bytes"] = found.rows["float32"]["bytes"] // 4


def examined_on_training_data(found, exam):
    """Accuracies are those on the images that it learned from."""
    weights = found.milestone.network.read(found.weights("float32"))
    right = exams.accuracy(found.milestone.network, weights, exam.train_x, exam.train_y)
    found.rows["float32"]["quality"]["value"] = right


def scales_forgotten(found, exam):
    """The codes are there, what they are multiples of is not."""
    arrays = load_file(found.file("int8"))
    save_file(
        {n: np.ones_like(a) if n.endswith("scale") else a for n, a in arrays.items()}, found.file("int8")
    )


def half_of_the_zeros(found, exam):
    """Forty percent are zero."""
    state = {name: array.copy() for name, array in found.weights("float32").items()}
    for array in state.values():
        array[np.abs(array) < np.quantile(np.abs(array), 0.4)] = 0
    save_sparse(state, found.file("80 % zeros"))


def channels_only_zeroed(found, exam):
    """Channels are set to zero, and stay where they are."""
    state = found.weights("float32")
    state["hidden.1.weight"][::2] = 0
    save_file(state, found.file("half the channels"))


def weights_drawn_anew(found, exam):
    """The smaller model was never trained."""
    state = {name: np.random.default_rng(0).normal(size=a.shape).astype(a.dtype)
             for name, a in found.weights("half the channels").items()}  # fmt: skip
    save_file(state, found.file("half the channels"))


LEFT = [
    (codes_in_float, optimised.codes_are_integers, r"expected codes of 8 bits.*hidden\.1\.codes \(F32\)"),
    (codes_in_float, optimised.smaller_on_disk, "3.5 × smaller, got 0.9"),
    (sizes_computed, optimised.sizes_are_those_of_files, "computed instead of measured"),
    (examined_on_training_data, optimised.qualities_are_true, "measured on the training data"),
    (scales_forgotten, optimised.loses_little("int8", "int8"), "expected int8 to lose at most 0.005"),
    (half_of_the_zeros, optimised.mostly_zeros, "expected 80% of the weights zero, got 4"),
    (channels_only_zeroed, optimised.half_is_smaller, "2.0 × smaller, got 1.00"),
    (channels_only_zeroed, optimised.half_is_faster, "1.5 × faster, got"),
    (weights_drawn_anew, optimised.loses_little("half the channels", "structured"), "lose at most 0.015"),
]


@pytest.mark.parametrize(
    ("knockout", "gate", "says"), LEFT, ids=[k.__name__ + str(i) for i, (k, *_) in enumerate(LEFT)]
)
def test_a_knockout_is_stopped(knockout, gate, says, found, exam):
    knockout(found, exam)
    with pytest.raises(NotMet, match=says):
        gate(found, exam)


# --- tools that do not do what they say -----------------------------------------------------------------


def test_a_cache_that_is_never_read(monkeypatch):
    whole = _generate._Reader.__init__
    monkeypatch.setattr(
        _generate._Reader, "__init__", lambda self, model, batch, _: whole(self, model, batch, False)
    )
    with pytest.raises(NotMet, match="Is it read"):
        tools.cache_pays()


def test_a_teacher_that_is_not_listened_to():
    with pytest.raises(NotMet, match=r"points better than alone.*got [+-]0\.00"):
        tools.student_is_better(DistillationLoss(alpha=0.0))


@pytest.mark.parametrize(
    ("change", "gate", "says"),
    [
        (
            {"layers": lambda c: [dataclasses.replace(c.layers[0], flops=1), *c.layers[1:]]},
            tools.counts_are_right,
            "by hand",
        ),
        ({"seconds": lambda c: 0.9 * c.seconds}, tools.profiled_seconds_are_true, "seconds within 5%"),
        ({"peak_bytes": lambda c: int(1.2 * c.peak_bytes)}, tools.profiled_bytes_are_true, "memray's"),
    ],
    ids=["flops", "seconds", "bytes"],
)
def test_a_profiler_that_is_wrong(change, gate, says, monkeypatch):
    true = tools.profile

    class Wrong:
        def __init__(self, costs):
            self._costs = costs

        def __getattr__(self, name):
            return change[name](self._costs) if name in change else getattr(self._costs, name)

    monkeypatch.setattr(tools, "profile", lambda *a, **k: Wrong(true(*a, **k)))
    with pytest.raises(NotMet, match=says):
        gate()
