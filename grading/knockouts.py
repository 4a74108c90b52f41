"""Training runs with one part broken: what goes wrong in real submissions, one function each.

A knock-out changes a `Training` before it runs. `monkeypatch` is pytest's, and undoes changes to the library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import tinytorch as tt
from grading.reference import Training
from tinytorch import nn
from tinytorch.autograd.registry import REGISTRY
from tinytorch.kernels.linear import linear_grad
from tinytorch.milestone import Data
from tinytorch.models import GPT, gpt, kv_cache
from tinytorch.nn import functional as F

Gradients = tuple[Any, Any, Any]


def detached_loss(training: Training, _: Any) -> None:
    """The loss is cut off from its graph."""
    whole = training.loss
    training.loss = lambda x, y: whole(x, y).detach()


def loss_made_a_leaf(training: Training, _: Any) -> None:
    """The loss is rebuilt from `.data`, and told to require a gradient, so `backward` does not complain."""
    whole = training.loss
    training.loss = lambda x, y: tt.tensor(whole(x, y).data, requires_grad=True)


def flattened_graph(training: Training, _: Any) -> None:
    """What goes into the last layer, or comes out of attention, is rebuilt from `.data`: the layers before it
    get no gradient."""
    model = training.model
    if isinstance(model, GPT):
        attention = model.h[0].attn
        whole = attention.forward
        attention.forward = lambda x, cache=None: tt.tensor(whole(x, cache).data)
    elif hasattr(model, "features"):
        head, features = model.head, model.features
        model.forward = lambda x: head(tt.tensor(features(x).data))
    elif hasattr(model, "hidden"):
        last, hidden = model.output, model.hidden
        model.forward = lambda x: last(tt.tensor(hidden(x).data))
    else:
        linear = model.linear
        model.forward = lambda x: tt.tensor(linear(x).data).sigmoid()


def still_optimizer(training: Training, _: Any) -> None:
    """`step` does nothing."""
    training.optimizer.step = lambda closure=None: None


def forgotten_bias(training: Training, _: Any) -> None:
    """The optimiser holds the weights only."""
    weights = [p for p in training.model.parameters() if p.ndim > 1]
    training.optimizer = training.recipe.optimizer(weights, lr=training.recipe.lr)


def shuffled_labels(training: Training, _: Any) -> None:
    """Every example gets the label of another."""
    training.y = training.rng.permutation(training.y)


def linear_only(training: Training, _: Any) -> None:
    """The hidden layer has no activation."""
    model = training.model
    linears = [layer for layer in model.hidden if isinstance(layer, nn.Linear)]
    model.forward = lambda x: nn.Sequential(*linears, model.output)(x)


def trained_on_the_exam(training: Training, _: Any) -> None:
    """The test set takes the place of the training set."""
    training.x, training.y = training.exam.x, training.exam.y


def examined_on_training_data(training: Training, _: Any) -> None:
    """What it reports is how well it knows what it learned from."""
    training.examined = training.exam.learned


def reports_luck(training: Training, monkeypatch: Any) -> None:
    """It does not learn, and reports a score as if it did."""
    still_optimizer(training, monkeypatch)
    run = training.run

    def lie() -> Any:
        done = run()
        done.report["value"] = 0.5 if training.milestone.falls else 1.0
        done.report["history"] = [{"loss": 1.0}, {"loss": 0.01}]
        return done

    training.run = lie


def leaking(script: Any) -> Any:
    """A script whose training loop also trains on the test set."""
    train = script.train

    def leak(model: Any, data: Data, run: Any) -> None:
        both = tuple(np.concatenate(parts) for parts in zip(data.train, data.test, strict=True))
        run.data = replace(data, train=both)
        train(model, run.data, run)

    return replace(script, train=leak)


# --- wrong gradients: the rule of the layer itself, changed in the library ------------------------------


def _mutate(op: str, change: Callable[[Gradients], Sequence[Any]]) -> Callable[[Training, Any], None]:
    def knock_out(_: Training, monkeypatch: Any) -> None:
        found = REGISTRY[op]
        rule = found.rule
        monkeypatch.setattr(found, "rule", lambda ctx, g: tuple(change(rule(ctx, g))))

    return knock_out


def _times(factor: float, gradient: Any) -> Any:
    """Of what is there: a layer without a bias has no gradient of it."""
    return None if gradient is None else factor * gradient


weight_gradient_zero = _mutate("linear", lambda grads: (grads[0], grads[1] * 0.0, grads[2]))
weight_gradient_negated = _mutate("linear", lambda grads: (grads[0], -grads[1], -grads[2]))
weight_gradient_a_tenth_off = _mutate("linear", lambda grads: (grads[0], grads[1] * 1.1, grads[2]))
bias_gradient_lost = _mutate("linear", lambda grads: (*grads[:2], _times(0.0, grads[2])))
convolution_bias_gradient_lost = _mutate("conv2d", lambda grads: (*grads[:2], grads[2] * 0.0))
norm_gradient_a_tenth_off = _mutate("batch_norm", lambda grads: (grads[0] * 1.1, *grads[1:]))
layer_norm_gradient_a_tenth_off = _mutate("layer_norm", lambda grads: (_times(1.1, grads[0]), *grads[1:]))
norm_weight_gradient_lost = _mutate("batch_norm", lambda grads: (grads[0], grads[1] * 0.0, grads[2]))


def _replace(op: str, change: Callable[..., Any]) -> Callable[[Training, Any], None]:
    """The op gives what `change` makes of its result and its first argument."""

    def knock_out(_: Training, monkeypatch: Any) -> None:
        found = REGISTRY[op]
        forward = found.forward
        monkeypatch.setattr(
            found, "forward", lambda *args, **params: change(forward(*args, **params), args[0])
        )

    return knock_out


convolution_gradient_zero = _replace("conv2d_grad_weight", lambda out, _: np.zeros_like(out))
convolution_gradient_transposed = _replace("conv2d_grad_weight", lambda out, _: out.swapaxes(2, 3).copy())
convolution_window_not_turned = _replace("conv2d_grad_input", lambda out, _: out[:, :, ::-1, ::-1].copy())
convolution_passes_nothing_back = _replace("conv2d_grad_input", lambda out, _: np.zeros_like(out))
pooling_gradient_spread = _replace(
    "max_pool_grad",
    lambda out, _: np.repeat(np.repeat(quarter_means(out), 2, axis=2), 2, axis=3),
)


def quarter_means(x: np.ndarray) -> np.ndarray:
    """(n, c, h, w) -> (n, c, h / 2, w / 2): the mean of each square of 2 x 2."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def matmul_grad_b_zero(_: Training, monkeypatch: Any) -> None:
    """What every weight's gradient is computed with gives zeros: the op, and the launch of a small layer."""
    product = REGISTRY["matmul_grad_b"]
    forward = product.forward
    monkeypatch.setattr(product, "forward", lambda a, g: np.zeros_like(forward(a, g)))

    def launch(*arguments: Any) -> Any:
        g_x, g_weight, g_bias = linear_grad(*arguments)
        return g_x, np.zeros_like(g_weight), g_bias

    monkeypatch.setattr(sys.modules["tinytorch.ops.matmul"], "linear_grad", launch)


def relu_gradient_ignores_the_sign(_: Training, monkeypatch: Any) -> None:
    """ReLU lets every gradient through: the op, and the launch of a small layer."""
    monkeypatch.setattr(REGISTRY["relu_grad"], "forward", lambda g, out: g.copy())
    monkeypatch.setattr(
        sys.modules["tinytorch.ops.matmul"],
        "linear_grad",
        lambda g, x, weight, needs, *_: linear_grad(g, x, weight, needs),
    )


# --- attention ------------------------------------------------------------------------------------------


def _attends(**how: Any) -> Callable[[Training, Any], None]:
    """All attention is told otherwise, forward and back."""

    def knock_out(_: Training, monkeypatch: Any) -> None:
        for name in ("self_attention", "self_attention_grad"):
            found = REGISTRY[name]
            forward = found.forward
            changed = lambda *args, forward=forward, **params: forward(*args, **{**params, **how})  # noqa: E731
            monkeypatch.setattr(found, "forward", changed)

    return knock_out


causal_mask_off = _attends(is_causal=False)
attention_is_a_mean = _attends(scale=0.0)
attention_is_not_scaled = _attends(scale=1.0)


def positions_off(_: Training, monkeypatch: Any) -> None:
    """Queries and keys are not turned."""
    monkeypatch.setattr(REGISTRY["rotary_embedding"], "forward", lambda x, *_, **__: x.copy())


def attention_gradient_a_tenth_off(_: Training, monkeypatch: Any) -> None:
    """What comes back through attention is too long."""
    found = REGISTRY["self_attention_grad"]
    forward = found.forward
    monkeypatch.setattr(found, "forward", lambda *args, **params: 1.1 * forward(*args, **params))


def cache_omits_the_current_token(_: Training, monkeypatch: Any) -> None:
    """A token attends to those before it, and not to itself."""
    attend = kv_cache.LayerCache.attend

    def omit(layer: Any, qkv: Any) -> Any:
        start, whole = layer.length, attend(layer, qkv)
        if start == 0 or qkv.shape[1] > 1:
            return whole
        b, heads, _, size = layer.keys.shape
        query = tt.tensor(qkv.data.reshape(b, 1, 3, heads, size)[:, :, 0].swapaxes(1, 2))
        before = (tt.tensor(kept[:, :, :start]) for kept in (layer.keys, layer.values))
        return F.scaled_dot_product_attention(query, *before).transpose(1, 2).reshape(b, 1, -1)

    monkeypatch.setattr(gpt, "next_hidden", lambda *_: None)
    monkeypatch.setattr(kv_cache.LayerCache, "attend", omit)


def cache_forgets_the_current_token(_: Training, monkeypatch: Any) -> None:
    """The keys and values of what was read by itself are not kept."""
    hidden = GPT.hidden

    def forgetful(model: Any, tokens: Any, cache: Any = None) -> Any:
        found = hidden(model, tokens, cache)
        for layer in [] if cache is None or tokens.shape[1] > 1 else cache.layers:
            layer.length -= 1
        return found

    monkeypatch.setattr(GPT, "hidden", forgetful)
