"""What a sandboxed process can write, where it is: four folders of its box, whoever the grader is."""

from __future__ import annotations

import textwrap

import pytest

from grading.sandbox import Box, Limits, namespaces_work, run

pytestmark = pytest.mark.skipif(bool(namespaces_work()), reason=f"no namespaces here: {namespaces_work()}")

FOLDERS = """
    import os, pathlib
    box = pathlib.Path(__file__).resolve().parents[1]
    with open("/proc/self/mountinfo") as stream:
        places = {line.split()[4] for line in stream}
    for top in ("/", "/usr", str(box.parent), str(box)):
        places |= {entry.path for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)}
    for place in sorted(places):
        try:
            pathlib.Path(place, "written").write_text("x")
        except OSError:
            continue
        print(os.path.relpath(place, box).split("-")[0])
"""
FILES = """
    import ctypes, glob, os
    paths = [GRADER, "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/passwd"]
    for path in (*paths, *glob.glob("/dev/[!f]*")):
        if os.path.isfile(path) or path.startswith("/dev/"):
            try:
                os.close(os.open(path, os.O_RDWR))
            except OSError:
                continue
            print(path)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b""),
        lambda: libc.umount2(b"/dev", 2),
        lambda: libc.mknod(b"disk", 0o60600, os.makedev(254, 0)),
        lambda: libc.unshare(0x10020000),
        lambda: libc.chroot(b"/usr"),
    ):
        print(call())
"""


@pytest.fixture
def said(tmp_path):
    """`said(source)`: what a process prints, line by line."""

    def said(source):
        path = tmp_path / "student.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        with Box.make(path) as box:
            done = run(box, ["submission/student.py"], Limits(seconds=20))
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return said


def test_four_folders_of_the_box_can_be_written_and_nothing_else(said):
    """Of all mounts, of the root's folders and of the box's; also where the grader is root."""
    assert said(FOLDERS) == ["cache", "home", "out", "tmp"]


def test_files_of_the_system_and_devices_cannot_be_opened_for_writing(said):
    """Not the grader's own code, no setting of the kernel, no disk; and no mount can be undone."""
    grader = repr(str(Box.make.__globals__["ROOT"] / "grading" / "sandbox" / "launch.py"))
    lines = said(FILES.replace("GRADER", grader))
    assert set(lines[:-5]) <= {f"/dev/{name}" for name in ("null", "zero", "random", "urandom")}
    assert lines[-5:] == ["-1"] * 5


def test_what_is_written_in_one_run_is_counted_against_its_limit(tmp_path):
    """Into the kernel cache, too, and a flood of empty files as if each had a block."""
    path = tmp_path / "student.py"
    for source in (
        "open(os.environ['TINYTORCH_CACHE_DIR'] + '/x', 'wb').write(bytes(30 << 20))",
        "[open(f'{box}/out/{i}', 'w').close() for i in range(8000)]",
    ):
        start = "import os, pathlib, time\nbox = pathlib.Path(__file__).resolve().parents[1]\n"
        path.write_text(f"{start}{source}\ntime.sleep(20)", encoding="utf-8")
        with Box.make(path) as box:
            done = run(box, ["submission/student.py"], Limits(seconds=20, disk_mib=20))
        assert done.stopped == "disk", done.output
