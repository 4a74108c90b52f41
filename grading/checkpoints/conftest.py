"""The implementation that is checked."""

from __future__ import annotations

import pytest

from grading.checkpoints.checking import Names


@pytest.fixture(scope="session")
def names(request: pytest.FixtureRequest) -> Names:
    """`names("Linear")` is the implementation's, or ours where it has none."""
    return Names(request.config.getoption("--implementation"))


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)
