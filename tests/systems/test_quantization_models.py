"""Whole models in int8: what they lose, who hands codes to whom, what stays float32, what is refused."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.kernels._jit import JIT
from tinytorch.models import GPT, MLP, GPTConfig, LeNet, SmallResNet
from tinytorch.systems import file_bytes
from tinytorch.systems.quantization import (
    MinMaxObserver,
    QuantizedConv2d,
    QuantizedLinear,
    UncalibratedModel,
    UnsupportedLayer,
    calibrate,
    convert,
    prepare,
    quantize_dynamic,
    quantize_static,
)
from tinytorch.systems.quantization._codes import Codes
from tinytorch.text import generate

pytestmark = pytest.mark.nojit_ok


@pytest.fixture(autouse=True)
def seeded():
    tt.manual_seed(0)


def off(one, other, x):
    """The largest difference of two models' results, as a share of the largest result."""
    with tt.no_grad():
        a, b = one(x).numpy(), other(x).numpy()
    return np.abs(a - b).max() / np.abs(a).max()


def outputs(model, x):
    """What kind of tensor each quantised layer returned."""
    found, handles = {}, []
    for name, module in model.named_modules():
        if isinstance(module, (QuantizedLinear, QuantizedConv2d)):
            handles.append(
                module.register_forward_hook(lambda m, a, out, name=name: found.update({name: type(out)}))
            )
    model(x)
    for handle in handles:
        handle.remove()
    return found


# --- chains ---------------------------------------------------------------------------------------------


def test_an_mlp_hands_codes_on():
    model, x = MLP(12, (8, 6), 3), tt.rand(20, 3, 4)
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    small = quantize_static(model, [x])
    assert off(model, small, x) < 0.03
    assert outputs(small, x) == {"hidden.1": Codes, "hidden.3": Codes, "output": tt.Tensor}
    assert [name for name, _ in small.hidden.named_children()] == ["0", "1", "3"]
    assert small.report == []
    assert type(model.hidden[1]) is nn.Linear
    assert all(np.array_equal(t.data, before[name]) for name, t in model.state_dict().items())


def test_a_lenet_hands_codes_on_across_its_parts():
    model, x = LeNet(1, 8, channels=(4, 6), hidden=8), tt.rand(5, 1, 8, 8)
    small = quantize_static(model, [x])
    assert off(model, small, x) < 0.03
    assert outputs(small, x) == {
        "features.0": Codes, "features.3": Codes, "head.1": Codes, "head.3": tt.Tensor
    }  # fmt: skip
    assert small.features[1].out_padding == (1, 1)
    assert small.features[0].out_padding == (0, 0)
    kinds = {"codes": "int8", "scale": "float32", "bias": "float32", "activation": "float32"}
    assert {name: str(t.dtype) for name, t in small.state_dict().items()} == {
        f"{layer}.{name}": kind for layer in ("features.0", "features.3", "head.1", "head.3")
        for name, kind in kinds.items()
    }  # fmt: skip


def test_a_residual_network_adds_up_in_float32():
    model, x = SmallResNet(3, (4, 8, 8)), tt.rand(4, 3, 8, 8)
    model(x)
    model.eval()
    small = quantize_static(model, [x])
    assert off(model, small, x) < 0.06
    found = outputs(small, x)
    assert found["features.0"] is Codes  # pooled, and taken by the next convolution
    assert found["features.4"] is tt.Tensor  # pooled, and added to what the block makes of it
    assert found["features.8.layers.0"] is Codes
    assert found["features.8.layers.3"] is tt.Tensor
    assert small.report == []


def test_two_layers_may_take_the_same_codes():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.left, self.right = nn.Linear(6, 5), nn.Linear(5, 2), nn.Linear(5, 3)
            self.act = nn.ReLU()

        def forward(self, x):
            h = self.act(self.first(x))
            return self.left(h), self.right(h)

    model, x = Fork(), tt.rand(9, 6)
    small = quantize_static(model, [x])
    assert outputs(small, x)["first"] is Codes
    assert type(small.act) is nn.Identity
    for i in range(2):
        assert off(lambda v, i=i: model(v)[i], lambda v, i=i: small(v)[i], x) < 0.03


class Shared(nn.Module):
    """One ReLU behind several layers, one of which is no quantised one."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.act = nn.Linear(6, 6), nn.Linear(6, 6), nn.Tanh(), nn.ReLU()

    def forward(self, x):
        return self.b(self.act(self.c(self.act(self.a(x)))))


def test_an_activation_that_is_shared_stays():
    model, x = Shared(), tt.randn(9, 6)
    small = quantize_static(model, [x])
    assert type(small.act) is nn.ReLU
    assert off(model, small, x) < 0.03


def test_a_layer_that_is_shared_is_one():
    layer = nn.Linear(4, 4)
    model, x = nn.Sequential(layer, nn.Tanh(), layer), tt.randn(9, 4)
    small = quantize_static(model, [x])
    assert small[0] is small[2]
    assert off(model, small, x) < 0.03


def test_what_the_model_returns_or_an_operation_takes_is_float32():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            h = self.a(x)
            return h, self.b(h), h.mean()

    model, x = Looks(), tt.randn(9, 4)
    small = quantize_static(model, [x])
    assert outputs(small, x) == {"a": tt.Tensor, "b": tt.Tensor}


@pytest.mark.parametrize(
    "between",
    [[nn.Dropout(0.5)], [nn.Identity(), nn.ReLU()], [nn.MaxPool2d(2), nn.Dropout2d(), nn.ReLU()]],
    ids=str,
)
def test_codes_go_through(between):
    model = nn.Sequential(nn.Conv2d(2, 4, 3), *between, nn.Conv2d(4, 2, 3, padding=1), nn.ReLU()).eval()
    x = tt.rand(3, 2, 7, 7)
    small = quantize_static(model, [x])
    assert list(outputs(small, x).values()) == [Codes, tt.Tensor]
    assert off(model, small, x) < 0.05


@pytest.mark.parametrize(
    "between",
    [
        [nn.MaxPool2d(2), nn.ReLU()],
        [nn.AdaptiveMaxPool2d(1)], [nn.AdaptiveMaxPool2d(2)], [nn.MaxPool2d(3, 2, padding=1)],
        [nn.MaxPool2d(2, ceil_mode=True)],
        [nn.AvgPool2d(2)], [nn.Sigmoid()], [nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2)],
    ],
    ids=str,
)  # fmt: skip
def test_what_may_stand_between(between):
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), *between, nn.Conv2d(4, 2, 3, padding=1)).eval()
    x = tt.rand(3, 2, 7, 7)
    assert off(model, quantize_static(model, [x]), x) < 0.05


def test_a_forward_that_does_otherwise_later_still_gets_numbers():
    """Codes are a tensor: what convert() did not see costs time, and is right."""

    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.lower = nn.Linear(4, 4), nn.Linear(4, 2), False

        def forward(self, x):
            h = self.a(x)
            return self.b(h * 0.9 if self.lower else h)

    model, x = Sometimes(), tt.randn(9, 4)
    small = quantize_static(model, [x])
    assert outputs(small, x)["a"] is Codes
    model.lower = small.lower = True
    assert off(model, small, x) < 0.05


def test_a_single_layer_and_batches_of_other_sizes():
    model = nn.Linear(5, 3)
    small = quantize_static(model, [tt.randn(8, 5), tt.randn(3, 5)])
    assert type(small) is QuantizedLinear
    for n in (1, 7, 0):
        assert small(tt.zeros(n, 5)).shape == (n, 3)


def test_one_thread_and_two_give_the_same_bits():
    if tt.get_num_threads() < 2 or not JIT:
        pytest.skip("this process has one thread")
    small, x, bits = quantize_static(LeNet(3, 16), [tt.rand(2, 3, 16, 16)]), tt.rand(8, 3, 16, 16), []
    most = tt.get_num_threads()
    try:
        for n in (1, 2):
            tt.set_num_threads(n)
            bits.append(small(x).numpy().tobytes())
    finally:
        tt.set_num_threads(most)
    assert bits[0] == bits[1]


# --- saving ---------------------------------------------------------------------------------------------


def test_saving_and_loading(tmp_path):
    x = tt.rand(6, 1, 8, 8)
    first, other = (quantize_static(LeNet(1, 8, (4, 6), 8), [x * s]) for s in (1.0, 2.0))
    assert off(first, other, x) > 0.1
    tt.save(first.state_dict(), tmp_path / "small.safetensors")
    other.load_state_dict(tt.load(tmp_path / "small.safetensors"))
    assert np.array_equal(other(x).numpy(), first(x).numpy())
    twin = copy.deepcopy(first)
    assert np.array_equal(twin(x).numpy(), first(x).numpy())
    assert twin.features[0]._behind[0] is twin.features[2] is not first.features[2]


@pytest.mark.parametrize(
    "model",
    [MLP(64, (128, 64), 10), LeNet(1, 8, channels=(16, 32), hidden=64)],
    ids=lambda model: type(model).__name__,
)
def test_the_file_is_three_and_a_half_times_smaller(model):
    small = quantize_static(model, [tt.rand(4, 1, 8, 8)])
    assert file_bytes(model) >= 3.5 * file_bytes(small)


# --- calibration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("observer", ["minmax", "moving", "percentile", "mse", partial(MinMaxObserver, True)])
def test_observers(observer):
    model, x = MLP(8, (8,), 3), tt.randn(30, 8)
    batches = [(x, None), [x.numpy()], x]
    assert off(model, quantize_static(model, batches, observer), x) < 0.05


def test_only_calibration_changes_ranges():
    prepared = prepare(MLP(8, (8,), 3))
    prepared(tt.ones(1, 8))
    assert not prepared.output.observer.seen
    assert calibrate(prepared, [tt.ones(2, 8)]) is prepared
    high = prepared.hidden[1].observer.high.item()
    prepared(tt.full((1, 8), 9.0))
    assert prepared.hidden[1].observer.high.item() == high == 1.0


def test_without_calibration():
    prepared = prepare(MLP(8, (8,), 3))
    with pytest.raises(
        UncalibratedModel,
        match=r"convert: expected a calibrated model, but no data was seen by 2 layers: hidden.1, output. "
        r"Run calibrate\(prepared, batches\) first",
    ):
        convert(prepared)
    with pytest.raises(ValueError, match="calibrate: expected at least one batch, got none"):
        calibrate(prepared, [])
    with pytest.raises(
        ValueError, match=r"calibrate: expected a model made by prepare\(\) or prepare_qat\(\)"
    ):
        calibrate(MLP(8, (8,), 3), [tt.ones(1, 8)])
    with pytest.raises(ValueError, match="expected an observer among"):
        prepare(MLP(8, (8,), 3), "best")


def test_a_branch_that_calibration_did_not_reach_is_named():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(UncalibratedModel, match="no data was seen by 1 layers: spare"):
        quantize_static(Spare(), [tt.ones(1, 4)])


# --- what stays in float32 ------------------------------------------------------------------------------


def test_what_stays_is_listed_by_name_with_the_reason():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.Flatten(),
        nn.Linear(2, 2),
    ).eval()  # fmt: skip
    x = tt.rand(3, 2, 3, 3)
    small = quantize_static(model, [x])
    assert [str(kept) for kept in small.report] == [
        "0 (Conv2d): int8 convolutions have one group, not 2",
        "2 (BatchNorm2d): no layer directly before it, in the same Sequential, could take it in",
    ]
    assert off(model, small, x) < 0.05
    with pytest.raises(
        UnsupportedLayer, match=r"got 1 that cannot:\n  0 \(Conv2d\): int8 .*\nLeave out strict"
    ):
        quantize_static(model, [x], strict=True)


def test_a_maximum_before_a_norm_with_a_negative_scale_stays_right():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )
    model(tt.randn(8, 2, 6, 6))
    model[2].weight._data[1] = -0.7
    x = tt.randn(5, 2, 6, 6)
    small = quantize_static(model.eval(), [x])
    assert type(small[2]).__name__ == "ChannelAffine"
    assert off(model, small, x) < 0.03


class Doubled(nn.Linear):
    def forward(self, input):
        return super().forward(input) * 2


@pytest.mark.parametrize("quantise", [lambda m, x: quantize_static(m, [x]), lambda m, x: quantize_dynamic(m)])
def test_layers_that_may_do_something_else_stay(quantise):
    model = nn.Sequential(Doubled(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[2].register_forward_hook(lambda module, arguments, output: output + 1)
    x = tt.randn(5, 4)
    small = quantise(model, x)
    assert [type(layer) for layer in small] == [Doubled, QuantizedLinear, nn.Linear]
    assert [kept.layer for kept in small.report] == ["0", "2"]
    assert "Doubled may compute something else" in small.report[0].why
    assert "it has a hook" in small.report[1].why
    assert off(model, small, x) < 0.03


# --- dynamic --------------------------------------------------------------------------------------------


def test_dynamic_quantisation():
    model = MLP(12, (8, 6), 3).train()
    small = quantize_dynamic(model)
    assert model.training
    assert not small.training
    assert off(model, small, tt.randn(20, 12)) < 0.03
    assert small.report == []
    first = quantize_dynamic(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4)), layers=(nn.Linear,))
    assert [str(kept) for kept in first.report] == ["0 (Embedding): Embedding was not asked for in layers"]


def test_dynamic_quantisation_refuses():
    with pytest.raises(
        TypeError, match="expected layers among Linear, MultiheadAttention, Embedding, got Conv2d"
    ):
        quantize_dynamic(nn.Conv2d(1, 1, 1), layers=(nn.Conv2d,))
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.LayerNorm(2), nn.Linear(2, 2))
    with pytest.raises(UnsupportedLayer, match=r"0 \(Conv2d\): there is no int8 kind of this layer"):
        quantize_dynamic(model, strict=True)
    assert [kept.layer for kept in quantize_dynamic(model).report] == ["0", "2"]


def test_an_encoder_with_attention():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    small = quantize_dynamic(layer, strict=True)
    assert off(layer, small, tt.randn(2, 5, 8)) < 0.05
    assert {kept.kind for kept in small.report} == {"LayerNorm"}


# --- language models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_gpt(positions):
    model = GPT(GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=16, positions=positions))
    for parameter in model.parameters():
        parameter.data = parameter.data * (8 if parameter.ndim == 2 else 1)
    small = quantize_dynamic(model, strict=True)
    tokens = tt.tensor([[1, 5, 3, 9, 10, 0], [2, 2, 8, 7, 1, 4]])
    assert off(model, small, tokens) < 0.1
    float_names = {name.split(".")[-2] for name, _ in small.named_parameters()}
    assert float_names == {"ln_1", "ln_2", "ln_f"}
    with tt.no_grad():
        whole, cache = small(tokens).numpy(), small.new_cache(2)
        assert cache.modules is None
        steps = [small(tokens[:, i : i + 1], cache).numpy() for i in range(6)]
    np.testing.assert_allclose(np.concatenate(steps, 1), whole, rtol=1e-4, atol=1e-4)
    assert len(generate(small, [[1, 2]], 3, temperature=0.0)[0]) == 5


def test_a_gpt_with_static_scales():
    model = GPT(GPTConfig(11, 8, n_layer=1, n_head=2, n_embd=16))
    tokens = tt.tensor([[1, 5, 3, 9], [2, 2, 8, 7]])
    small = quantize_static(model, [tokens])
    assert off(model, small, tokens) < 0.1
    assert type(small.h[0].mlp.c_fc) is QuantizedLinear
    assert type(small.wte) is nn.Embedding
