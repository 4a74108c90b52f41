"""Module 14: norms, blocks, a GPT."""

import numpy as np

from grading.checkpoints.checking import array, near
from grading.gates import require


def test_layer_norm(names, rng):
    x = rng.normal(2, 3, (4, 8))
    right = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    near(names("LayerNorm")(8)(names.tensor(x.astype("f4"))), right, "LayerNorm(8)", 1e-4)


def _gpt(names):
    return names("GPT")(
        names("GPTConfig")(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
    ).eval()


def test_a_gpt_gives_logits_for_each_token(names):
    found = array(_gpt(names)(names.tensor(np.zeros((2, 8), np.int64)))).shape
    require(found == (2, 8, 11), f"GPT(tokens): expected (2, 8, 11), got {found}")


def test_untrained_it_knows_nothing(names, rng):
    z = array(_gpt(names)(names.tensor(rng.integers(0, 11, (4, 8)))))
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    entropy = -(p * np.log(p)).sum(-1).mean()
    require(
        entropy > 0.9 * np.log(11),
        f"entropy of an untrained GPT: expected about log 11 = 2.4, got {entropy:.2f}",
    )


def test_it_does_not_see_the_future(names, rng):
    model, tokens = _gpt(names), rng.integers(0, 11, (1, 8))
    other = tokens.copy()
    other[:, 5:] = (other[:, 5:] + 1) % 11
    a, b = (array(model(names.tensor(t)))[:, :5] for t in (tokens, other))
    near(a, b, "logits before a token that changed")
