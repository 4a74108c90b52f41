"""Generation: with and without the cache the same, in the ranges it was told, text piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.models import GPT, GPTConfig
from tinytorch.text import BPETokenizer, CharTokenizer, generate

VOCABULARY = 13


@pytest.fixture(params=["learned", "rotary"])
def model(request):
    tt.manual_seed(0)
    model = GPT(GPTConfig(VOCABULARY, 10, n_layer=2, n_head=2, n_embd=16, positions=request.param))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data[...] *= 10
    return model


@pytest.mark.parametrize("batch", [1, 3, 12])
def test_with_and_without_the_cache_the_text_is_the_same(model, batch):
    prompt = np.random.default_rng(1).integers(0, VOCABULARY, (batch, 3))
    cached, full = (generate(model, prompt, 40, seed=3, use_cache=use) for use in (True, False))
    np.testing.assert_array_equal(cached, full)
    assert cached.shape == (batch, 43)
    assert (cached[:, :3] == prompt).all()


def test_a_prompt_longer_than_the_context(model):
    prompt = np.arange(25) % VOCABULARY
    cached, full = (generate(model, prompt, 5, seed=3, use_cache=use) for use in (True, False))
    np.testing.assert_array_equal(cached, full)


def test_the_same_seed_gives_the_same_text_and_the_librarys_generator_is_the_default(model):
    one, other, third = (generate(model, [1], 20, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, other)
    assert (one != third).any()
    texts = []
    for _ in range(2):
        tt.manual_seed(9)
        texts.append([generate(model, [1], 20) for _ in range(2)])
    np.testing.assert_array_equal(*texts)
    assert (texts[0][0] != texts[0][1]).any()


def logits_of(model, tokens):
    with tt.no_grad():
        return model(tt.tensor([tokens])).numpy()[0, -1]


def test_temperature_zero_takes_the_likeliest(model):
    tokens = generate(model, [1, 2], 6, temperature=0)
    for length in range(2, 8):
        assert tokens[length] == logits_of(model, tokens[:length]).argmax()


def test_tokens_are_drawn_as_often_as_the_model_says(model):
    drawn = generate(model, np.full((20_000, 1), 4), 1, temperature=2.0, seed=0)[:, 1]
    logits = logits_of(model, [4]).astype(np.float64) / 2
    p = np.exp(logits - logits.max())
    shares = np.bincount(drawn, minlength=VOCABULARY) / len(drawn)
    np.testing.assert_allclose(shares, p / p.sum(), atol=0.015)


def test_top_k_and_top_p_leave_out_the_rest(model):
    prompt = np.full((2000, 1), 4)
    logits = logits_of(model, [4]).astype(np.float64) / 5
    order = np.argsort(-logits)
    few = generate(model, prompt, 1, temperature=5, top_k=3, seed=0)[:, 1]
    assert set(few) == set(order[:3])
    p = np.exp(logits - logits.max())
    p = p[order] / p.sum()
    kept = int((np.cumsum(p) - p < 0.5).sum())
    nucleus = generate(model, prompt, 1, temperature=5, top_p=0.5, seed=0)[:, 1]
    assert set(nucleus) == set(order[:kept])
    assert 1 < kept < VOCABULARY
    alone = generate(model, prompt, 1, temperature=5, top_k=3, top_p=1e-9, seed=0)[:, 1]
    assert set(alone) == {order[0]}


def test_stop_ends_a_sequence_and_in_a_batch_is_repeated(model):
    free = generate(model, [1], 30, seed=2)
    stop = int(free[7])
    first = int(np.flatnonzero(free[1:] == stop)[0]) + 1
    np.testing.assert_array_equal(generate(model, [1], 30, seed=2, stop=stop), free[: first + 1])
    batch = generate(model, [[1]] * 4, 60, seed=2, stop=[stop, 0])
    for row in batch:
        ends = np.flatnonzero(np.isin(row[1:], [stop, 0]))
        if ends.size:
            assert (row[ends[0] + 1 :] == row[ends[0] + 1]).all()


def test_the_stream_gets_what_is_returned(model):
    seen = []
    tokens = generate(model, [1, 2], 9, seed=0, stream=seen.append)
    assert seen == tokens[2:].tolist()
    assert all(type(token) is int for token in seen)
    rows = []
    tokens = generate(model, [[1], [2]], 9, seed=0, stream=rows.append)
    np.testing.assert_array_equal(np.stack(rows, 1), tokens[:, 1:])


def test_text_in_text_out(model):
    tokenizer, pieces = CharTokenizer("abcdefghijklm"), []
    text = generate(model, "abc", 12, seed=0, tokenizer=tokenizer, stream=pieces.append)
    assert text.startswith("abc")
    assert len(text) == 15
    assert "".join(pieces) == text[3:]


def test_a_character_of_several_tokens_is_streamed_when_it_is_whole(model):
    tokenizer, pieces = BPETokenizer.train("", 256), []

    class Scripted:
        """Says "é€." and nothing else."""

        config, training = model.config, False
        bytes_left = iter("é€.".encode())

        def eval(self):
            return self

        train = hidden = lambda self, *_: tt.zeros(1, 1, 1)

        def head(self, _):
            logits = np.full((1, 256), -1e9, np.float32)
            logits[0, next(self.bytes_left)] = 0
            return tt.tensor(logits)

    generate(Scripted(), "x", 6, tokenizer=tokenizer, stream=pieces.append, use_cache=False)
    assert pieces == ["é", "€", "."]


def test_the_model_comes_back_in_its_mode(model):
    for training in (True, False):
        model.train(training)
        generate(model, [1], 2)
        assert model.training is training


@pytest.mark.parametrize(
    ("prompt", "told", "error", "text"),
    [
        (
            [],
            {},
            ValueError,
            r"expected a prompt of shape \(t,\) or \(batch, t\) with t of 1 or more, got \(0,\)",
        ),
        ([[[1]]], {}, ValueError, r"got \(1, 1, 1\)"),
        ("abc", {}, TypeError, "expected a tokenizer with a prompt that is a string, got none"),
        ([1], {"temperature": -1.0}, ValueError, "expected a temperature of 0 or more, got -1.0"),
        ([1], {"temperature": float("nan")}, ValueError, "expected a temperature of 0 or more, got nan"),
        ([1], {"top_k": 0}, ValueError, "expected top_k of 1 or more, got 0"),
        ([1], {"top_p": 0.0}, ValueError, "expected top_p above 0 and up to 1, got 0.0"),
        ([1], {"max_new_tokens": -1}, ValueError, "expected max_new_tokens of 0 or more, got -1"),
        ([VOCABULARY], {}, IndexError, str(VOCABULARY)),
    ],
)
def test_what_makes_no_sense_is_refused(model, prompt, told, error, text):
    with pytest.raises(error, match=text):
        generate(model, prompt, **{"max_new_tokens": 2, **told})
