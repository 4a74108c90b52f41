"""What is taken as a submission: names that differ, and archives that nobody trusts."""

from __future__ import annotations

import zipfile

import pytest

from grading.classroom.intake import Entry, entries, source_of
from grading.sandbox.box import Refused


def archive(path, contents):
    with zipfile.ZipFile(path, "w") as content:
        for name, text in contents.items():
            content.writestr(name, text)
    return Entry(path.stem, path)


def test_every_entry_has_a_name_of_its_own(tmp_path):
    for name in ("alice.py", "alice.zip", "bob.py", "class.csv.py", ".hidden", "__MACOSX", "carl.py.zip"):
        (tmp_path / name).touch()
    for name in ("alice", "carl.py", "graded", "class.html"):
        (tmp_path / name).mkdir()
    found = {entry.path.name: entry.name for entry in entries(tmp_path, tmp_path / "graded")}
    assert found == {
        "alice": "alice", "alice.py": "alice.py", "alice.zip": "alice.zip", "bob.py": "bob",
        "carl.py": "carl.py", "carl.py.zip": "carl.py.zip",
        "class.csv.py": "class.csv-submission", "class.html": "class.html-submission",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py", "..\\outside.py", "a/../../outside.py"])
def test_an_archive_does_not_lead_out(name, tmp_path):
    with pytest.raises(Refused, match="leads out of the archive"):
        source_of(archive(tmp_path / "x.zip", {name: "x"}), tmp_path / "inside")
    assert not list(tmp_path.rglob("outside.py"))


def test_nor_does_a_link_in_it(tmp_path):
    link = zipfile.ZipInfo("link.py")
    link.external_attr = 0o120777 << 16
    with pytest.raises(Refused, match="leads out"):
        source_of(archive(tmp_path / "x.zip", {link: "/etc/passwd"}), tmp_path / "inside")


@pytest.mark.parametrize(
    ("contents", "found", "files"),
    [
        ({"mine.py": "1"}, "inside/x/mine.py", {"mine.py"}),
        ({"pack/__init__.py": "1", "pack/ops.py": "2", "__MACOSX/._p": "", ".DS_Store": ""}, "inside/x/pack",
         {"__init__.py", "ops.py"}),
        ({"__init__.py": "1", "ops.py": "2"}, "inside/x", {"__init__.py", "ops.py"}),
        ({"__init__.py": "1"}, "inside/x", {"__init__.py"}),
        ({"pack\\a.py": "1"}, "inside/x/pack", {"a.py"}),
    ],
)  # fmt: skip
def test_what_is_graded_of_an_archive(contents, found, files, tmp_path):
    source = source_of(archive(tmp_path / "x.zip", contents), tmp_path / "inside")
    assert source == tmp_path / found
    assert {path.name for path in (source.iterdir() if source.is_dir() else [source])} == files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no archive at all", "cannot be unpacked: File is not a zip file"),
        (b"PK\x05\x06" + bytes(18), "got an empty archive"),
    ],
)
def test_archives_that_cannot_be_read(content, says, tmp_path):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(Refused, match=says):
        source_of(Entry("x", tmp_path / "x.zip"), tmp_path / "inside")


def test_a_damaged_file_in_an_archive(tmp_path):
    entry = archive(tmp_path / "x.zip", {"a.py": "x" * 99})
    entry.path.write_bytes(entry.path.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(Refused, match="Bad CRC-32"):
        source_of(entry, tmp_path / "inside")


def test_two_files_in_one_place(tmp_path):
    entry = archive(tmp_path / "x.zip", {"a": "a file", "a/b.py": "in it"})
    with pytest.raises(Refused, match=r"x\.zip cannot be unpacked"):
        source_of(entry, tmp_path / "inside")


def test_an_archive_that_grows(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("zeros.py", bytes(33 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(Refused, match="more than 2000 files or 32 MiB"):
        source_of(Entry("x", path), tmp_path / "inside")


def test_an_archive_that_lies_about_its_size(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("zeros.py", bytes(33 << 20))
    size = (33 << 20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(Refused, match="cannot be unpacked"):
        source_of(Entry("x", path), tmp_path / "inside")
    assert sum(file.stat().st_size for file in (tmp_path / "inside").rglob("*") if file.is_file()) <= 1000
