"""The implementation that is checked, and what a student reads where its own code fails."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from grading.checkpoints.modules import number_of
from grading.checkpoints.names import Names
from grading.gates import NotMet
from grading.submissions.inside.implementation import what_went_wrong
from grading.submissions.inside.requirements import Misfit


def _path(config: pytest.Config) -> Path | None:
    given = config.getoption("--implementation")
    return None if given is None else Path(given).resolve()


@pytest.fixture(scope="module")
def lib(
    request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[Names]:
    """`lib.Linear` is the implementation's, or ours where it has none and ours fits."""
    names = Names(number_of(request.node.nodeid), _path(request.config))
    yield names
    record_testsuite_property("theirs", " ".join(sorted(names.used & set(names.theirs))))
    record_testsuite_property("ours", " ".join(sorted(names.used - set(names.theirs))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a student's code raised is told with the lines of its own files, and none of ours."""
    report = yield
    if call.excinfo is None or call.excinfo.errisinstance((NotMet, pytest.skip.Exception)):
        return report
    error, path = call.excinfo.value, _path(item.config)
    if isinstance(error, Misfit):
        report.longrepr = f"expected {error}"
    else:
        doing = "importing it" if call.when == "setup" else "this"
        report.longrepr = f"{doing} raised {what_went_wrong(error, path or Path(__file__).parent)}"
    return report
