"""Attacks on the grader: none passes, none hangs it, none leaves a process or a file behind."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grading.sandbox import Box, Limits, Unreadable, namespaces_work, read_array, run
from grading.sandbox.box import ROOT
from grading.sandbox.supervise import _tree
from grading.submissions.grade import grade
from tests.grading.attacks import CURIOUS, DISHONEST, GREEDY
from tinytorch.kernels._jit import cache_folder

MICRO = (ROOT / "examples" / "micro.py").read_text("utf-8").partition('if __name__ == "__main__":')[0]
BROKEN = MICRO.replace("parameter.data = parameter.data - self.lr * parameter.grad", "pass")
TIGHT = Limits(seconds=2.0, memory_mib=300, processes=40, file_mib=8, disk_mib=24, output_kib=16)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is built on Linux")
with_namespaces = pytest.mark.skipif(
    bool(namespaces_work()), reason=f"no namespaces here: {namespaces_work()}"
)


@pytest.fixture
def nothing_left(tmp_path_factory, monkeypatch):
    """What was started is gone, and so are the boxes."""
    before, boxes = set(_tree(os.getpid())), tmp_path_factory.mktemp("boxes")
    monkeypatch.setattr(tempfile, "tempdir", str(boxes))
    yield
    assert not set(_tree(os.getpid())) - before, "a process is left"
    assert not list(boxes.iterdir()), "a file is left"


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("labels")
    return path


def placed(code: str, **places: object) -> str:
    for name, value in places.items():
        code = code.replace(name, str(value))
    return code


def in_its_box(code: str) -> str:
    """A submission does not know its box; it can find it."""
    return "BOX_ = __import__('os').environ['HOME'].rsplit('/', 1)[0]\n" + code.replace("'BOX", "BOX_ + '")


def submission(folder: Path, code: str) -> Path:
    path = folder / "attack.py"
    path.write_text(code, "utf-8")
    return path


def test_without_an_attack_the_whole_one_passes_and_the_broken_one_does_not(tmp_path):
    for code, status in ((MICRO, "passed"), (BROKEN, "failed")):
        assert grade(submission(tmp_path, code), ["perceptron"], seed=0).milestones[0].status == status


@pytest.mark.parametrize("attack", DISHONEST)
def test_dishonesty_does_not_pass(attack, tmp_path, secret, nothing_left):
    code = placed(in_its_box(DISHONEST[attack]), SECRET=secret)
    (found,) = grade(submission(tmp_path, f"{BROKEN}\n{code}"), ["perceptron"], seed=0).milestones
    assert found.status == "failed"
    assert found.score < found.max_score
    assert found.mark is None
    assert not secret.with_name("secret.pickled").exists()
    assert not Path("/tmp/grade.json").exists()


@with_namespaces
@pytest.mark.parametrize("attack", CURIOUS)
def test_curiosity_finds_nothing(attack, tmp_path, secret, nothing_left, monkeypatch):
    monkeypatch.setenv("A_SECRET_OF_THE_GRADER", "1")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0a-secret-socket")
        abstract.listen()
        code = placed(
            in_its_box(CURIOUS[attack]), SECRET=secret, CHECKOUT=ROOT, HOME=Path.home(),
            PORT=server.getsockname()[1], WARM=cache_folder(),
        )  # fmt: skip
        with Box.make(submission(tmp_path, code)) as box:
            outcome = run(box, ["submission/attack.py"], Limits(seconds=20))
    assert outcome.stopped == ""
    assert "FOUND" not in outcome.output


def test_curiosity_finds_something_where_it_may(tmp_path, secret):
    """The attacks above can succeed: without the sandbox this one does."""
    code = placed(CURIOUS["a secret of the machine"], SECRET=secret)
    with Box.make(submission(tmp_path, code)) as box:
        outcome = run(box, ["submission/attack.py"], Limits(seconds=20), namespaces=False)
    assert "FOUND" in outcome.output
    assert outcome.isolation["namespaces"] is False
    assert "files of the machine can be read" in outcome.isolation["notes"][0]


@pytest.mark.parametrize(
    "namespaces", [pytest.param(True, marks=with_namespaces), False], ids=["inside", "watched"]
)
@pytest.mark.parametrize("attack", GREEDY)
def test_greed_is_stopped(attack, namespaces, tmp_path, nothing_left):
    code, stopped = GREEDY[attack]
    began = time.monotonic()
    with Box.make(submission(tmp_path, in_its_box(code))) as box:
        outcome = run(box, ["submission/attack.py"], TIGHT, namespaces=namespaces)
    assert time.monotonic() - began < TIGHT.seconds + 10
    assert outcome.stopped == stopped
    assert outcome.peak_mib < 2 * TIGHT.memory_mib
    assert len(outcome.output) <= TIGHT.output_kib << 10


def test_no_socket_where_there_are_no_namespaces(tmp_path):
    code = "import socket\nsocket.socket()"
    found = grade(submission(tmp_path, f"{MICRO}\n{code}"), ["perceptron"], seed=0, namespaces=False)
    assert found.isolation["network"] == "refused socket"
    assert "no network while a submission is graded" in found.milestones[0].gates[0].message


def test_files_that_configure_python_or_pytest_are_left_out(tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text(MICRO, "utf-8")
    for name in ("conftest.py", "sitecustomize.py", "usercustomize.py", "pytest.ini", "x.pth", "setup.cfg"):
        (package / name).write_text("raise SystemExit(0)")
    for name in ("json.py", "numpy.py", "inside.py", "tinytorch.py"):
        (package / name).write_text("raise SystemExit('a module of the same name')")
    (package / "link.py").symlink_to("/etc/passwd")
    with Box.make(package) as box:
        copied = {path.name for path in (box.root / "submission").rglob("*.*")}
    assert copied == {"__init__.py", "json.py", "numpy.py", "inside.py", "tinytorch.py"}
    assert grade(package, ["perceptron"], seed=0).milestones[0].status == "passed"


def test_known_images_are_not_those_that_are_asked(tmp_path):
    """A table of hashes, and weights that were trained at home, know nothing of these digits."""
    from tinytorch import datasets

    data = datasets.digits()
    known = {
        image.astype("f4").tobytes() for image in data.test_images.reshape(len(data.test_images), -1) / 16.0
    }
    from grading.submissions.profiles import TRIALS

    paper = TRIALS["mlp"].paper(0)
    assert not known & {image.tobytes() for image in paper.arrays["test_x"]}
    assert "test_y" not in paper.arrays


@pytest.mark.parametrize("make", ["link", "folder", "object", "short"])
def test_reading_refuses(make, tmp_path):
    import numpy as np

    path = tmp_path / "x.npy"
    if make == "link":
        path.symlink_to("/etc/passwd")
    elif make == "folder":
        path.mkdir()
    elif make == "object":
        np.save(path, np.array([{}], object), allow_pickle=True)
    else:
        path.write_bytes(b"\x93NUMPY")
    with pytest.raises(Unreadable, match=r"x\.npy"):
        read_array(path)
