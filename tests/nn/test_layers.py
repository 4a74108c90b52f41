"""Layers without PyTorch beside them: values by hand, shapes, defaults and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok


def test_linear_by_hand():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[2.0, 3.0]]), "bias": np.array([1.0])})
    assert layer(tt.tensor([[1.0, 1.0], [0.0, 2.0]])).tolist() == [[6.0], [7.0]]
    assert layer(tt.tensor([1.0, 1.0])).tolist() == [6.0]


def test_linear_starts_as_in_pytorch():
    tt.manual_seed(0)
    layer = nn.Linear(100, 200)
    for values in (layer.weight.data, layer.bias.data):
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.09
        assert abs(values.mean()) < 0.01
    assert layer.weight.dtype == np.float32
    tt.manual_seed(0)
    assert np.array_equal(nn.Linear(100, 200).weight.data, layer.weight.data)


def test_linear_options():
    layer = nn.Linear(3, 2, bias=False, dtype=np.float64)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert layer.weight.dtype == np.float64
    assert repr(layer) == "Linear(in_features=3, out_features=2, bias=False)  # 6 parameters"
    assert nn.Linear(0, 2)(tt.ones(3, 0)).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("sizes", [(-1, 2), (2.5, 2), (2, True), ("2", 2)])
def test_linear_refuses_sizes(sizes):
    with pytest.raises(ValueError, match=r"Linear: expected (in|out)_features to be a whole number"):
        nn.Linear(*sizes)


def test_linear_refuses_another_width():
    with pytest.raises(ValueError, match=r"linear: expected an input with 3 features .* got 4"):
        nn.Linear(3, 2)(tt.ones(5, 4))


def test_identity_takes_anything():
    x = tt.ones(2)
    assert nn.Identity(54, unused=True)(x) is x


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Flatten(0), (2, 3, 4), (24,)),
        (nn.Flatten(0, 1), (2, 3, 4), (6, 4)),
        (nn.Flatten(), (0, 3, 4), (0, 12)),
        (nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4)),
        (nn.Unflatten(-1, (-1, 2)), (2, 12), (2, 6, 2)),
    ],
)
def test_shapes(layer, before, after):
    x = tt.ones(*before)
    assert layer(x).shape == after
    assert np.shares_memory(layer(x).numpy(), x.numpy()) or x.numpy().size == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.Flatten(2, 1)(tt.ones(2, 3, 4)), ValueError, "start_dim=2 lies behind end_dim=1"),
        (
            lambda: nn.Flatten(3)(tt.ones(2, 3)),
            IndexError,
            r"dim 3 is out of range for an input of shape \(2, 3\)",
        ),
        (lambda: nn.Unflatten(1, (5, 2))(tt.ones(2, 12)), ValueError, r"whose product is 12.* got \(5, 2\)"),
        (lambda: nn.Unflatten(1, (-1, -1))(tt.ones(2, 12)), ValueError, r"whose product is 12"),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: expected a probability p from 0 to 1, got 1.5"),
        (lambda: nn.GELU("fast"), ValueError, "expected approximate 'none' or 'tanh', got 'fast'"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx to be one of 3 rows, got 3"),
        (lambda: nn.Embedding(3, 2)(tt.tensor([3])), IndexError, "3"),
        (
            lambda: nn.MSELoss("avg"),
            ValueError,
            "MSELoss: expected reduction 'mean', 'sum', 'none', got 'avg'",
        ),
        (lambda: nn.KLDivLoss("x"), ValueError, "'mean', 'batchmean', 'sum', 'none', got 'x'"),
        (lambda: nn.HuberLoss(delta=0), ValueError, "HuberLoss: expected delta above 0, got 0"),
        (lambda: nn.SmoothL1Loss(beta=-1), ValueError, "expected beta from 0 up, got -1"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing from 0 to 1, got 2"),
    ],
)
def test_what_layers_refuse(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_dropout_only_in_training():
    tt.manual_seed(0)
    layer, x = nn.Dropout(0.25), tt.ones(10_000)
    values, counts = np.unique(layer(x).numpy(), return_counts=True)
    assert values.tolist() == pytest.approx([0.0, 1 / 0.75])
    assert counts[0] == pytest.approx(2500, abs=150)
    assert layer.eval()(x) is x


def test_dropout_lets_gradients_through_where_it_let_values_through():
    tt.manual_seed(1)
    x = tt.ones(100, requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())


def test_embedding_and_its_padding():
    tt.manual_seed(0)
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert not layer.weight.data[4].any()
    indices = tt.tensor([[0, 4], [0, 2]])
    out = layer(indices)
    assert np.array_equal(out.detach().numpy(), layer.weight.data[indices.numpy()])
    out.sum().backward()
    assert layer.weight.grad.numpy()[:, 0].tolist() == [2.0, 0.0, 1.0, 0.0, 0.0]
    assert repr(layer) == "Embedding(5, 3, padding_idx=4)  # 15 parameters"


def test_embedding_from_pretrained():
    vectors = tt.arange(6).reshape(3, 2).to(np.float32)
    layer = nn.Embedding.from_pretrained(vectors)
    assert not layer.weight.requires_grad
    assert layer(tt.tensor(1)).tolist() == [2.0, 3.0]
    assert nn.Embedding.from_pretrained(vectors, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"expected vectors of shape \(rows, width\), got \(2,\)"):
        nn.Embedding.from_pretrained(tt.ones(2))


def test_losses_keep_their_weights_as_buffers():
    loss = nn.CrossEntropyLoss(weight=tt.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype == np.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    assert list(nn.BCEWithLogitsLoss(pos_weight=tt.ones(1)).state_dict()) == ["pos_weight"]


def test_one_hot_and_normalize():
    one_hot = nn.functional.one_hot(tt.tensor([[0], [2]]), 4)
    assert one_hot.tolist() == [[[1, 0, 0, 0]], [[0, 0, 1, 0]]]
    assert one_hot.dtype == np.int64
    with pytest.raises(IndexError, match="expected class numbers from 0 to 1, got 0 to 2"):
        nn.functional.one_hot(tt.tensor([0, 2]), 2)
    with pytest.raises(TypeError, match="class numbers of an integer dtype, got float32"):
        nn.functional.one_hot(tt.ones(2))
    rows = nn.functional.normalize(tt.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert np.allclose(rows.numpy(), [[0.6, 0.8], [0.0, 0.0]])


def test_activations_show_their_settings():
    shown = [repr(m) for m in (nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.Softmax(dim=1), nn.GELU("tanh"))]
    assert shown == ["ReLU()", "LeakyReLU(negative_slope=0.2)", "Softmax(dim=1)", "GELU(approximate='tanh')"]


def test_gain_and_fans():
    gain = nn.init.calculate_gain
    assert gain("linear") == gain("conv2d") == gain("sigmoid") == 1.0
    assert gain("tanh") == 5 / 3
    assert gain("relu") == math.sqrt(2)
    assert gain("leaky_relu", 3.0) == math.sqrt(0.2)
    with pytest.raises(ValueError, match="got 'cube'"):
        gain("cube")
