"""Transformer layers and stacks without PyTorch beside them: shapes, fusion, copies, masks, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn import functional as F

pytestmark = pytest.mark.nojit_ok

SIZES = (8, 2, 12, 0.0)  # d_model, nhead, dim_feedforward, dropout


def normal(*shape, seed=0):
    return tt.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_layer_by_its_formula(norm_first):
    layer, x = nn.TransformerEncoderLayer(*SIZES, batch_first=True, norm_first=norm_first), normal(2, 5, 8)

    def small(y):
        return layer.linear2(F.relu(layer.linear1(y)))

    if norm_first:
        y = layer.norm1(x)
        y = x + layer.self_attn(y, y, y)[0]
        expected = y + small(layer.norm2(y))
    else:
        y = layer.norm1(x + layer.self_attn(x, x, x)[0])
        expected = layer.norm2(y + small(y))
    close(layer(x), expected)


@pytest.mark.parametrize("batch_first", [True, False])
def test_shapes_with_and_without_a_batch(batch_first):
    encoder = nn.TransformerEncoderLayer(*SIZES, batch_first=batch_first)
    decoder = nn.TransformerDecoderLayer(*SIZES, batch_first=batch_first)
    src, tgt = normal(3, 5, 8), normal(3, 4, 8)
    if not batch_first:
        src, tgt = src.transpose(0, 1), tgt.transpose(0, 1)
    memory, out = encoder(src), decoder(tgt, src)
    assert memory.shape == src.shape
    assert out.shape == tgt.shape
    one = (slice(1, 2), slice(None)) if batch_first else (slice(None), slice(1, 2))
    index = (1,) if batch_first else (slice(None), 1)
    close(encoder(src[one]), memory[one])
    close(encoder(src[index]), memory[index])
    close(decoder(tgt[index], src[index]), out[index])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_hook_sees_what_linear1_gives(activation):
    """Its activation is applied while it writes, but not when somebody looks."""
    layer, x, seen = nn.TransformerEncoderLayer(*SIZES, activation, batch_first=True), normal(2, 5, 8), []
    expected = layer(x)
    layer.linear1.register_forward_hook(lambda module, args, output: seen.append(output))
    close(layer(x), expected)
    assert (seen[0].detach().numpy() < -0.5).any()


@pytest.mark.parametrize("activation", ["gelu", F.gelu, nn.GELU()])
def test_activations(activation):
    layer, x = nn.TransformerEncoderLayer(*SIZES, activation=activation), normal(5, 2, 8)
    other = nn.TransformerEncoderLayer(*SIZES, activation=lambda y: y * (1 + (y / 2**0.5).erf()) / 2)
    other.load_state_dict(layer.state_dict())
    close(layer(x), other(x))


def test_copies_start_equal_and_are_trained_apart():
    layer = nn.TransformerEncoderLayer(*SIZES, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))
    first, second = encoder.layers
    assert first is not layer
    np.testing.assert_array_equal(first.linear1.weight.data, second.linear1.weight.data)
    encoder(normal(2, 5, 8)).square().sum().backward()
    assert layer.linear1.weight.grad is None
    assert not np.allclose(first.linear1.weight.grad.numpy(), second.linear1.weight.grad.numpy())
    names = list(encoder.state_dict())
    assert names[0] == "layers.0.self_attn.in_proj_weight"
    assert names[-1] == "norm.bias"
    assert encoder.num_layers == 2


def watched(encoder, told):
    """`encoder`, which notes in `told` whether its attention is told that the mask is causal."""
    for layer in encoder.layers:
        plain = layer.self_attn.forward

        def forward(*args, plain=plain, **options):
            told.append(options["is_causal"])
            return plain(*args, **options)

        layer.self_attn.forward = forward
    return encoder


def encoder_of(layers):
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(*SIZES, batch_first=True), layers)


@pytest.mark.parametrize("dtype", [np.bool_, np.float32])
@pytest.mark.parametrize("said", [None, True, False])
def test_a_causal_mask_is_found_and_gives_the_same(dtype, said):
    told = []
    encoder, x = watched(encoder_of(2), told), normal(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype)
    out = encoder(x, mask, is_causal=said)
    assert told == [said is not False] * 2
    close(out, encoder(x, mask, is_causal=False))
    close(out, encoder(x, is_causal=True))  # no mask is needed
    later = x.clone()
    later[:, 3:] = 5.0
    close(encoder(later, mask)[:, :3], out[:, :3])


@pytest.mark.parametrize(
    "mask", [tt.zeros(5, 5), tt.zeros(5, 5, requires_grad=True), np.tri(5, k=-1) > 0, np.zeros((4, 5, 5))]
)
def test_other_masks_are_not_causal(mask):
    told = []
    watched(encoder_of(1), told)(normal(2, 5, 8), mask)
    assert told == [False]


def test_a_causal_mask_that_is_learned_gets_its_gradient():
    mask = nn.Transformer.generate_square_subsequent_mask(5).requires_grad_()
    encoder_of(1)(normal(2, 5, 8), mask).square().sum().backward()
    assert (mask.grad.numpy() != 0).any()


def test_an_encoder_with_padding_gives_each_sentence_what_it_gets_alone():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(*SIZES, batch_first=True, norm_first=True), 2)
    x, lengths = normal(3, 6, 8), [6, 2, 4]
    padding = np.arange(6) >= np.array(lengths)[:, None]
    out = encoder(x, src_key_padding_mask=padding)
    causal = encoder(x, nn.Transformer.generate_square_subsequent_mask(6), padding)
    for i, n in enumerate(lengths):
        close(out[i, :n], encoder(x[i, :n]))
        close(causal[i, :n], encoder(x[i, :n], is_causal=True))


def test_transformer_by_its_parts():
    model = nn.Transformer(8, 2, 1, 1, 12, 0.0, batch_first=True)
    src, tgt = normal(2, 6, 8), normal(2, 4, 8, seed=1)
    memory = model.encoder(src)
    close(model(src, tgt, tgt_is_causal=True), model.decoder(tgt, memory, tgt_is_causal=True))
    bound = (6 / (8 + 12)) ** 0.5
    assert 0.9 * bound < np.abs(model.encoder.layers[0].linear1.weight.data).max() <= bound
    other = nn.Transformer(8, 2, custom_encoder=model.encoder, custom_decoder=model.decoder)
    assert other.encoder is model.encoder
    close(other(src, tgt), model(src, tgt))


def test_dropout_in_training_only():
    layer, x = nn.TransformerDecoderLayer(8, 2, 12, 0.5, batch_first=True), normal(2, 5, 8)
    assert not np.allclose(layer(x, x).detach().numpy(), layer(x, x).detach().numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x, x).detach().numpy(), layer(x, x).detach().numpy())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.TransformerEncoderLayer(9, 2), "expected num_heads to divide embed_dim, .* embed_dim=9"),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, activation="tanh"),
            "TransformerEncoderLayer: expected activation 'relu', 'gelu' or a function, got 'tanh'",
        ),
        (lambda: nn.TransformerDecoderLayer(8, 2, activation=None), "TransformerDecoderLayer: .* got None"),
        (lambda: nn.TransformerEncoderLayer(*SIZES)(tt.ones(5, 2, 9)), "a query of width 8, got 9"),
        (
            lambda: nn.TransformerDecoderLayer(*SIZES)(tt.ones(5, 2, 8), tt.ones(5, 3, 8)),
            "queries and keys of one batch, got 2 and 3",
        ),
        (
            lambda: nn.Transformer(8, 2, 1, 1, 12)(tt.ones(5, 2, 8), tt.ones(5, 2, 6)),
            r"Transformer: expected a tgt of width d_model=8, got 6 \(tgt \(5, 2, 6\)\)",
        ),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
