"""A token in one go: the same logits as by calling the layers, and the layers wherever it must be so."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.models import GPT, GPTConfig
from tinytorch.models.gpt_step import next_hidden
from tinytorch.systems import quantize_weight_only


def gpt(positions: str = "learned", model: type[GPT] = GPT, **changes: int) -> GPT:
    tt.manual_seed(0)
    settings = {"vocab_size": 20, "block_size": 8, "n_layer": 2, "n_head": 3, "n_embd": 24, **changes}
    return model(GPTConfig(**settings, positions=positions)).eval().requires_grad_(False)


TOKEN = np.array([[3], [4]])


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("change", [lambda m: m, quantize_weight_only], ids=["float32", "int8"])
def test_same_logits_as_of_the_layers(positions, change):
    model = change(gpt(positions))
    tokens = np.random.default_rng(0).integers(0, 20, (2, 8))
    with tt.no_grad():
        expected, cache = model.hidden(tokens).numpy(), model.new_cache(2)
        for i in range(8):
            found = next_hidden(model, tokens[:, i : i + 1], cache)
            assert found is not None
            assert cache.length == i + 1
            np.testing.assert_allclose(found.numpy()[:, 0], expected[:, i], rtol=1e-4, atol=1e-5)
        assert next_hidden(model, tokens[:, :1], cache) is None  # it is full
        with pytest.raises(ValueError, match="at most 8 tokens"):
            model(tokens[:, :1], cache)


@pytest.mark.parametrize(
    "tokens",
    [np.array([[20], [0]]), np.array([[-1], [0]]), np.zeros((2, 2), int), np.zeros((9, 1), int), [[1], [2]],
     np.zeros((2, 1))],
    ids=["unknown", "negative", "two of each", "many sequences", "a list", "floats"],
)  # fmt: skip
def test_other_tokens_go_through_the_layers(tokens):
    model = gpt()
    with tt.no_grad():
        cache = model.new_cache(len(tokens))
        assert next_hidden(model, tokens, cache) is None
        assert cache.length == 0


def test_who_looks_or_changes_something_gets_the_layers():
    model = gpt()
    cache = model.new_cache(2)
    assert next_hidden(model, TOKEN, cache) is None  # a graph is recorded
    seen = []
    with tt.no_grad():
        for layer in (model.wte, model.ln_f, model.h[1].mlp):
            with layer.register_forward_hook(lambda *arguments: seen.append(1)):
                model(TOKEN, model.new_cache(2))
        assert len(seen) == 3

        class Other(GPT):
            def _embed(self, tokens, start):
                return 2 * super()._embed(tokens, start)

        other = gpt(model=Other)
        assert next_hidden(other, TOKEN, other.new_cache(2)) is None
