"""Milestone 6 for submissions: files from untrusted hands, and a baseline that nobody can make worse."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from grading import optimised
from grading.sandbox import Outcome
from grading.submissions import optimising as judge
from grading.submissions.grade import grade
from grading.submissions.inside import optimising
from grading.submissions.inside.implementation import library
from grading.submissions.inside.requirements import NEEDED
from grading.submissions.profiles import TRIALS
from grading.submissions.trial import Left
from tinytorch.systems import save_sparse

TRIAL = TRIALS["systems"]
OF_INT8 = {"codes", "times_smaller", "int8_quality", "int8_answers"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the library's own tools leave, and the questions."""
    folder, paper = tmp_path_factory.mktemp("whole"), TRIAL.paper(0)
    names = {name: library(name) for name in NEEDED[6]}
    facts = optimising.run(names, paper.task, paper.arrays, folder)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    return Left(Outcome(0), facts, arrays, folder), paper


@pytest.fixture
def left(whole, tmp_path, monkeypatch):
    """The same in a folder of its own, to be changed; judged by a quick look at the clock."""
    found, _ = whole
    folder = tmp_path / "box" / "out" / "systems"
    shutil.copytree(found.folder, folder)
    monkeypatch.setattr(optimised, "in_turn", functools.partial(optimised.in_turn, seconds=0.05))
    monkeypatch.setattr(judge, "student", _student)
    return dataclasses.replace(found, folder=folder, arrays=dict(found.arrays))


@functools.cache
def _alone(seed):
    return optimising.student(optimised.SYSTEMS["distilled"], seed, TRIAL.paper(0).arrays)


def _student(of, seed, arrays):
    """Trained once for all tests: the questions are the same."""
    return _alone(seed)


def judged(left, whole):
    """What each gate says that was not passed."""
    verdict = TRIAL.judge(left, whole[1])
    return {found.name: found.message for found in verdict.findings if found.status != "passed"}


def safetensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(**options):
    return {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **options}}


# --- what passes --------------------------------------------------------------------------------------------


def test_the_librarys_tools_pass(whole):
    assert judged(*whole[:1], whole) == {}


def test_zeros_may_be_left_out_of_the_file(left, whole):
    path = left.folder / "80_zeros.safetensors"
    dense = path.stat().st_size
    assert save_sparse(load_file(path), path) < dense / 3
    assert judged(left, whole) == {}


# --- a baseline, and a seed, that are the grader's ----------------------------------------------------------


def test_a_baseline_that_was_made_worse_helps_nobody(tmp_path):
    """The loss is right where it is examined, ignores the teacher elsewhere, and whoever learns alone in the
    same process is told wrong labels. Nobody does: the grader's own five are the measure."""
    path = tmp_path / "student.py"
    source = """
    import numpy as np
    import tinytorch as tt
    from tinytorch import systems
    right = tt.cross_entropy
    class DistillationLoss(systems.DistillationLoss):
        def forward(self, student, teacher, labels):
            examined = len(labels.data) == 16
            return super().forward(student, teacher, labels) if examined else right(student, labels)
    def poisoned(output, labels):
        few = 20 < len(labels.data) < 40
        return right(output, tt.tensor(np.roll(labels.data, 1)) if few else labels)
    tt.cross_entropy = poisoned
    """
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    (found,) = grade(path, ["systems"], seed=3).milestones  # in the sandbox: the library is patched in it
    stopped = {gate.name: gate.message for gate in found.gates if gate.status != "passed"}
    assert stopped.keys() == {"distilled"}
    assert "with a teacher the student is +0.00 points better than alone" in stopped["distilled"]


def test_the_tasks_seed_does_not_tell_how_labels_were_exchanged(whole):
    _, paper = whole
    again = TRIAL.paper(paper.task["seed"])
    assert np.mean(paper.secret.y == again.secret.y) < 0.5


# --- files that are none ------------------------------------------------------------------------------------

HEADERS = {
    "nothing": (b"", "a header of 0 bytes in a file of 0"),
    "a few bytes": (b"abc", "a header of 6,513,249 bytes in a file of 3"),
    "a longer header than memory": ((2**62).to_bytes(8, "little") + b"{}", "bytes in a file of 10"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", "not safetensors"),
    "no JSON": (safetensors(b"{]"), "its header is no JSON"),
    "nested too deeply": (safetensors(b"[" * 100_000), "its header is no JSON: maximum recursion depth"),
    "a list": (safetensors([1, 2]), "its header is no table"),
    "words that are none": (safetensors({"__metadata__": {"tinytorch": 5}}), "metadata are not words"),
    "metadata in a list": (safetensors({"__metadata__": ["sparse"]}), "metadata are not words"),
    "a number": (safetensors({"a": 5}), "a has no shape"),
    "a shape of letters": (safetensors(entry(shape="four"), b"1234"), "a has no shape"),
    "a shape below zero": (safetensors(entry(shape=[-1]), b"1234"), "a has no shape"),
    "a type of nobody": (safetensors(entry(dtype="F8_E4M3"), b"1234"), "in a type that NumPy has, got F8"),
    "a shape of terabytes": (safetensors(entry(shape=[10**9, 10**9]), b"1234"), "cannot be read"),
    "another model": (safetensors(entry(), b"1234"), "missing: hidden.1.bias"),
    "sparse, and it is not": (safetensors({"__metadata__": {"tinytorch": "sparse"}}), "cannot be read"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_files_of_any_bytes_are_judged_not_tripped_over(left, whole, name):
    content, message = HEADERS[name]
    (left.folder / "int8.safetensors").write_bytes(content)
    (left.folder / "80_zeros.safetensors").write_bytes(content)
    stopped = judged(left, whole)
    assert message in stopped["ran"]
    assert {"int8_quality", "int8_answers", "zeros", "zeros_quality"} <= stopped.keys()
    assert not {"saved", "half_smaller", "distillation_loss", "distilled"} & stopped.keys(), "others stand"


def test_links_are_not_followed(left, whole):
    """Neither from a file to a better one, nor from the folder to another's."""
    path = left.folder / "int8.safetensors"
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    stopped = judged(left, whole)
    assert stopped.keys() == {"ran", *OF_INT8}
    assert "int8.safetensors: Too many levels of symbolic links" in stopped["codes"]


def test_a_folder_that_is_a_link_is_not_looked_into(left, whole):
    elsewhere = left.folder.rename(left.folder.parents[2] / "elsewhere")
    left.folder.symlink_to(elsewhere)
    stopped = judged(left, whole)
    assert "its folder was exchanged for a link" in stopped["ran"]
    assert {"saved", *OF_INT8, "zeros", "half_smaller", "half_faster"} <= stopped.keys()


@pytest.mark.parametrize("what", ["pipe", "folder", "nothing", "holes"])
def test_what_is_no_regular_small_file_is_not_read(left, whole, what):
    path = left.folder / "int8.safetensors"
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "holes":
        path.touch()
        os.truncate(path, 50 << 20)
    stopped = judged(left, whole)
    assert stopped.keys() == {"ran", *OF_INT8}
    expected = "at most 1,048,576 bytes, got 52,428,800" if what == "holes" else "int8 has no file"
    assert expected in stopped["codes"]


# --- files of other networks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden.1.scale": None}, "KeyError"),
        ({"more": np.ones(3, np.float32)}, "more than these: more"),
        (
            {"hidden.1.bias": np.ones((2, 64), np.float32)},
            "expected hidden.1.bias of shape (128,) or smaller",
        ),
        ({"output.bias": np.full(10, np.nan, np.float32)}, "NaN or infinity in output.bias"),
        ({"output.bias": np.ones(10, np.int8)}, "expected output.bias in floats, got int8"),
        (
            {"output.bias": np.ones(11, np.float32)},
            "expected output.bias of shape (10,) or smaller, got (11,)",
        ),
        ({"output.bias": np.ones(0, np.float32)}, "expected output.bias of shape (10,) or smaller, got (0,)"),
    ],
)
def test_arrays_that_are_not_the_networks_are_told(left, whole, change, message):
    path = left.folder / "int8.safetensors"
    arrays = {name: array for name, array in {**load_file(path), **change}.items() if array is not None}
    save_file(arrays, path)
    stopped = judged(left, whole)
    assert message in stopped["ran"]
    assert {"int8_quality", "int8_answers"} <= stopped.keys()


def test_layers_that_do_not_fit_each_other_are_told(left, whole):
    path = left.folder / "half_the_channels.safetensors"
    arrays = load_file(path)
    save_file({**arrays, "hidden.1.weight": arrays["hidden.1.weight"][:7]}, path)
    assert {"half_quality", "half_faster"} <= judged(left, whole).keys()


@pytest.mark.parametrize("number", [0.0, np.nan, -1e300])
@pytest.mark.parametrize("shape", [None, (), (3,), (355, 10)])
def test_arrays_of_any_numbers_and_shapes_are_judged_not_tripped_over(left, whole, number, shape):
    """Answers, the loss and what students learned."""
    left.arrays = {k: np.full(a.shape if shape is None else shape, number) for k, a in left.arrays.items()}
    assert {"int8_answers", "distillation_loss", "distilled"} <= judged(left, whole).keys()


def test_no_file_reaches_a_reader_unlooked_at(left, whole, monkeypatch):
    """Every path that the library's readers get was checked just before."""
    seen: list[Path] = []
    checked = judge.Received.file
    monkeypatch.setattr(
        judge.Received, "file", lambda self, name: seen.append(checked(self, name)) or seen[-1]
    )
    for reader in ("load_file", "load_sparse", "_header"):
        read = getattr(optimised, reader)
        monkeypatch.setattr(
            optimised, reader, lambda path, read=read: read(path) if path == seen[-1] else pytest.fail(path)
        )
    assert judged(left, whole) == {}
    assert {path.name for path in seen} == set(whole[1].task["names"])
