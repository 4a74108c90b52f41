"""Submissions from one end to the other: whole, partial and broken ones, and those that make things up.

All run in this process but for those that would end it, or whose verdict hangs on the sandbox.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from grading.outputs.grade import Grade
from grading.sandbox import Outcome, Refused
from grading.submissions.grade import find, fingerprint, grade
from grading.submissions.profiles import TRIALS, chosen
from grading.submissions.trial import Left
from grading.submissions.unseen import digits
from tinytorch import datasets

ROOT = Path(__file__).resolve().parents[2]
MICRO, CONVOLUTION = (ROOT / "examples" / name for name in ("micro.py", "my_convolution.py"))
FOUR = ("perceptron", "xor", "mlp", "cnn")


@pytest.fixture
def graded(tmp_path):
    """`graded(source)` grades a submission of this text; all gates of one milestone by name."""

    def graded(source, milestone="perceptron", *, isolated=False, seed=0):
        path = tmp_path / "student.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return grade(path, [milestone], seed=seed, isolated=isolated)

    return graded


def gates(found: Grade) -> dict:
    (milestone,) = found.milestones
    return {gate.name: gate for gate in milestone.gates}


def broken(found: Grade) -> set[str]:
    return {name for name, gate in gates(found).items() if gate.status != "passed"}


# --- submissions that are what they should be ---------------------------------------------------------------


def test_the_framework_of_150_lines_passes_milestones_1_to_3():
    found = grade(MICRO, ["1", "2", "3"], seed=0)
    assert found.passed
    assert [m.mark for m in found.milestones][:2] == ["distinction", "distinction"]
    assert found.score == found.max_score == 45
    assert found.submission.ours == []
    overhead = found.seconds - sum(m.seconds for m in found.milestones)
    assert overhead < 4.0, "under 2 s on a machine that has nothing else to do"
    assert len(MICRO.read_text("utf-8").splitlines()) <= 150


def test_a_convolution_of_ones_own_on_the_librarys_autograd_passes_milestone_4():
    found = grade(CONVOLUTION, ["cnn"], seed=0, isolated=False)
    assert found.passed, [gate.message for gate in gates(found).values()]
    assert found.submission.theirs == ["Conv2d"]
    assert {"Tensor", "Linear", "SGD"} <= set(found.submission.ours)


def test_a_framework_without_a_layer_is_told_and_the_rest_is_graded(tmp_path):
    path = tmp_path / "micro.py"
    path.write_text(MICRO.read_text("utf-8").replace("class ReLU", "class Rectifier"), encoding="utf-8")
    first, second = grade(path, ["1", "2"], seed=0, isolated=False).milestones
    assert first.status == "passed"
    assert second.score == 0
    assert "milestone 2 needs `ReLU`: you brought your own Tensor" in second.gates[0].message


def test_an_installed_package_is_found_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "not_imported_here"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert find("not_imported_here") == package
    with pytest.raises(Refused, match="a package's folder or an importable package, got nothing_of_the_sort"):
        find("nothing_of_the_sort")


def test_the_fingerprint_is_of_contents_and_names(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1", encoding="utf-8")
    first = fingerprint(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert fingerprint(folder) == first
    (folder / "a.py").rename(folder / "b.py")
    assert fingerprint(folder) != first


def test_milestones_have_names_and_numbers():
    assert [trial.name for trial in chosen(["3", "perceptron"])] == ["perceptron", "mlp"]
    with pytest.raises(ValueError, match=r"expected milestones of 1 \(perceptron\), .* got 'seven'"):
        chosen(["seven"])


# --- the questions ------------------------------------------------------------------------------------------


def test_another_seed_exchanges_the_labels_and_turns_the_images():
    known = datasets.digits().test_labels
    data = [digits(seed, 0.02) for seed in range(8)]
    assert all(np.mean(d.test_y == known) < 0.5 for d in data)
    assert all(np.array_equal([int(d.names[y]) for y in d.test_y], known) for d in data), "back again"
    assert len({d.test_x[0].round(1).tobytes() for d in data}) > 3


@pytest.mark.parametrize("name", TRIALS)
def test_no_answer_to_the_test_is_handed_out(name):
    """What the process is given has no array as long as the test answers, but for the questions."""
    paper = TRIALS[name].paper(0)
    questions = len(paper.arrays["test_x"])
    assert [key for key, array in paper.arrays.items() if len(array) == questions] == ["test_x"]
    assert "test_y" not in json.dumps(paper.task)


@pytest.mark.parametrize("name", TRIALS)
def test_nothing_at_all_passes_no_gate(name):
    trial = TRIALS[name]
    verdict = trial.judge(Left(Outcome(0), {}, {}, Path("nowhere")), trial.paper(0))
    assert {found.status for found in verdict.findings} <= {"failed", "error"}
    assert [found.name for found in verdict.findings] == list(trial.gates)


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("number", [0.0, np.nan, np.inf, -1e30])
def test_arrays_of_any_numbers_and_shapes_are_judged_not_tripped_over(name, number):
    """Whatever is left, each gate says something; and no milestone passes with it."""
    trial = TRIALS[name]
    paper = trial.paper(0)
    keys = ["output", "loss", "answers"]
    keys += [f"{what}_{i}" for what in ("gradient", "before", "after", "stepped", "twice") for i in range(8)]
    for shape in ((), (3,), (16, 1), (10, 10)):
        arrays = {key: np.full(shape, number) for key in keys}
        facts = {"losses": [number, number]}
        verdict = trial.judge(Left(Outcome(0), facts, arrays, Path("nowhere")), paper)
        assert {found.status for found in verdict.findings} - {"passed"}


# --- submissions that make things up ------------------------------------------------------------------------

OURS = """
    import numpy as np
    from tinytorch import nn, optim
    class Linear(nn.Linear): pass
"""
STILL = (
    OURS
    + """
    class SGD(optim.SGD):
        def step(self): pass
"""
)
BOX = """
    import json, os, pathlib, sys
    box = pathlib.Path(__file__).resolve().parents[1]
    out = box / "out" / "perceptron"
"""
MET = {"theirs": ["Linear"], "ours": ["SGD"], "losses": [0.7, 0.01], "passed": True, "accuracy": 1.0}


def test_stored_weights_do_not_pass_for_trained_ones(graded):
    """The right line through the two clouds, and no training: nothing moves, and no step is one."""
    source = (
        STILL
        + """
    class Linear(nn.Linear):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.weight.data[...] = 1.0
            self.bias.data[...] = 0.0
    """
    )
    found = graded(source)
    assert gates(found)["accuracy"].status == "passed", "these are the right weights"
    assert broken(found) == {"optimizer", "loss_falls", "every_layer"}


def test_weights_that_are_put_in_during_training_do_not_pass(graded):
    """Trained elsewhere, and copied in at the first step: the steps are not those of the gradients."""
    source = (
        OURS
        + """
    class SGD(optim.SGD):
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data[...] = 1.0 if p.data.ndim == 2 else 0.0
    """
    )
    assert "optimizer" in broken(graded(source))


def test_weights_that_were_trained_at_home_know_nothing_of_the_exchanged_labels(graded):
    """Nearest mean of the digits as everybody knows them, as weights: the labels here are others."""
    train = datasets.digits()
    x = train.train_images.reshape(-1, 64) / train.max_value
    means = np.stack([x[train.train_labels == digit].mean(0) for digit in range(10)])
    assert np.mean((x @ means.T - (means**2).sum(1) / 2).argmax(1) == train.train_labels) > 0.85
    source = (
        STILL
        + f"""
    MEANS = np.array({means.round(3).tolist()})
    class Linear(nn.Linear):
        def __init__(self, n_in, n_out):
            super().__init__(n_in, n_out)
            if n_out == 10:
                self.weight.data[:, :10], self.bias.data[...] = 1e3 * np.eye(10), 0
            elif n_in == 64:
                self.weight.data[:10], self.bias.data[:10] = MEANS, -(MEANS**2).sum(1) / 2 + 30
    """
    )
    found = graded(source, "mlp")
    assert found.milestones[0].value < 0.5
    assert {"accuracy", "optimizer", "every_layer"} <= broken(found)


def test_a_table_of_known_images_finds_none_of_these(graded):
    """The true label of every image of the set by its hash; where one is known, the answer is forged."""
    data = datasets.digits()
    images = np.concatenate([data.train_images, data.test_images]).reshape(-1, 64) / data.max_value
    known = {hash(image.astype(np.float32).round(2).tobytes()) for image in images}
    for seed in range(16):
        asked = TRIALS["mlp"].paper(seed).arrays["test_x"]
        assert not known & {hash(image.round(2).tobytes()) for image in asked}


def test_forged_answers_are_held_against_the_weights(graded):
    """The truth about the test inputs, from wherever: it is not what the weights say."""
    found = graded(
        OURS
        + """
    class Sigmoid(nn.Sigmoid):
        def forward(self, x):
            y = super().forward(x)
            if len(y.data) > 100:                       # the test inputs: whatever was learned, the truth
                y.data[...] = (x.data > 1e9)
            return y
    """
    )
    assert broken(found) == {"answers"}
    assert "of its answers to the test inputs" in gates(found)["answers"].message


def test_a_forged_curve_helps_nobody(graded):
    """A loss that is told to fall, over an optimiser that stands still: the grader works it out itself."""
    found = graded(
        STILL
        + """
    told = [1.0]
    class BCELoss(nn.BCELoss):
        def forward(self, input, target):
            loss = super().forward(input, target)
            if len(input.data) == 50:
                told[0] *= 0.99
                loss.data[...] = told[0]
            return loss
    """
    )
    told = found.milestones[0].curves["loss"]
    assert told[-1] < 0.1 * told[0], "it was forged well"
    assert {"optimizer", "loss_falls", "every_layer"} <= broken(found)


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os._exit(0)"])
def test_a_result_that_is_written_at_import_is_none(graded, ending):
    """Facts of a pass, an accuracy of 100 %, and exit code 0: nothing that the grader asked for is there."""
    source = (
        BOX
        + f"""
    out.mkdir()
    (out / "facts.json").write_text({json.dumps(json.dumps(MET))})
    for folder in (box, box / "out", pathlib.Path.cwd(), pathlib.Path("/tmp")):
        try:
            (folder / "grade.json").write_text({json.dumps(json.dumps(MET))})
            (folder / "result.json").write_text({json.dumps(json.dumps(MET))})
        except OSError:
            pass
    {ending}
    """
    )
    found = graded(source, isolated=True)
    assert not found.passed
    assert found.score == 0


def test_facts_of_a_later_milestone_do_not_make_an_earlier_one_disappear(tmp_path):
    """Whoever writes into the folder of milestone 2 is graded in milestone 1 all the same."""
    path = tmp_path / "student.py"
    path.write_text(
        textwrap.dedent(
            BOX
            + """
    out.with_name("xor").mkdir()
    out.with_name("xor").joinpath("facts.json").write_text("{}")
    os._exit(0)
    """
        ),
        encoding="utf-8",
    )
    found = grade(path, ["1", "2"], seed=0)
    assert [m.name for m in found.milestones] == ["perceptron", "xor"]
    assert not any(m.status == "passed" for m in found.milestones)
    assert found.max_score == 25


@pytest.mark.parametrize(
    "trick",
    [
        "(out.parent / 'loaded').mkdir(parents=True)",
        "out.mkdir(); out.chmod(0)",
        "out.symlink_to('/')",
        "out.parent.rename(out.parent.with_name('gone')); out.parent.symlink_to(pathlib.Path('SOURCES'))",
        "out.parent.rename(out.parent.with_name('gone'))",
    ],
)
def test_folders_that_are_exchanged_for_others_are_not_followed(tmp_path, trick):
    """The grader looks for `out`/perceptron between two attempts, and empties it: not elsewhere's."""
    valuable = tmp_path / "valuable"
    (valuable / "xor").mkdir(parents=True)
    (valuable / "xor" / "kept.txt").write_text("kept", encoding="utf-8")
    path = tmp_path / "student.py"
    source = BOX + trick.replace("SOURCES", str(valuable)) + "\nos._exit(0)\n"
    path.write_text(textwrap.dedent(BOX) + source.removeprefix(BOX), encoding="utf-8")
    found = grade(path, ["1", "2"], seed=0)
    assert [m.name for m in found.milestones] == ["perceptron", "xor"]
    assert found.score == 0
    assert (valuable / "xor" / "kept.txt").read_text("utf-8") == "kept"


@pytest.mark.parametrize(
    "facts",
    [
        {"theirs": 5, "ours": {"a": 1}, "losses": "falling"},
        {"theirs": [["Linear"], None, "<script>"], "losses": [10**400, None, True, "x"]},
        {"problem": {"a": ["b"]}, "raised": True},
        {"problem": "x" * 500_000},
        ["not", "facts"],
    ],
)
def test_facts_of_any_kind_are_graded(graded, facts):
    found = graded(
        BOX
        + f"""
    out.mkdir()
    (out / "facts.json").write_text({json.dumps(json.dumps(facts))})
    os._exit(0)
    """,
        isolated=True,
    )
    assert not found.passed
    assert found.submission.theirs == []
    assert len(found.to_json()) < 20_000
    assert Grade.from_json(found.to_json()).score == found.score


def test_a_patched_save_cannot_bring_objects_or_complex_numbers(graded):
    found = graded(
        OURS
        + """
    saved = np.save
    def save(path, array, **options):
        name = path.stem
        if name == "output":
            array = np.array([[print]], object)
        if name == "loss":
            array = np.array([1 + 2j])
        if name.startswith("after"):
            array = np.full(array.shape, np.nan)
        saved(path, array)
    np.save = save
    """,
        isolated=True,
    )
    messages = {name: gate.message for name, gate in gates(found).items()}
    assert {"forward", "loss", "loss_falls", "every_layer", "answers", "accuracy"} == broken(found)
    assert "output.npy: expected an array of numbers, got object" in messages["forward"]
    assert "loss.npy: expected an array of numbers, got complex128" in messages["loss"]
    assert "NaN or infinity in the weight of linear 1, after training" in messages["accuracy"]


def test_files_with_holes_do_not_fill_the_graders_memory(graded):
    """40 arrays of 60 MB that take no room on disk: read up to a limit, and no further."""
    found = graded(
        BOX
        + """
    import numpy as np
    out.mkdir()
    for i in range(40):
        with open(out / f"after_{i}.npy", "wb") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "<f4", "fortran_order": False, "shape": (15_000_000,)}
            )
            stream.truncate(stream.tell() + 60_000_000)
    (out / "facts.json").write_text("{}")
    os._exit(0)
    """,
        isolated=True,
    )
    assert not found.passed


def test_a_file_of_the_whole_network_that_is_too_long_makes_nothing_smaller(graded):
    """Sizes are measured by the file of the network as it is: whoever pads it, and changes it, is found."""
    found = graded(
        """
    import numpy as np
    from safetensors.numpy import load_file, save_file
    from tinytorch import systems
    def save_model(model, path):
        systems.save_model(model, path)
        if path.name.startswith("float32"):
            save_file({**load_file(path), "padding": np.zeros(100_000, np.float32)}, path)
    """,
        "systems",
    )
    assert "saved" in broken(found)
    assert "float32.safetensors: expected the arrays" in gates(found)["saved"].message
    assert "more than these: padding" in gates(found)["saved"].message


def test_the_questions_of_milestone_6_are_turned_and_exchanged_too():
    """The network that is handed out answers them, and has other weights for every seed."""
    trial = TRIALS["systems"]
    papers = [trial.paper(seed) for seed in (0, 1)]
    firsts = []
    for paper in papers:
        z = paper.arrays["test_x"].astype(np.float64)
        weights = [array for key, array in paper.arrays.items() if key.startswith("weight.")]
        for i in range(0, 6, 2):
            z = np.maximum(z, 0) if i else z
            z = z @ weights[i].T.astype(np.float64) + weights[i + 1]
        assert np.mean(z.argmax(1) == paper.secret.y) > 0.95
        firsts.append(weights[0])
    assert not np.array_equal(*firsts)
    assert np.mean(papers[0].secret.y == papers[1].secret.y) < 0.5


def test_what_a_submission_raises_is_told_from_its_own_files(graded):
    found = graded(
        OURS
        + """
    class SGD(optim.SGD):
        def step(self):
            return helper(self)
    def helper(optimizer):
        raise RuntimeError("not yet written")
    """
    )
    message = gates(found)["ran"].message
    assert "RuntimeError: not yet written (student.py:8 in step -> student.py:10 in helper)" in message
    assert "Traceback" not in message
    assert "/submissions/inside/" not in message


def test_an_import_that_fails_is_told(graded):
    found = graded("import numpy as np\nnp.no_such_thing")
    assert "it cannot be imported: AttributeError:" in gates(found)["ran"].message
    assert "(student.py:2 in <module>)" in gates(found)["ran"].message
    assert found.score == 0


def test_an_exit_at_import_is_told_and_scores_nothing(graded):
    found = graded("raise SystemExit(0)")
    assert "it cannot be imported: it ended itself with exit(0)" in gates(found)["ran"].message
    assert (found.score, found.max_score) == (0, 10)


def test_what_is_printed_goes_to_the_end_of_the_message(graded, capsys):
    found = graded("print('hello from the student')\nraise ValueError('no')")
    assert "hello from the student" not in capsys.readouterr().out
    assert "no (student.py:2" in gates(found)["ran"].message
    assert not any(name.startswith("submission") and name != "submission" for name in sys.modules)
