"""Channels and heads taken out: the same as setting to zero what reads them, in smaller arrays."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, MLP, GPTConfig, LeNet, SmallResNet
from tinytorch.nn import functional as F
from tinytorch.systems import (
    attention_heads,
    file_bytes,
    prunable_channels,
    prune_channels,
    prune_heads,
    taylor_head_importance,
    taylor_importance,
)
from tinytorch.systems.compression.channel_trace import find_channels


class Functional(nn.Module):
    """Activations, pooling and flattening as functions; a depthwise convolution; a batch norm of features."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(2, 6, 3, padding=1)
        self.apart = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.two = nn.Conv2d(6, 5, 1)
        self.three = nn.Linear(5 * 4 * 4, 7)
        self.norm = nn.BatchNorm1d(7)
        self.four = nn.Linear(7, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.apart(self.one(x))), 2)
        x = F.gelu(self.two(x)).reshape(len(x), -1)
        return self.four(self.norm(self.three(x)).tanh())


class Branching(nn.Module):
    """Two layers read one; a residual sum needs all of another."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(6, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.out(self.left(x) + self.right(x))


def _awake(model):
    """Batch norms as after some training: no channel is at zero by chance."""
    rng = np.random.default_rng(0)
    for tensor in model.state_dict().values():
        if tensor.dtype.kind == "f" and tensor.ndim == 1:
            tensor.data[...] = rng.uniform(0.5, 1.5, tensor.shape)
    return model.eval()


MODELS = {
    "mlp": (lambda: MLP(16, (12, 8), 3), (4, 16)),
    "lenet": (lambda: LeNet(2, 8, (6, 8), 16), (3, 2, 8, 8)),
    "resnet": (lambda: SmallResNet(3, (4, 6, 8)), (2, 3, 16, 16)),
    "functional": (Functional, (3, 2, 8, 8)),
    "branching": (Branching, (3, 4)),
    "sequence": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Flatten(1), nn.Linear(30, 2)), (3, 5, 4)),
    "signals": (
        lambda: nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 2, 2)),
        (2, 2, 12),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_the_model_with_the_inputs_at_zero(name):
    make, shape = MODELS[name]
    model, x = _awake(make()), tt.randn(*shape)
    before = {key: tensor.data.copy() for key, tensor in model.state_dict().items()}
    found, _ = find_channels(model, x)
    assert found
    keep = {layer: list(range(0, c.count, 2)) for layer, c in found.items()}
    smaller = prune_channels(model, keep=keep, example_input=x)
    zeroed = copy.deepcopy(model)
    for layer, channels in found.items():
        for reader, index in channels.readers.items():
            weight = zeroed.get_submodule(reader).weight
            weight.data[:, ~np.isin(index, keep[layer])] = 0
    np.testing.assert_allclose(smaller(x).data, zeroed(x).data, rtol=1e-4, atol=1e-5)
    assert not np.allclose(smaller(x).data, model(x).data, rtol=1e-3)
    for key, tensor in model.state_dict().items():
        assert (tensor.data == before[key]).all(), "the given model is untouched"
    assert file_bytes(smaller) < file_bytes(model)
    for module in smaller.modules():  # the numbers that describe a layer are those of its arrays
        if isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean.shape == (module.num_features,)


@pytest.mark.parametrize("name", MODELS)
def test_a_smaller_model_trains(name):
    make, shape = MODELS[name]
    x = tt.randn(*shape)
    smaller = prune_channels(make(), 0.5, example_input=x).train()
    optimizer = tt.optim.AdamW(smaller.parameters(), lr=0.01)
    before = [p.data.copy() for p in smaller.parameters()]
    smaller(x).square().sum().backward()
    optimizer.step()
    assert all((p.data != b).any() for p, b in zip(smaller.parameters(), before, strict=True))


def test_a_pruned_lenet_is_a_smaller_lenet():
    x = tt.randn(2, 1, 8, 8)
    smaller = prune_channels(LeNet(1, 8, (8, 16), 32), 0.5, example_input=x)
    same = LeNet(1, 8, (4, 8), 16)
    same.load_state_dict(smaller.state_dict())
    assert (same(x).data == smaller(x).data).all()


def test_fractions_by_layer_and_whole_vectors():
    model, x = LeNet(1, 8, (10, 20), 32), tt.zeros(1, 1, 8, 8)
    smaller = prune_channels(
        model, 0.5, keep={"head.1": 5}, example_input=x, exclude=["features.0"], multiple_of=8
    )
    assert prunable_channels(smaller, x) == {"features.0": 10, "features.3": 16, "head.1": 5}
    smaller = prune_channels(model, {"features.3": 0.25}, example_input=x)
    assert prunable_channels(smaller, x) == {"features.0": 10, "features.3": 15, "head.1": 32}


def test_norms_choose():
    model, x = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1)), tt.zeros(1, 2)
    model[0].weight.data = np.float32([[3, 3], [0, 5], [1, 1]])
    for importance, kept in (("l1", [3, 3]), ("l2", [0, 5])):
        smaller = prune_channels(model, keep={"0": 1}, example_input=x, importance=importance)
        assert smaller[0].weight.data.tolist() == [kept]
    scores = {"0": [0, 0, 1]}
    for importance in (scores, lambda name, layer: scores[name]):
        smaller = prune_channels(model, keep={"0": 1}, example_input=x, importance=importance)
        assert smaller[0].weight.data.tolist() == [[1, 1]]


def test_taylor_is_the_slope_of_the_loss_for_a_factor_on_each_channel():
    tt.manual_seed(0)
    model = MLP(5, (4,), 3).train()
    x, y = tt.randn(6, 5), tt.tensor([0, 1, 2, 0, 1, 2])
    loss, layer = nn.CrossEntropyLoss(), model.hidden[1]
    model.output.weight.grad = tt.ones(3, 4)
    scores = taylor_importance(model, [(x, y), (x[:3], y[:3])], loss)
    assert (model.output.weight.grad.data == 1).all(), "gradients stay as they were"
    assert layer.weight.grad is None
    assert all(module.training for module in model.modules())
    expected = np.zeros(4)
    for count in (6, 3):
        factor = tt.ones(4, requires_grad=True)
        with layer.register_forward_hook(lambda module, arguments, output: output * factor):  # noqa: B023
            loss(model(x[:count]), y[:count]).backward()
        expected += np.abs(factor.grad.data)
    np.testing.assert_allclose(scores["hidden.1"], expected, rtol=1e-4, atol=1e-7)


def test_what_cannot_be_pruned_says_why():
    resnet, x = SmallResNet(3, (4, 6, 8)), tt.zeros(1, 3, 16, 16)
    assert set(prunable_channels(resnet, x)) == {
        "features.0", "features.8.layers.0", "features.13.layers.0",
    }  # fmt: skip
    reasons = find_channels(resnet, x)[1]
    assert reasons["features.4"] == "they reach the operation 'add', which needs all of them"
    assert reasons["head.2"] == "they are the model's output"
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(4, 2))
    assert find_channels(model, tt.zeros(1, 4))[1]["0"] == "'0' runs more than once"
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    tied[1].weight = tied[0].weight
    assert "shares its weights" in find_channels(tied, tt.zeros(1, 4))[1]["0"]
    grouped = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 2, 1))
    reasons = find_channels(grouped, tt.zeros(1, 4, 2, 2))[1]
    assert reasons["0"] == "it is a convolution in 2 groups"
    normed = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    reasons = find_channels(normed, tt.zeros(1, 4))[1]
    assert reasons["0"] == "they reach '1', a LayerNorm, which needs all of them"


def test_tracing_leaves_no_trace():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout().eval(), nn.Linear(4, 3), nn.Linear(3, 2))
    mean = model[0].running_mean.data.copy()
    prunable_channels(model, tt.ones(5, 4))
    with pytest.raises(ValueError, match="4 channels"):
        prunable_channels(model, tt.ones(5, 3))
    assert all(module._hooks is None for module in model.modules())
    assert (model[0].running_mean.data == mean).all()
    assert [module.training for module in model] == [True, False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected a fraction to take out, or what to keep; got neither"),
        ({"fraction": 1.0}, "expected a fraction from 0 up and below 1, got 1.0"),
        ({"fraction": -0.5}, "expected a fraction from 0 up and below 1, got -0.5"),
        ({"fraction": 0.99}, "0.99 would leave nothing of the 12 channels of 'hidden.1'"),
        ({"fraction": {"output": 0.5}}, "'output' cannot be taken out: they are the model's output"),
        ({"keep": {"hidden.7": 2}}, "no linear layer or convolution 'hidden.7' runs; .*: hidden.1, hidden.3"),
        ({"keep": {"hidden.1": 0}}, "expected to keep from 1 to 12 channels of 'hidden.1', got 0"),
        ({"keep": {"hidden.1": 13}}, "expected to keep from 1 to 12 channels of 'hidden.1', got 13"),
        ({"keep": {"hidden.1": []}}, r"keep one or more channels of 'hidden.1'.* got \[\]"),
        ({"keep": {"hidden.1": [1, 1]}}, r"from 0 to 11, each once; got \[1, 1\]"),
        ({"keep": {"hidden.1": [12]}}, r"from 0 to 11, each once; got \[12\]"),
        ({"fraction": 0.5, "exclude": ["output.x"]}, "no linear layer or convolution 'output.x' runs"),
        ({"fraction": 0.5, "importance": "l3"}, 'expected importance "l1", "l2", .* got \'l3\''),
        ({"fraction": 0.5, "importance": {}}, "expected an importance for the channels of 'hidden.1'"),
        ({"fraction": 0.5, "importance": {"hidden.1": [1]}}, r"each of the 12 channels .* shape \(1,\)"),
        ({"fraction": 0.5, "multiple_of": 0}, "expected multiple_of to be 1 or more, got 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        prune_channels(MLP(16, (12, 8), 3), example_input=tt.zeros(1, 16), **options)


def test_nothing_to_prune_is_an_error():
    with pytest.raises(ValueError, match="no layer can be pruned: output: they are the model's output"):
        prune_channels(nn.Sequential({"output": nn.Linear(3, 2)}), 0.5, example_input=tt.zeros(1, 3))
    with pytest.raises(ValueError, match="expected at least one batch, got none"):
        taylor_importance(MLP(3, (2,), 2), [], nn.CrossEntropyLoss())


# --- transformers ---------------------------------------------------------------------------------------


def _gpt(positions="rotary"):
    tt.manual_seed(0)
    gpt = GPT(GPTConfig(vocab_size=13, block_size=16, n_layer=2, n_head=4, n_embd=16, positions=positions))
    for parameter in gpt.parameters():
        if parameter.ndim == 2:
            parameter.data *= 5
    return gpt.eval()


TOKENS = np.arange(20).reshape(2, 10) % 13


def test_hidden_units_of_a_gpt():
    gpt = _gpt()
    found, reasons = find_channels(gpt, TOKENS)
    assert set(found) == {"h.0.mlp.c_fc", "h.1.mlp.c_fc"}
    assert "rotary_embedding" in reasons["h.0.attn.c_attn"]
    keep = {name: list(range(1, 64, 2)) for name in found}
    smaller, zeroed = prune_channels(gpt, keep=keep, example_input=TOKENS), copy.deepcopy(gpt)
    for block in zeroed.h:
        block.mlp.c_proj.weight.data[:, ::2] = 0
    np.testing.assert_allclose(smaller(TOKENS).data, zeroed(TOKENS).data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_heads_of_a_gpt(positions):
    gpt = _gpt(positions)
    smaller, zeroed = prune_heads(gpt, keep={"h.0.attn": [0, 3], "h.1.attn": [2]}), copy.deepcopy(gpt)
    zeroed.h[0].attn.c_proj.weight.data[:, 4:12] = 0
    zeroed.h[1].attn.c_proj.weight.data[:, [*range(8), *range(12, 16)]] = 0
    np.testing.assert_allclose(smaller(TOKENS).data, zeroed(TOKENS).data, rtol=1e-4, atol=1e-5)
    assert attention_heads(smaller) == {"h.0.attn": 2, "h.1.attn": 1}
    assert attention_heads(gpt) == {"h.0.attn": 4, "h.1.attn": 4}
    assert [tuple(maps.shape) for maps in smaller.attention_maps(TOKENS)] == [(2, 2, 10, 10), (2, 1, 10, 10)]
    assert smaller.config == gpt.config
    assert file_bytes(smaller) < file_bytes(gpt)
    smaller(TOKENS).square().sum().backward()
    assert all(p.grad is not None for p in smaller.parameters())


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_gpt_with_fewer_heads_reads_on_from_its_cache(positions):
    smaller = prune_heads(_gpt(positions), keep={"h.0.attn": [0, 3], "h.1.attn": [2]})
    expected, cache = smaller(TOKENS).data, smaller.new_cache(2)
    with tt.no_grad():
        got = [smaller(TOKENS[:, :4], cache).data]
        got += [smaller(TOKENS[:, i : i + 1], cache).data for i in range(4, 10)]
    np.testing.assert_allclose(np.concatenate(got, 1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kdim", [None, 6])
def test_heads_of_multihead_attention(kdim):
    attention = nn.MultiheadAttention(8, 4, kdim=kdim, batch_first=True).eval()
    smaller = prune_heads(nn.ModuleDict({"a": attention}), keep={"a": [1, 2]})["a"]
    assert (smaller.num_heads, smaller.head_dim, smaller.embed_dim) == (2, 2, 8)
    assert smaller.out_proj.weight.shape == (8, 4)
    assert smaller.in_proj_bias.shape == (12,)
    if kdim is None:
        x = tt.randn(2, 5, 8)
        zeroed = copy.deepcopy(attention)
        zeroed.out_proj.weight.data[:, [0, 1, 6, 7]] = 0
        got, expected = (layer(x, x, x, need_weights=False)[0].data for layer in (smaller, zeroed))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    else:
        assert (smaller.q_proj_weight.shape, smaller.k_proj_weight.shape) == ((4, 8), (4, 6))


def test_heads_are_chosen_by_norm():
    gpt = _gpt()
    weight = gpt.h[0].attn.c_proj.weight.data
    weight[:, 8:12] *= 100
    assert (prune_heads(gpt, 0.75).h[0].attn.c_proj.weight.data == weight[:, 8:12]).all()


def test_heads_are_chosen_by_the_slope_of_the_loss_for_a_factor_on_each():
    gpt, targets = _gpt(), tt.tensor(np.roll(TOKENS, -1, 1))

    def loss(logits, labels):
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    scores = taylor_head_importance(gpt, [(TOKENS, targets)], loss)
    projection, factor = gpt.h[1].attn.c_proj, tt.ones(4, requires_grad=True)
    spread = factor.reshape(4, 1).expand(4, 4).reshape(16)
    with projection.register_forward_pre_hook(lambda module, arguments: (arguments[0] * spread,)):
        loss(gpt(TOKENS), targets).backward()
    np.testing.assert_allclose(scores["h.1.attn"], np.abs(factor.grad.data), rtol=1e-3, atol=1e-6)
    best = int(np.argmax(scores["h.1.attn"]))
    kept = prune_heads(gpt, keep={"h.1.attn": 1}, importance=scores).h[1].attn.c_proj.weight.data
    assert (kept == projection.weight.data[:, 4 * best : 4 * best + 4]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected a fraction to take out, or what to keep; got neither"),
        ({"fraction": 1.5}, "expected a fraction from 0 up and below 1, got 1.5"),
        ({"fraction": 0.9}, "expected to keep from 1 to 4 heads of 'h.0.attn', got 0"),
        ({"keep": {"h.0": 2}}, "'h.0' is no attention layer; these are: h.0.attn, h.1.attn"),
        ({"keep": {"h.0.attn": [4]}}, r"keep one or more heads of 'h.0.attn', numbers from 0 to 3.* \[4\]"),
        ({"fraction": 0.5, "importance": "l1"}, "expected importance \"l2\" or scores.* got 'l1'"),
        (
            {"fraction": 0.5, "importance": {}},
            r"each of the 4 heads of 'h.0.attn', got scores of shape \(0,\)",
        ),
    ],
)
def test_refusals_of_heads(options, message):
    with pytest.raises(ValueError, match=message):
        prune_heads(_gpt(), **options)


def test_a_model_without_attention():
    with pytest.raises(ValueError, match="MLP has no attention layers"):
        prune_heads(MLP(3, (2,), 2), 0.5)
