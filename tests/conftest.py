"""What every test shares: how hypothesis runs, what goes first, the skip of parity tests without PyTorch."""

from __future__ import annotations

import importlib.util
import os

import hypothesis
import pytest

# Several test processes share the cores: a thread that waits must not keep one busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A first example may compile a kernel, so no example has a deadline. On CI a failure
# must be the same every time.
hypothesis.settings.register_profile("default", deadline=None, max_examples=40)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

HAS_TORCH = importlib.util.find_spec("torch") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_tiny.py")  # what must work is tried first
    if HAS_TORCH:
        return
    skip = pytest.mark.skip(reason="PyTorch is not installed: `make oracle` adds it")
    for item in items:
        if item.get_closest_marker("parity"):
            item.add_marker(skip)
