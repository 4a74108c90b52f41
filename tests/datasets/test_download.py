"""The download path, for real, against a server that misbehaves.

Never a wrong file in the cache, and the next run repairs."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tinytorch.datasets import DatasetUnavailable, fetch
from tinytorch.datasets.registry import fetch_all

REPOSITORY = Path(__file__).parents[2]


def left_in(root: Path) -> list[str]:
    """Every file below the data folder."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_good_file_arrives_whole_and_is_not_asked_for_again(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    for _ in range(2):
        path = fetch(resource, tmp_path, settings=fast)
        assert path == tmp_path / "set" / "file.gz"
        assert path.read_bytes() == body
    assert mirror.requests == ["/a"]
    assert left_in(tmp_path) == ["set/file.gz"]


def test_a_server_that_names_no_length_is_fine(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/a", answers.good(body, length=False)))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body


def test_404_then_good_mirror(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/gone", answers.status(404)), mirror.url("/b", answers.good(body)))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert mirror.requests == ["/gone", "/b"]  # a 404 is not asked twice


def test_503_is_asked_again(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/busy", answers.status(503), answers.good(body)))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert mirror.requests == ["/busy", "/busy"]


def test_truncated_body_is_asked_again_then_the_next_mirror(tmp_path, mirror, answers, body, file_of, fast):
    cut = mirror.url("/cut", answers.truncated(body, 70_000))
    resource = file_of(body, cut, mirror.url("/b", answers.good(body)))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert mirror.requests == ["/cut", "/cut", "/b"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("portal", "a web page instead of the file (does this network ask you to log in first?)"),
        ("redirected portal", "after a redirect to http://127.0.0.1"),
        ("truncated", "the body ended after 70,000 of 100,000 bytes (2 times)"),
        ("wrong length", "99,000 bytes announced, expected 100,000"),
        ("wrong bytes", "HTTP 200, application/gzip, 100,000 bytes: expected sha256 "),
        ("too much", "more than the 100,000 bytes expected"),
        ("stalled", "no byte for 0.3 s (2 times)"),
        ("500", "HTTP 500"),
        ("404", "HTTP 404 Not Found"),
    ],
)
def test_a_bad_answer_is_named_and_leaves_nothing(bad, said, tmp_path, mirror, answers, body, file_of, fast):
    portal = mirror.url("/login", answers.portal())
    answer = {
        "portal": answers.portal(),
        "redirected portal": answers.redirect(portal),
        "truncated": answers.truncated(body, 70_000),
        "wrong length": answers.good(body[:99_000]),
        "wrong bytes": answers.good(body[::-1]),
        "too much": answers.good(body + b"more", length=False),
        "stalled": answers.drip(body, 1e6, pause_at=50_000),
        "500": answers.status(500),
        "404": answers.status(404),
    }[bad]
    limits = dataclasses.replace(fast, read_timeout=0.3) if bad == "stalled" else fast
    resource = file_of(body, mirror.url("/bad", answer))
    with pytest.raises(DatasetUnavailable) as caught:
        fetch(resource, tmp_path, settings=limits)
    assert said in str(caught.value)
    assert resource.urls[0] in str(caught.value)
    assert left_in(tmp_path) == []

    mirror.url("/bad", answers.good(body))  # the next run repairs
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body


def test_a_drip_hands_over_to_the_next_mirror(tmp_path, mirror, answers, body, file_of, fast):
    drip = mirror.url("/drip", answers.drip(body, 4e3))
    resource = file_of(body, drip, mirror.url("/b", answers.good(body)))
    start = time.monotonic()
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert time.monotonic() - start < 5  # 25 s at the drip's pace
    assert mirror.requests == ["/drip", "/b"]


def test_a_drip_is_better_than_nothing(tmp_path, mirror, answers, body, file_of, fast):
    small = body[:8_000]
    drip = mirror.url("/drip", answers.drip(small, 10e3))
    resource = file_of(small, drip, mirror.url("/gone", answers.status(404)))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == small
    assert mirror.requests == ["/drip", "/gone", "/drip"]


def test_nothing_listens(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    mirror.close()
    with pytest.raises(DatasetUnavailable, match=r"Connection refused|refused it"):
        fetch(resource, tmp_path, settings=fast)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("already_there", [None, b"an older, wrong file"])
def test_killed_in_the_middle(already_there, tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/slow", answers.drip(body, 1e6, pause_at=50_000)))
    target = tmp_path / resource.path
    if already_there:
        target.parent.mkdir()
        target.write_bytes(already_there)
    script = textwrap.dedent(f"""
        from tinytorch.datasets import Resource, DownloadSettings, fetch
        fetch({resource!r}, {str(tmp_path)!r}, settings=DownloadSettings(min_speed=0, read_timeout=20))
        """)
    child = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 10_000 for path in tmp_path.glob("set/.partial-*/*")):
            assert time.monotonic() < deadline, "the download never began"
            assert child.poll() is None, "the child ended by itself"
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()

    assert (target.read_bytes() if target.exists() else None) == already_there
    (partial,) = tmp_path.glob("set/.partial-*")

    mirror.url("/slow", answers.good(body))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert partial.exists()  # it could be a live download of another process

    target.unlink()
    two_hours_ago = time.time() - 7200
    for path in [*partial.iterdir(), partial]:
        os.utime(path, (two_hours_ago, two_hours_ago))
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    assert not partial.exists()


def test_a_wrong_file_is_replaced_but_kept_aside(tmp_path, mirror, answers, body, file_of, fast, capsys):
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    target = tmp_path / resource.path
    target.parent.mkdir()
    target.write_bytes(b"my own notes")
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body
    (aside,) = (path for path in target.parent.iterdir() if path != target)
    assert aside.name.startswith("file.gz.wrong-")
    assert aside.read_bytes() == b"my own notes"
    assert f"had the wrong hash; it is now {aside.name}" in capsys.readouterr().err


def test_several_at_once_get_the_same_file(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/a", answers.drip(body, 1e6)))
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(resource, tmp_path, settings=fast), range(4)))
    assert {path.read_bytes() for path in paths} == {body}
    assert left_in(tmp_path) == ["set/file.gz"]


def test_a_wrong_file_stays_when_no_right_one_comes(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/gone", answers.status(404)))
    target = tmp_path / resource.path
    target.parent.mkdir()
    target.write_bytes(b"my own notes")
    with pytest.raises(DatasetUnavailable, match=r"12 bytes, sha256 [0-9a-f]{64} \(left as it is\)"):
        fetch(resource, tmp_path, settings=fast)
    assert target.read_bytes() == b"my own notes"


def test_after_one_file_fails_the_others_are_only_looked_for(tmp_path, mirror, answers, body, file_of, fast):
    gone = file_of(body, mirror.url("/gone", answers.status(404)), path="set/one.gz")
    other = file_of(body, mirror.url("/other", answers.good(body)), path="set/two.gz")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch_all([gone, other], tmp_path, settings=fast)
    assert [entry.resource for entry in caught.value.missing] == [gone, other]
    assert "nothing: the mirrors had failed for one.gz" in str(caught.value)
    assert mirror.requests == ["/gone"]


def test_folder_that_cannot_be_written(tmp_path, mirror, answers, body, file_of, fast):
    (tmp_path / "set").write_text("a file where the folder should be")
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    with pytest.raises(DatasetUnavailable, match="set cannot be written to"):
        fetch(resource, tmp_path, settings=fast)


def test_progress_bar_on_a_terminal_only(tmp_path, mirror, answers, body, file_of, fast, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    for stderr, has_bar in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stderr)
        fetch(resource, tmp_path, settings=fast).unlink()
        assert "file.gz from 127.0.0.1" in stderr.getvalue()
        assert ("\x1b[" in stderr.getvalue()) == has_bar
