"""Milestone 5 for submissions: what is asked, what stays secret, and how what was left is judged."""

from __future__ import annotations

import dataclasses
import textwrap

import numpy as np
import pytest

from grading import texts
from grading.sandbox import Outcome
from grading.submissions.grade import grade
from grading.submissions.inside import language
from grading.submissions.inside.implementation import library
from grading.submissions.inside.requirements import NEEDED
from grading.submissions.profiles import TRIALS
from grading.submissions.trial import Left

TRIAL = TRIALS["transformer"]
ATTENTION = """
    import numpy as np
    import tinytorch as tt
    from tinytorch import nn

    class MultiheadAttention(nn.MultiheadAttention):
        def forward(self, query, key, value, **options):
            n, t, c = query.shape
            split = lambda x: x.reshape(n, t, self.num_heads, -1).transpose(1, 2)
            all = query @ self.in_proj_weight.transpose(0, 1) + self.in_proj_bias
            q, k, v = (split(all[:, :, i * c : (i + 1) * c]) for i in range(3))
            scores = q @ k.transpose(2, 3) * (c // self.num_heads) ** -0.5
            scores = scores + tt.tensor(np.triu(np.full((t, t), -1e9, np.float32), 1))
            mixed = tt.softmax(scores, -1) @ v
            return self.out_proj(mixed.transpose(1, 2).reshape(n, t, c)), None
"""
ADAM = """
    from tinytorch import optim

    class Adam(optim.Adam):
        def __init__(self, params, lr):
            super().__init__(params, lr=lr, OPTIONS)
"""


@pytest.fixture
def broken(tmp_path):
    """`broken(source)`: the gates that stop a submission of this text."""

    def broken(source):
        path = tmp_path / "student.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        (found,) = grade(path, ["transformer"], seed=5, isolated=False).milestones
        assert (found.status == "passed") == all(gate.status == "passed" for gate in found.gates)
        return {gate.name for gate in found.gates if gate.status != "passed"}

    return broken


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the library's own layers leave, and the questions."""
    folder, paper = tmp_path_factory.mktemp("whole"), TRIAL.paper(0)
    names = {name: library(name) for name in NEEDED[5]}
    facts = language.run(names, paper.task, paper.arrays, folder)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    return Left(Outcome(0), facts, arrays, folder), paper


def judged(left, paper):
    """The verdict, and the gates that were not passed."""
    verdict = TRIAL.judge(left, paper)
    return verdict, {found.name for found in verdict.findings if found.status != "passed"}


def changed(left, **arrays):
    return dataclasses.replace(left, arrays={**left.arrays, **arrays})


# --- what passes, and what does not -------------------------------------------------------------------------


def test_the_librarys_layers_pass_and_write_sentences(whole):
    verdict, stopped = judged(*whole)
    assert not stopped
    assert verdict.value is not None
    assert verdict.value < TRIAL.marks["distinction"]
    assert verdict.curves["loss"][-1] < 0.5 * verdict.curves["loss"][0]
    (written,) = verdict.text
    assert len(written) == 200
    assert set(written) <= set(whole[1].secret[0])
    assert written.count(".") >= 2, "sentences end"


def test_an_attention_of_ones_own_on_the_librarys_autograd_passes(broken):
    assert broken(ATTENTION) == set()


@pytest.mark.parametrize(
    ("right", "wrong", "gates"),
    [
        ("-1e9, np.float32), 1)", "-1e9, np.float32), 2)", {"forward", "future", "validation_loss"}),
        ("q @ k.transpose", "q.detach() @ k.detach().transpose", {"gradients", "optimizer"}),
        ("-1e9, np.float32), 1)", "-1e9 * (n != 32), np.float32), 1)", {"loss_falls", "validation_loss"}),
    ],
    ids=["looks one ahead", "no gradient through the scores", "the mask is off for batches of training"],
)
def test_an_attention_with_one_thing_wrong_is_stopped(broken, right, wrong, gates):
    assert right in ATTENTION
    assert gates <= broken(ATTENTION.replace(right, wrong))


@pytest.mark.parametrize("options", ["betas=(0.9, 0.995)", "betas=(0.8, 0.999)", "weight_decay=1e-3"])
def test_an_adam_of_other_numbers_learns_as_well_and_is_found(broken, options):
    """The loss is as good, so nothing but two steps against the grader's own tells them apart."""
    assert broken(ADAM.replace("OPTIONS", options)) == {"optimizer"}


# --- what stays secret --------------------------------------------------------------------------------------


def test_the_text_that_decides_is_never_handed_out(whole):
    """A text's inputs hold its answers, so that of the loss is no part of what the process gets."""
    _, paper = whole
    _, unseen, _ = paper.secret
    handed = {row.tobytes() for name in ("train_x", "test_x", "later_x") for row in paper.arrays[name]}
    assert np.mean([row.tobytes() in handed for row in unseen]) < 0.02


def test_the_tasks_seed_makes_neither_the_text_nor_the_alphabet_anew(whole):
    _, paper = whole
    again = TRIAL.paper(paper.task["seed"])
    assert paper.secret[0] != again.secret[0]
    assert not np.array_equal(paper.secret[1], again.secret[1])


def test_weights_that_were_trained_at_home_speak_another_alphabet(whole):
    left, _ = whole
    verdict, stopped = judged(left, TRIAL.paper(1))
    assert verdict.value is not None
    assert verdict.value > np.log(26), "worse than knowing nothing"
    assert {"validation_loss", "loss_falls", "forward", "gradients", "optimizer", "answers"} <= stopped


def test_what_is_written_is_decoded_by_the_secret_alphabet(whole):
    """The report shows sentences; what the process reads is the same text in numbers that mean nothing."""
    _, paper = whole
    alphabet, unseen, _ = paper.secret
    assert alphabet != sorted(alphabet)
    words = texts.decoded(unseen[1], alphabet)
    assert words.replace("\n", " ").replace(".", "").replace(" ", "").isalpha()


# --- what is left of anything -------------------------------------------------------------------------------


def test_a_future_that_shows_is_found_by_its_own_gate(whole):
    left, paper = whole
    later = left.arrays["later"].copy()
    later[:, 15] += 0.01
    assert judged(changed(left, later=later), paper)[1] == {"future"}


def test_answers_that_the_weights_do_not_give_are_found(whole):
    left, paper = whole
    answers = left.arrays["answers"].copy()
    answers[: len(answers) // 50] *= -1
    assert judged(changed(left, answers=answers), paper)[1] == {"answers"}


def test_a_model_without_attention_is_found(whole):
    """What it was trained to look at is set to nothing, and so there is nothing to lose."""
    left, paper = whole
    names = [name for name in TRIAL.paper(0).arrays if name.startswith("given_")]
    attention = [i for i, name in enumerate(names) if paper.arrays[name].shape in ((96, 32), (32, 32))][1:]
    silent = {f"after_{i}": np.zeros_like(left.arrays[f"after_{i}"]) for i in attention}
    assert len(silent) == 2
    assert {"used", "validation_loss", "answers"} <= judged(changed(left, **silent), paper)[1]


@pytest.mark.parametrize("number", [0.0, np.nan, np.inf, 1e20, 1e300])
def test_weights_of_any_numbers_are_judged_not_tripped_over(whole, number):
    """They have the right shapes, so the grader reckons with them, as far as that goes."""
    left, paper = whole
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(0, 1, array.shape) * number for name, array in left.arrays.items()}
    verdict, stopped = judged(changed(left, **arrays), paper)
    assert {"forward", "gradients", "optimizer", "validation_loss"} <= stopped
    assert all(isinstance(text, str) for text in verdict.text)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (16, 1), (4, 32, 26)])
def test_arrays_of_any_shapes_are_judged_not_tripped_over(whole, shape):
    left, paper = whole
    verdict, stopped = judged(changed(left, **{name: np.ones(shape) for name in left.arrays}), paper)
    assert {"forward", "gradients", "optimizer", "validation_loss", "answers"} <= stopped
    assert verdict.value is None
    assert verdict.text == []
