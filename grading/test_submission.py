"""`pytest grading --implementation PATH`: a test for each gate, in a class for each milestone."""

from __future__ import annotations

import pytest

from grading.gates import NotMet
from grading.submissions.grade import grade
from grading.submissions.profiles import TRIALS


@pytest.fixture(scope="session")
def graded(request):
    """`graded(name)` grades a milestone of the submission, the first time that it is asked for."""
    path, done = request.config.getoption("--implementation"), {}

    def of(name):
        if name not in done:
            (done[name],) = grade(path, [name]).milestones
        return done[name]

    return of


def gates_of(name):
    """A class of tests for a milestone."""

    class Gates:
        pytestmark = pytest.mark.timeout(600)  # the sandbox has limits of its own

        @pytest.mark.parametrize("gate", TRIALS[name].gates)
        def test_gate(self, graded, gate):
            milestone = graded(name)
            (found,) = (g for g in milestone.gates if g.name == gate)
            if found.status != "passed":
                raise NotMet(f"{milestone.title}: {found.title}: {found.message}\n{found.hint}".rstrip())

    return Gates


TestPerceptron = gates_of("perceptron")
TestXor = gates_of("xor")
TestMlp = gates_of("mlp")
TestCnn = gates_of("cnn")
TestTransformer = gates_of("transformer")
TestSystems = gates_of("systems")
