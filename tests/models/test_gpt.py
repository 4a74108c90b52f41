"""GPT: the same numbers as PyTorch, causal, with a cache that changes nothing, and GPT-2's files."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.models import GPT, GPTConfig, load_gpt2
from tinytorch.nn import functional as F

SMALL = GPTConfig(vocab_size=11, block_size=12, n_layer=2, n_head=2, n_embd=8)
ROTARY = GPTConfig(vocab_size=11, block_size=12, n_layer=2, n_head=2, n_embd=8, positions="rotary")
both = pytest.mark.parametrize("config", [SMALL, ROTARY], ids=["learned", "rotary"])


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(0, 11, (3, 12))


def answer(model, tokens):
    return model(tt.tensor(tokens)).detach().numpy()


def gpt(config, scale=10.0):
    """A model whose weights are large enough for attention to matter."""
    tt.manual_seed(0)
    model = GPT(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data[...] *= scale
    return model


@both
def test_the_future_changes_nothing(config, tokens):
    model, changed = gpt(config), tokens.copy()
    changed[:, 7] = (changed[:, 7] + 1) % 11
    before, after = (answer(model, t) for t in (tokens, changed))
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7:] - after[:, 7:]).max(axis=(0, 2)).min() > 1e-3


@both
def test_the_order_of_earlier_tokens_matters(config):
    model, tokens = gpt(config), np.array([[1, 2, 3, 4, 5]])
    swapped = tokens[:, [1, 0, 2, 3, 4]]
    last, other = (answer(model, t)[0, -1] for t in (tokens, swapped))
    assert np.abs(last - other).max() > 1e-3


@both
@pytest.mark.parametrize("parts", [[12], [5, 7], [1] * 12, [4, 1, 1, 3, 3]])
def test_the_cache_gives_the_same_logits(config, parts, tokens):
    model = gpt(config).eval()
    with tt.no_grad():
        full, cache, found, start = model(tt.tensor(tokens)).numpy(), model.new_cache(3), [], 0
        for count in parts:
            found.append(model(tt.tensor(tokens[:, start : start + count]), cache).numpy())
            start += count
    np.testing.assert_allclose(np.concatenate(found, 1), full, atol=1e-5)
    assert cache.length == 12


def test_a_full_cache_is_refused_and_can_be_reset(tokens):
    model = gpt(SMALL).eval()
    cache = model.new_cache(3)
    with tt.no_grad():
        model(tt.tensor(tokens), cache)
        with pytest.raises(ValueError, match=r"expected at most 12 tokens \(block_size\), got 13"):
            model(tt.tensor(tokens[:, :1]), cache)
        with pytest.raises(ValueError, match=r"KVCache: expected at most 0 more tokens \(12 of 12 are taken"):
            cache.layers[0].attend(tt.zeros(3, 1, 24))
        cache.reset()
        model(tt.tensor(tokens[:, :1]), cache)
    assert cache.length == 1
    assert cache.nbytes == 2 * 2 * 3 * 12 * 8 * 4


@both
def test_attention_maps_are_what_the_attention_uses(config, tokens):
    model = gpt(config).eval()
    with tt.no_grad():
        maps = model.attention_maps(tt.tensor(tokens))
        assert [m.shape for m in maps] == [(3, 2, 12, 12)] * 2
        first = maps[0].numpy()
        np.testing.assert_allclose(first.sum(-1), 1, atol=1e-5)
        assert (np.triu(first, 1) == 0).all()
        block, x = model.h[0], model._embed(tt.tensor(tokens), 0)
        values = block.attn.c_attn(block.ln_1(x))[:, :, 16:].reshape(3, 12, 2, 4).transpose(1, 2)
        mixed = (maps[0] @ values).transpose(1, 2).reshape(3, 12, 8)
        np.testing.assert_allclose(
            block.attn.c_proj(mixed).numpy(), block.attn(block.ln_1(x)).numpy(), atol=1e-5
        )


@both
def test_every_parameter_gets_a_gradient(config, tokens):
    model = gpt(config)
    F.cross_entropy(
        model(tt.tensor(tokens[:, :-1])).flatten(0, 1), tt.tensor(tokens[:, 1:]).flatten()
    ).backward()
    assert all(np.abs(p.grad.data).max() > 0 for p in model.parameters())


def test_starts_as_gpt2_does():
    tt.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=200, block_size=50, n_layer=2, n_head=4, n_embd=64))
    state = {name: p.data for name, p in model.named_parameters()}
    assert state["wte.weight"].std() == pytest.approx(0.02, rel=0.05)
    assert state["h.1.attn.c_attn.weight"].std() == pytest.approx(0.02, rel=0.05)
    assert state["h.1.mlp.c_proj.weight"].std() == pytest.approx(0.02 / math.sqrt(4), rel=0.05)
    assert not state["h.0.mlp.c_fc.bias"].any()
    assert (state["ln_f.weight"] == 1).all()
    assert model.head(model.hidden(np.zeros((1, 3), np.int64))).shape == (1, 3, 200)


def test_decay_is_for_matrices_only():
    with_decay, without = GPT(SMALL).parameter_groups(0.3)
    assert (with_decay["weight_decay"], without["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in with_decay["params"]} == {2}
    assert {p.ndim for p in without["params"]} == {1}
    assert len(with_decay["params"]) + len(without["params"]) == len(list(GPT(SMALL).parameters()))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n_head": 3}, "expected n_head to divide n_embd=8, got 3 heads"),
        ({"n_layer": 0}, "expected n_layer of 1 or more, got 0"),
        ({"positions": "sine"}, 'expected positions to be "learned" or "rotary", got \'sine\''),
        ({"n_head": 8, "positions": "rotary"}, "expected an even n_embd / n_head, got 1"),
    ],
)
def test_a_bad_shape_is_refused(change, text):
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        GPTConfig(**{"vocab_size": 11, "block_size": 12, "n_layer": 2, "n_head": 2, "n_embd": 8} | change)


def test_bad_tokens_are_refused():
    model = GPT(SMALL)
    with pytest.raises(IndexError, match="11"):
        model(tt.tensor([[1, 11]]))
    with pytest.raises(ValueError, match=r"GPT: expected at most 12 tokens \(block_size\), got 13. Cut"):
        model(tt.zeros(1, 13, dtype=tt.int64))
    with pytest.raises(ValueError, match=r"GPT: expected tokens of shape \(batch, time\), got \(3,\)"):
        model(tt.tensor([1, 2, 3]))


def test_dropout_is_for_training_only(tokens):
    model = gpt(GPTConfig(**{**vars(SMALL), "dropout": 0.5}))
    one, other = (answer(model, tokens) for _ in range(2))
    assert not np.array_equal(one, other)
    model.eval()
    one, other = (answer(model, tokens) for _ in range(2))
    np.testing.assert_array_equal(one, other)


# --- files ----------------------------------------------------------------------------------------------


def as_gpt2(model, prefix=""):
    """The state dict of `model` as GPT-2's file has it: matrices of blocks as (in, out), and masks."""
    arrays = {}
    for name, tensor in model.state_dict().items():
        turn = name.startswith("h.") and tensor.ndim == 2
        arrays[prefix + name] = np.ascontiguousarray(tensor.data.T if turn else tensor.data)
    for i in range(model.config.n_layer):
        arrays[f"{prefix}h.{i}.attn.bias"] = np.tri(12, dtype=np.float32)[None, None]
    return arrays


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_reads_files_of_gpt2s_shape(prefix, tokens, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = gpt(SMALL)
    safetensors.save_file(as_gpt2(model, prefix), tmp_path / "model.safetensors")
    found = load_gpt2(tmp_path / "model.safetensors", n_head=2)
    assert found.config == SMALL
    np.testing.assert_array_equal(answer(found, tokens), answer(model, tokens))


def test_reads_our_own_files(tokens, tmp_path):
    model = gpt(SMALL)
    tt.save(model.state_dict(), tmp_path / "model.safetensors")
    found = load_gpt2(tmp_path / "model.safetensors", n_head=2)
    np.testing.assert_array_equal(answer(found, tokens), answer(model, tokens))


def test_a_file_of_another_kind_is_refused(tmp_path):
    tt.save({"fc.weight": tt.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"load_gpt2: expected GPT-2's names .* wte.weight, wpe.weight"):
        load_gpt2(tmp_path / "other.safetensors")


# --- PyTorch --------------------------------------------------------------------------------------------


def test_is_the_gpt_of_pytorch(tokens):
    torch = pytest.importorskip("torch")
    model = gpt(SMALL)
    w = {name: torch.tensor(p.data, requires_grad=True) for name, p in model.named_parameters()}
    functional, x, y = torch.nn.functional, torch.tensor(tokens[:, :-1]), torch.tensor(tokens[:, 1:])

    def linear(h, name):
        return functional.linear(h, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(h, name):
        return functional.layer_norm(h, (8,), w[f"{name}.weight"], w[f"{name}.bias"])

    h = w["wte.weight"][x] + w["wpe.weight"][: x.shape[1]]
    for i in range(2):
        q, k, v = linear(norm(h, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(8, 2)
        heads = [part.reshape(3, 11, 2, 4).transpose(1, 2) for part in (q, k, v)]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        h = h + linear(mixed.transpose(1, 2).reshape(3, 11, 8), f"h.{i}.attn.c_proj")
        inner = functional.gelu(linear(norm(h, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"), approximate="tanh")
        h = h + linear(inner, f"h.{i}.mlp.c_proj")
    logits = norm(h, "ln_f") @ w["wte.weight"].T
    functional.cross_entropy(logits.flatten(0, 1), y.flatten()).backward()

    ours = model(tt.tensor(tokens[:, :-1]))
    F.cross_entropy(ours.flatten(0, 1), tt.tensor(tokens[:, 1:]).flatten()).backward()
    np.testing.assert_allclose(ours.detach().numpy(), logits.detach().numpy(), atol=1e-4)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad.data, w[name].grad.numpy(), atol=1e-4, err_msg=name)
