"""DatasetManager, the check of all datasets, and the real files where they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinytorch.datasets import DatasetManager, DatasetUnavailable
from tinytorch.datasets.check import DATASETS, main

REPOSITORY = Path(__file__).parents[2]


def real(name: str):
    """The real dataset from TINYTORCH_DATA_DIR, or a skip with the reason."""
    if not os.environ.get("TINYTORCH_DATA_DIR"):
        pytest.skip("TINYTORCH_DATA_DIR is not set: no real data to check")
    try:
        return DATASETS[name][0](DatasetManager(offline=True))
    except DatasetUnavailable as error:
        pytest.skip(str(error).splitlines()[0])


def test_real_mnist():
    data = real("mnist")
    (train_images, train_labels), (test_images, test_labels) = data
    assert train_images.shape == (60_000, 28, 28)
    assert test_images.shape == (10_000, 28, 28)
    assert np.bincount(train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert train_images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_real_fashion_mnist():
    data = real("fashion-mnist")
    assert np.bincount(data.train_labels).tolist() == [6000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert data.train_images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)


def test_real_cifar10():
    data = real("cifar-10")
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert data.classes[data.train_labels[0]] == "frog"
    assert data.classes[data.test_labels[0]] == "cat"
    means = data.train_images.mean(axis=(0, 2, 3)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


def test_real_tiny_shakespeare():
    text = real("tinyshakespeare")
    assert len(text) == 1_115_394
    assert len(set(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")


def test_manager_gives_what_needs_no_download(tmp_path):
    manager = DatasetManager(tmp_path, offline=True)
    points, labels = manager.get_xor_data(100, noise=0.1, seed=2)
    assert points.shape == (100, 2)
    assert labels.shape == (100, 1)
    points, labels = manager.get_perceptron_data(50, std=0.5)
    assert points.shape == (50, 2)
    assert len(manager.get_digits().train_images) == 1442
    assert repr(manager) == f"DatasetManager(root={str(tmp_path)!r}, offline=True)"


@pytest.mark.parametrize("method", ["get_mnist", "get_fashion_mnist", "get_cifar10", "get_tinyshakespeare"])
def test_manager_never_invents_data(method, tmp_path):
    manager = DatasetManager(tmp_path, offline=True)
    with pytest.raises(DatasetUnavailable, match="tried     nothing: offline=True was asked for"):
        getattr(manager, method)()
    assert list(tmp_path.iterdir()) == []


def test_check_goes_on_after_a_missing_dataset_and_exits_3(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path), "--offline", "tinyshakespeare", "digits", "xor"]) == 3
    shown = capsys.readouterr().out
    assert "missing" in shown
    assert "1,442×8×8" in shown
    assert "1,000×2" in shown
    assert f"expected  {tmp_path / 'tinyshakespeare' / 'input.txt'}" in shown


def test_check_of_everything_takes_each_dataset(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path), "--offline"]) == 3
    shown = capsys.readouterr().out
    assert all(name in shown for name in DATASETS)


def test_check_describes_files(tmp_path, capsys):
    text = real("tinyshakespeare")
    assert main(["--offline", "tinyshakespeare"]) == 0
    shown = capsys.readouterr().out
    assert f"{len(text):,} characters" in shown
    assert "1/1 ok" in shown


def run_data_manager(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "data_manager.py", *arguments],
        cwd=REPOSITORY / "milestones",
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_passes_on_what_ships_with_the_package():
    result = run_data_manager("digits", "xor", "perceptron")
    assert result.returncode == 0, result.stderr
    assert "45,394" in result.stdout


def test_the_script_refuses_unknown_names():
    result = run_data_manager("imagenet")
    assert result.returncode == 2
    assert "expected any of perceptron, xor, digits, mnist" in result.stderr
    assert "got imagenet" in result.stderr


def test_scripts_import_the_manager_as_the_readme_says():
    program = "from data_manager import DatasetManager; print(DatasetManager().get_digits())"
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY / "milestones",
        check=True,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.stdout.startswith("ImageDataset(8×8 digits: 1,442 training and 355 test images")
