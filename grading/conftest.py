"""Fixtures that train each milestone once a session, and the table of grades."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import tinytorch as tt
from grading import exams, gates
from grading.report import PREFIX, Grades
from grading.runs import Run, train_script
from grading.thresholds import MILESTONES, Milestone
from tinytorch.datasets import DatasetUnavailable

SEED = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--implementation",
        metavar="PATH_OR_PACKAGE",
        help="grade this submission, a file or a package, instead of this library: a test for each gate",
    )
    parser.addoption(
        "--checkpoint", action="store_true", help="try the checks of a module that students build"
    )
    parser.addoption(
        "--left",
        type=Path,
        metavar="FOLDER",
        help="grade what a finished run of milestone 6 left there, instead of running its script again",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Table(), "tinytorch-grades")
    if sys.platform == "win32":  # pytest-memray, which brings this marker, is not to be had there
        config.addinivalue_line("markers", "limit_memory(limit): not enforced on Windows")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --implementation only the submission's gates are tested; without it, all but these."""
    here = Path(__file__).parent
    if collection_path.is_dir() or here not in collection_path.parents:
        return None
    if collection_path.parent != here:  # no tests are in there but those of modules; mutants are not imported
        checks = config.getoption("--checkpoint") and collection_path.parent.name == "checkpoints"
        return None if checks else True
    is_submission = collection_path.name == "test_submission.py"
    return True if is_submission == (config.getoption("--implementation") is None) else None


class _Table:
    """Listens to the reports and writes the table."""

    def __init__(self) -> None:
        self.grades = Grades()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        memray = item.config.pluginmanager.getplugin("memray_manager")
        measured = memray and memray.results.get(item.nodeid)
        if call.when == "call" and measured:
            item.user_properties.append((f"{PREFIX}step_bytes", measured.peak_memory))
        report = yield
        if call.excinfo is not None and call.excinfo.errisinstance(gates.NotMet):
            report.longrepr = str(call.excinfo.value)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.grades.add(report)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.grades.rows:
            terminalreporter.section("grades")
            for line in self.grades.lines():
                terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """In the grader's own process: small networks gain nothing from more, and lose on a busy machine.

    The bits are the same, and the scripts use as many threads as they like.
    """
    threads = tt.get_num_threads()
    tt.set_num_threads(1)
    yield
    tt.set_num_threads(threads)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """`note(name, value)` puts a number into the table of grades."""

    def note(name: str, value: Any) -> None:
        request.node.user_properties.append((PREFIX + name, value))

    return note


@pytest.fixture
def milestone(request: pytest.FixtureRequest, note: Callable[[str, Any], None]) -> Milestone:
    """The milestone that the test class names."""
    found = MILESTONES[request.cls.name]
    note("milestone", found.name)
    return found


@pytest.fixture
def exam(milestone: Milestone, note: Callable[[str, Any], None]) -> exams.Exam:
    """Its test data; where they cannot be had the test is skipped, and says why."""
    try:
        return exams.of(milestone)
    except DatasetUnavailable as error:
        reason = str(error).splitlines()[0]
        note("without_data", reason)
        pytest.skip(f"{reason} All about it: python milestones/data_manager.py {milestone.dataset}")


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Milestone], Run]:
    """`train(milestone)` trains it with its script, the first time, and gives that run every time."""
    runs: dict[str, Run] = {}

    def train(milestone: Milestone) -> Run:
        if milestone.name not in runs:
            runs[milestone.name] = train_script(milestone, SEED, tmp_path_factory.mktemp(milestone.name))
        return runs[milestone.name]

    return train


@pytest.fixture
def run(
    milestone: Milestone,
    exam: exams.Exam,
    train: Callable[[Milestone], Run],
    note: Callable[[str, Any], None],
) -> Run:
    """The one training run of the milestone's script."""
    run = train(milestone)
    note("seconds", run.seconds)
    note("process_mib", run.process_mib)
    return run
