"""The language models of milestone 5: what they are told, what they write, what is measured."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.datasets.grammar import accepts
from tinytorch.milestone import Data, language, language_studies
from tinytorch.milestone.grammar_studies import _ngrams
from tinytorch.milestone.run import Run
from tinytorch.models import GPT, GPTConfig
from tinytorch.text import BPETokenizer, CharTokenizer

TEXT = "\nthe cat sat on the mat, and the rat sat on the cat.\n" * 20


@pytest.fixture(params=["char", "bpe"])
def trial(request, milestones):
    """A run of Shakespeare's script on another text, with a model that is made in no time."""
    tokenizer = CharTokenizer.train(TEXT) if request.param == "char" else BPETokenizer.train(TEXT, 270)
    train = test = language.examples(tokenizer.encode(TEXT), 64)
    data = Data(train, test, extra={"tokenizer": tokenizer, "text": TEXT, "asked": TEXT})
    script = dataclasses.replace(
        milestones["vaswani_shakespeare"],
        build=lambda: GPT(GPTConfig(tokenizer.vocab_size, 64, n_layer=1, n_head=2, n_embd=16)),
    )
    return Run(script, data, epochs=1, batch_size=4, lr=0.01, seed=0)


def test_examples_are_the_text_and_what_follows():
    inputs, following = language.examples(np.arange(12), 5)
    assert inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert following.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


def test_the_loss_is_for_a_character_whatever_the_tokens_are(trial):
    inputs, following = trial.data.test
    value = trial.evaluate(trial.data.test)
    logits = trial.model(tt.tensor(inputs)).detach().numpy().astype(np.float64)
    z = logits - logits.max(-1, keepdims=True)
    log_p = np.take_along_axis(z, following[..., None], -1)[..., 0] - np.log(np.exp(z).sum(-1))
    characters = len(trial.data.extra["tokenizer"].decode(following.ravel()))
    assert value == pytest.approx(-log_p.sum() / characters, rel=1e-5)


def test_models_that_count_are_told_in_the_same_unit(trial):
    found = language_studies.baselines(trial)
    assert 0 < found["bigram"] < found["unigram"] < math.log(256)


def test_the_history_has_the_training_loss_and_the_metric(trial, milestones):
    trial.train()
    assert set(trial.history[0]) == {"epoch", "loss", "validation_loss", "seconds"}
    assert trial.history[0]["loss"] != trial.history[0]["validation_loss"]


def test_a_prompt_begins_the_text(trial):
    trial.options = {"prompt": "the rat"}
    assert language.write(trial, 5).startswith("the rat")
    assert language.sample(trial)[0].startswith("│ the rat")


def test_a_person_begins_and_the_model_goes_on(trial, monkeypatch, capsys):
    by_characters = isinstance(trial.data.extra["tokenizer"], CharTokenizer)
    said = iter(["the cat", "é†" if by_characters else "the", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    told = []
    trial.watcher.say = told.append
    language.converse(trial)
    assert capsys.readouterr().out.startswith("the cat")
    if by_characters:
        assert any("expected characters" in text for text in told)


def test_the_cost_of_attention_is_linear_in_memory(monkeypatch):
    monkeypatch.setattr(language_studies, "LENGTHS", (256, 1024))
    short, long = language_studies.attention_cost()
    assert long["mib"] == pytest.approx(4 * short["mib"], rel=0.4)
    assert long["naive_mib"] > 10 * short["naive_mib"]


def test_models_that_count_words_write_sentences():
    corpus = ["the dog sees a cat.", "a cat sees the dog.", "the cat runs."]
    sentences = _ngrams(corpus, 2, 50)
    assert all(sentence.endswith(".") for sentence in sentences)
    assert {word for s in sentences for word in s[:-1].split()} <= {"the", "a", "dog", "cat", "sees", "runs"}
    assert set(_ngrams(corpus, 6, 20)) <= set(corpus)
    assert all(map(accepts, corpus))


def test_the_choice_of_tokens_is_a_flag(run, milestones):
    usual, pieces = (
        milestones["vaswani_shakespeare"].choose({"tokenizer": name}) for name in ("char", "bpe")
    )
    assert (usual.classes, pieces.classes) == (65, 512)
    assert pieces.weights_file.name == "vaswani_shakespeare_bpe.safetensors"
    done = run("vaswani_shakespeare", "--test-only", "--tokenizer", "bpe")
    assert done.code == 0
    assert "Nothing was trained" in done.out


def test_pretrained_sequences(run):
    done = run("vaswani_sequences", "--use-pretrained", "--no-plots")
    assert done.code == 0
    assert done.result["metric"] == "exact"
    assert done.result["value"] >= 0.99
    assert "this head gives" in done.out
    assert done.details["exact_by_length"]["reverse"][0] >= 0.99
