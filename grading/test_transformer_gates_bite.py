"""Every gate of milestone 5 stops what it is there for, tried on a GPT that is trained in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tinytorch as tt
from grading import exams, gates, knockouts, probes, texts
from grading.gradients import gradients_are_right
from grading.leaks import reads_training_text_only
from grading.milestone_tests import peak_of
from grading.reference import Training, script_of
from grading.runs import Run
from grading.test_gates_bite import SEEDS, finished, knockout_id, loss_fell, moved, parameters
from grading.thresholds import EXAM, MEMORY, MILESTONES, SMALL, attention_memory
from grading.transformer import IGNORED, Transformer
from tinytorch.nn import functional as F


@pytest.fixture(scope="module", params=SEEDS)
def whole(request) -> Run:
    return Training(SMALL, request.param).run()


@pytest.fixture(scope="module")
def exam() -> exams.Exam:
    return exams.of(SMALL)


def test_the_whole_one_passes_every_gate(whole, exam):
    for gate in (finished, parameters, loss_fell, moved, gates.accurate, gates.honest, gates.untainted):
        gate(whole, SMALL, exam)
    for probe in (*probes.INSIDE, probes.better_than_counting_pairs):
        probe(whole, SMALL, exam)


# --- while it is trained --------------------------------------------------------------------------------

TRAINED = [
    (knockouts.detached_loss, finished, r"(?s)exit code 0, got 1.*reaches no parameter.*cut"),
    (knockouts.loss_made_a_leaf, moved, r"did not change wte\.weight, .*ln_f\.bias"),
    (knockouts.flattened_graph, moved, r"did not change h\.0\.ln_1\.weight, .*c_attn\.weight"),
    (knockouts.still_optimizer, moved, "the optimiser hold"),
    (knockouts.still_optimizer, gates.accurate, "expected a loss of at most 1.0000 nats"),
    (knockouts.forgotten_bias, moved, r"did not change h\.0\.ln_1\.weight, h\.0\.ln_1\.bias"),
    (knockouts.shuffled_labels, gates.accurate, "were the labels those of the examples"),
    (knockouts.examined_on_training_data, gates.honest, "measured on the training data"),
    (knockouts.reports_luck, gates.honest, r"reports 0\.5000 nats, its weights give"),
    (knockouts.causal_mask_off, gates.accurate, "expected a loss of at most"),
    (knockouts.positions_off, gates.accurate, "expected a loss of at most"),
    (knockouts.positions_off, probes.better_than_counting_pairs, "Does it look further back"),
    (knockouts.attention_is_a_mean, gates.accurate, "expected a loss of at most"),
    (knockouts.attention_is_a_mean, probes.attention_is_not_uniform, "Do queries and keys learn"),
]


@pytest.mark.parametrize(
    ("knockout", "gate", "says"), TRAINED, ids=[f"{knockout_id(k)}-{i}" for i, (k, *_) in enumerate(TRAINED)]
)
def test_a_knockout_is_stopped(knockout, gate, says, exam, monkeypatch):
    training = Training(SMALL, seed=0)
    knockout(training, monkeypatch)
    run = training.run()
    with pytest.raises(gates.NotMet, match=says):
        gate(run, SMALL, exam)


# --- inside the library, with good weights --------------------------------------------------------------

PROBED = [
    (knockouts.causal_mask_off, probes.future_is_hidden, "Is the causal mask on"),
    (knockouts.causal_mask_off, probes.logits_agree, "the library's logits are up to"),
    (knockouts.positions_off, probes.positions_matter, "Does the model know where a token stands"),
    (knockouts.positions_off, probes.logits_agree, "the library's logits are up to"),
    (knockouts.attention_is_a_mean, probes.logits_agree, "the library's logits are up to"),
    (knockouts.attention_is_not_scaled, probes.logits_agree, "the library's logits are up to"),
    (knockouts.cache_omits_the_current_token, probes.cache_agrees, "the current one too"),
    (knockouts.cache_forgets_the_current_token, probes.cache_agrees, "Does the cache hold every token"),
]


@pytest.mark.parametrize(
    ("knockout", "probe", "says"), PROBED, ids=[f"{knockout_id(k)}-{i}" for i, (k, *_) in enumerate(PROBED)]
)
def test_a_broken_library_is_stopped(knockout, probe, says, whole, exam, monkeypatch):
    knockout(None, monkeypatch)
    with pytest.raises(gates.NotMet, match=says):
        probe(whole, SMALL, exam)


@pytest.mark.parametrize(
    "knockout",
    [
        knockouts.causal_mask_off,
        knockouts.positions_off,
        knockouts.attention_is_a_mean,
        knockouts.attention_is_not_scaled,
        knockouts.attention_gradient_a_tenth_off,
        knockouts.layer_norm_gradient_a_tenth_off,
        knockouts.weight_gradient_a_tenth_off,
        knockouts.bias_gradient_lost,
    ],
    ids=knockout_id,
)
def test_a_wrong_gradient_is_stopped(knockout, monkeypatch):
    gradients_are_right(SMALL)
    knockout(None, monkeypatch)
    with pytest.raises(gates.NotMet, match=r"is off by .* from the one computed by hand"):
        gradients_are_right(SMALL)


# --- what it writes, and how it was trained -------------------------------------------------------------


def test_a_script_that_trains_on_the_test_text_is_stopped():
    milestone = MILESTONES["transformer-sequences"]
    reads_training_text_only(milestone)
    with pytest.raises(gates.NotMet, match="Does it train on the test text"):
        reads_training_text_only(milestone, knockouts.leaking(script_of(milestone)))


def test_one_that_knows_the_test_text_better_is_stopped(whole, exam):
    run = Run(0, None, whole.weights, values={exam: 0.80, exam.learned: 0.82})
    with pytest.raises(gates.NotMet, match=r"0\.8000 nats on test examples, better by 0\.0200 nats"):
        gates.untainted(run, SMALL, exam)


def test_sentences_that_were_learned_from_are_stopped(exam, monkeypatch):
    run = Run(0, None, Training(SMALL, 0).weights())
    monkeypatch.setattr(exams, "sentences", lambda *_: exam.text.splitlines()[1:501])
    with pytest.raises(gates.NotMet, match=r"0\.0% of the right sentences that it writes are new"):
        probes.sentences_are_new(run, SMALL, exam)


def test_wrong_sentences_are_stopped(exam, monkeypatch):
    run, judged = Run(0, None, Training(SMALL, 0).weights()), replace(SMALL, metric="accepted")
    monkeypatch.setattr(exams, "sentences", lambda *_: ["the dog sleeps."] * 4 + ["the dog sleep."])
    assert probes.sentences_are_new(run, judged, exam) == 1.0
    with pytest.raises(gates.NotMet, match=r"that the grammar accepts of 100\.00% .* got 80\.00%"):
        gates.accurate(run, judged, exam)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (str, "100.0% of all stretches of 40 characters .* learned the text by heart"),
        (lambda text: text.replace("e", "x"), r"of the words that it writes, .* occur in the text"),
    ],
    ids=["the text itself", "no words"],
)
def test_writing_that_is_copied_or_has_no_words_is_stopped(change, says, exam, monkeypatch):
    run = Run(0, None, Training(SMALL, 0).weights())
    monkeypatch.setattr(exams, "writing", lambda *_: [change(exam.text[1000:1400])])
    with pytest.raises(gates.NotMet, match=says):
        probes.writes_words_of_its_own(run, SMALL, exam)


def test_attention_with_all_scores_is_over_the_memory_limit(tmp_path):
    heads, width, t = MEMORY["attention"]["heads"], MEMORY["attention"]["width"], MEMORY["attention"]["short"]

    def attend():
        q, k, v = (tt.randn(1, heads, t, width // heads, requires_grad=True) for _ in range(3))
        (F.softmax(q @ k.mT, dim=-1) @ v).sum().backward()

    pytest.importorskip("memray")
    assert peak_of(attend, tmp_path / "scores") > attention_memory(t)


# --- the grader's own counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_model_that_writes_with_a_cache_writes_what_it_would_without(positions):
    network = Transformer(11, 8, 2, 2, 8, positions)
    rng = np.random.default_rng(0)
    weights = [{name: rng.normal(0, 0.5, shape) for name, shape in network.shapes.items()}]
    written = network.write(weights, np.array([[1, 2]]), 5, 1e-9, 0)
    for i in range(2, 7):
        assert written[0, i] == network.answer(weights, written[:, :i])[0, -1].argmax()


def test_sequences_are_laid_out_as_those_that_were_learned():
    tokens, targets = texts.sequences(20, EXAM["lengths"], 0)
    theirs = tt.datasets.make_sequences("copy", 60, tuple(EXAM["lengths"]))
    assert tokens.shape == targets.shape == theirs.inputs.shape
    for row, target in zip(tokens, targets, strict=True):
        said = tt.datasets.sequences.spell(row).split(" ")
        task, word = said[0], said[1 : said.index("=")]
        answer = {"copy": word, "reverse": word[::-1], "sort": sorted(word)}[task]
        asked = target != IGNORED
        assert tt.datasets.sequences.spell(target[asked]).split(" ") == [*answer, "."]
        assert np.argmax(asked) == len(word) + 1


def test_counts_of_text():
    assert texts.bigram_loss(np.array([0, 1, 0, 1]), np.array([0, 1]), 2) == pytest.approx(np.log(4 / 3))
    assert texts.known_words(["The cat o'er a doq sat"], "the cat o'er", 3) == 0.75
    assert texts.copied(["to bed"], "to be, or not", 3) == 0.75
    assert [part.tolist() for part in texts.pieces(np.arange(6), 2)] == [[[0, 1], [2, 3]], [[1, 2], [3, 4]]]
