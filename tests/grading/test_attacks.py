"""Attacks on the grader: none passes, none hangs it, none leaves a process or a file behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from grading.sandbox import (
    Box,
    Limits,
    Unreadable,
    landlock,
    namespaces_work,
    read_array,
    run,
    syscalls,
    view,
)
from grading.sandbox.box import ROOT
from grading.sandbox.supervise import _tree
from grading.submissions.grade import grade
from tests.grading.attacks import CURIOUS, DISHONEST, GREEDY, WOULD_FIND
from tinytorch.kernels._jit import cache_folder

MICRO = (ROOT / "examples" / "micro.py").read_text("utf-8").partition('if __name__ == "__main__":')[0]
BROKEN = MICRO.replace("parameter.data = parameter.data - self.lr * parameter.grad", "pass")
TIGHT = Limits(seconds=2.0, memory_mib=300, processes=40, file_mib=8, disk_mib=24, output_kib=16)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is built on Linux")
with_namespaces = pytest.mark.skipif(
    bool(namespaces_work()), reason=f"no namespaces here: {namespaces_work()}"
)
with_landlock = pytest.mark.skipif(
    landlock.version() < 6 or not syscalls.known(), reason="this kernel has no Landlock that keeps signals in"
)
# What `run` is told of namespaces.
WALLS = (pytest.param(True, marks=with_namespaces), pytest.param(False, marks=with_landlock))


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


def found(output: str) -> bool:
    """Tracebacks quote the word, too."""
    return any(line.startswith("FOUND") for line in output.splitlines())


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
    if namespaces_work() and not syscalls.known():
        pytest.skip("nothing here keeps a signal to all processes in")
    code = placed(in_its_box(DISHONEST[attack]), SECRET=secret)
    (graded,) = grade(submission(tmp_path, f"{BROKEN}\n{code}"), ["perceptron"], seed=0).milestones
    assert graded.status == "failed"
    assert graded.score < graded.max_score
    assert graded.mark is None
    assert not secret.with_name("secret.pickled").exists()
    assert not Path("/tmp/grade.json").exists()


@pytest.fixture
def curious(tmp_path, secret, monkeypatch):
    """`curious(attack)`: its source, with places and neighbours that are there to be found."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels").write_text("labels")
    monkeypatch.setenv("TINYTORCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOLD_ONLY_TO_THE_GRADER", "1")
    victim = subprocess.Popen(["sleep", "60"])
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0a-secret-socket")
        abstract.listen()
        places = {
            "SECRET": secret, "CHECKOUT": ROOT, "DATA": tmp_path / "data", "WARM": cache_folder(),
            "PORT": server.getsockname()[1], "VICTIM": victim.pid,
        }  # fmt: skip
        yield lambda attack: placed(in_its_box(CURIOUS[attack]), **places)
    victim.kill()
    victim.wait()


@pytest.mark.parametrize("namespaces", WALLS, ids=["namespaces", "landlock"])
@pytest.mark.parametrize("attack", CURIOUS)
def test_curiosity_finds_nothing(attack, namespaces, tmp_path, curious, nothing_left):
    with Box.make(submission(tmp_path, curious(attack))) as box:
        outcome = run(box, ["submission/attack.py"], Limits(seconds=20), namespaces=namespaces)
    assert outcome.stopped == ""
    assert not found(outcome.output), outcome.output


@pytest.mark.parametrize("attack", WOULD_FIND)
def test_curiosity_finds_something_without_a_sandbox(attack, tmp_path, curious):
    """Or the test above would say nothing."""
    for name in ("home", "in", "lib/tinytorch"):
        (tmp_path / "box" / name).mkdir(parents=True)
    (tmp_path / "box" / "lib" / "labels.npz").touch()
    path = submission(tmp_path, curious(attack))
    environment = {**os.environ, "HOME": str(tmp_path / "box" / "home")}
    done = subprocess.run(
        [sys.executable, "-I", str(path)],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert found(done.stdout), done.stderr


@pytest.mark.parametrize("namespaces", WALLS, ids=["namespaces", "landlock"])
def test_the_library_works_within_the_walls_and_its_kernels_are_warm(namespaces, tmp_path):
    code = """
        import os, sys
        sys.path.insert(0, os.environ["HOME"].rsplit("/", 1)[0] + "/lib")
        import numpy as np
        from tinytorch import Tensor, nn
        from tinytorch.kernels._jit import compiled_kernels
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        nn.CrossEntropyLoss()(model(Tensor(np.ones((5, 4), "f4"))), Tensor(np.zeros(5, "i8"))).backward()
        print("compiled:", compiled_kernels())
    """
    with Box.make(submission(tmp_path, textwrap.dedent(code))) as box:
        outcome = run(box, ["submission/attack.py"], Limits(seconds=60), namespaces=namespaces)
    assert outcome.output.strip() == "compiled: 0"


@pytest.mark.parametrize("namespaces", WALLS, ids=["namespaces", "landlock"])
def test_labels_among_the_interpreters_packages_are_hidden(namespaces, tmp_path, monkeypatch):
    """A library that is installed there has its data with it. Here another package plays it."""
    monkeypatch.setattr(view, "_LABELLED", ("numpy/random",))
    code = """
        import glob, sys
        for name in ("core", "random"):
            path, = glob.glob(f"{sys.prefix}/lib/python*/site-packages/numpy/{name}/__init__.py") or [""]
            try:
                print(name, bool(open(path).read()))
            except OSError:
                print(name, "closed")
    """
    with Box.make(submission(tmp_path, textwrap.dedent(code))) as box:
        outcome = run(box, ["submission/attack.py"], Limits(seconds=20), namespaces=namespaces)
    assert outcome.output.splitlines() == ["core True", "random closed"]


def test_what_does_not_hold_is_said(tmp_path, secret, monkeypatch):
    """Without namespaces, on a kernel without Landlock, files can be read; sockets cannot be had."""
    monkeypatch.setattr(landlock, "version", lambda: 0)
    code = placed(CURIOUS["a secret of the machine"], SECRET=secret)
    with Box.make(submission(tmp_path, f"{code}\nimport socket\nsocket.socket()")) as box:
        outcome = run(box, ["submission/attack.py"], Limits(seconds=20), namespaces=False)
    assert found(outcome.output)
    assert "PermissionError" in outcome.output
    held = outcome.isolation
    assert (held["namespaces"], held["files"], held["network"]) == (False, "open", "refused socket")
    assert "files of the machine can be read, sockets are refused by the kernel" in held["notes"][0]


@pytest.mark.parametrize("namespaces", [WALLS[0], False], ids=["inside", "watched"])
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


@with_landlock
def test_the_parent_cannot_be_killed_where_there_are_no_namespaces(tmp_path, nothing_left):
    code = f"{BROKEN}\n{DISHONEST['the parent killed']}"
    (graded,) = grade(submission(tmp_path, code), ["perceptron"], seed=0, namespaces=False).milestones
    assert graded.status == "failed"
    assert graded.gates[0].status == "passed", "it came to its end"


def test_no_socket_where_there_are_no_namespaces(tmp_path):
    code = "import socket\nsocket.socket()"
    graded = grade(submission(tmp_path, f"{MICRO}\n{code}"), ["perceptron"], seed=0, namespaces=False)
    assert graded.isolation["network"] == "refused socket"
    assert "no network while a submission is graded" in graded.milestones[0].gates[0].message


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
