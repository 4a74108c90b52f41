"""Where the data lives, what a missing file says, and that importing costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tinytorch.datasets
from tinytorch.datasets import DatasetUnavailable, data_dir, fetch, mnist
from tinytorch.datasets.fashion_mnist import FASHION_MNIST_FILES
from tinytorch.datasets.mnist import MNIST_FILES
from tinytorch.datasets.registry import offline_requested
from tinytorch.datasets.tiny_shakespeare import TINY_SHAKESPEARE_FILE


def test_data_dir_prefers_the_argument_then_the_environment_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYTORCH_DATA_DIR", str(tmp_path / "from-environment"))
    assert data_dir(tmp_path / "asked") == tmp_path / "asked"
    assert data_dir() == tmp_path / "from-environment"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("TINYTORCH_DATA_DIR")
        else:
            monkeypatch.setenv("TINYTORCH_DATA_DIR", unset)
        assert data_dir().name.lower() in ("tinytorch", "cache")  # "Cache" on Windows
    assert data_dir("~/data") == Path.home() / "data"


@pytest.mark.parametrize(
    ("value", "offline"),
    [("1", True), ("yes", True), ("", False), ("0", False), ("False", False), ("off", False)],
)
def test_offline_switch(value, offline, monkeypatch):
    monkeypatch.setenv("TINYTORCH_OFFLINE", value)
    assert offline_requested() is offline


def test_offline_asks_no_mirror_and_says_so(tmp_path, mirror, answers, body, file_of, fast, monkeypatch):
    resource = file_of(body, mirror.url("/a", answers.good(body)))
    monkeypatch.setenv("TINYTORCH_OFFLINE", "1")
    with pytest.raises(DatasetUnavailable, match="nothing: TINYTORCH_OFFLINE is set"):
        fetch(resource, tmp_path, settings=fast)
    assert fetch(resource, tmp_path, offline=False, settings=fast).read_bytes() == body
    assert fetch(resource, tmp_path, settings=fast).read_bytes() == body  # it is there now
    assert mirror.requests == ["/a"]


def test_offline_with_a_wrong_file_names_both_hashes(tmp_path, body, file_of):
    resource = file_of(body)
    target = tmp_path / resource.path
    target.parent.mkdir()
    target.write_bytes(b"wrong")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch(resource, tmp_path, offline=True)
    assert f"{len(body):,} bytes, sha256 {resource.sha256}" in str(caught.value)
    got = "5 bytes, sha256 8810ad581e59f2bc3928b261707a71308f7e139eb04820366dc4d5c18d980225"
    assert f"  got       {got}" in str(caught.value)
    assert target.read_bytes() == b"wrong"


def test_the_whole_message_when_all_mirrors_are_dead(tmp_path, mirror, answers, body, file_of, fast):
    resource = file_of(body, mirror.url("/gone", answers.status(404)), mirror.url("/login", answers.portal()))
    with pytest.raises(DatasetUnavailable) as caught:
        fetch(resource, tmp_path, settings=fast)
    assert str(caught.value).splitlines() == [
        "file.gz is not available.",
        f"  expected  {tmp_path / 'set' / 'file.gz'}",
        f"            100,000 bytes, sha256 {resource.sha256}",
        "  got       no such file",
        f"  tried     {resource.urls[0]}",
        "              HTTP 404 Not Found",
        f"            {resource.urls[1]}",
        "              HTTP 200, text/html: a web page instead of the file "
        "(does this network ask you to log in first?)",
        "what to do:",
        f"  - put the original file into {tmp_path / 'set'} (from any of the URLs above), or",
        "  - point TINYTORCH_DATA_DIR at a folder that holds set/file.gz, or",
        "  - run again when the network is back; what was downloaded whole is kept.",
    ]


def test_mnist_offline_names_all_four_files(tmp_path):
    with pytest.raises(DatasetUnavailable) as caught:
        mnist(tmp_path, offline=True)
    for resource in MNIST_FILES:
        assert f"{resource.filename} is not available." in str(caught.value)
        assert resource.sha256 in str(caught.value)
        assert f"  - put the original file into {tmp_path / 'mnist'}" in str(caught.value)


@pytest.mark.parametrize(
    "resource",
    [*MNIST_FILES, *FASHION_MNIST_FILES, TINY_SHAKESPEARE_FILE],
    ids=lambda resource: resource.path,
)
def test_registered_files_have_two_mirrors_and_a_whole_hash(resource):
    assert len(resource.urls) >= 2
    assert all(url.endswith(resource.filename) for url in resource.urls)
    assert len(bytes.fromhex(resource.sha256)) == 32


def test_import_loads_neither_kernels_nor_downloaders():
    # The package above datasets is replaced by an empty one: this is about what datasets itself needs.
    program = """
import sys, types
top = types.ModuleType("tinytorch"); top.__path__ = [sys.argv[1]]; sys.modules["tinytorch"] = top
import tinytorch.datasets
heavy = {"numba", "pooch", "requests", "rich", "http.server"} & set(sys.modules)
ours = {name for name in sys.modules if name.startswith("tinytorch.") and "tinytorch.datasets" not in name}
print(sorted(heavy | ours))
"""
    package = Path(tinytorch.datasets.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", program, str(package)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
