"""The losses that are spelled with other ops: values by hand, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt


def test_cross_entropy_of_probabilities_is_that_of_labels_where_they_are_sure():
    logits, labels = tt.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), tt.tensor([1, 2])
    sure = tt.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.2}):
        expected = tt.cross_entropy(logits, labels, **options)
        assert tt.allclose(tt.cross_entropy(logits, sure, **options), expected, atol=1e-6)


def test_cross_entropy_takes_one_sample_or_a_picture():
    logits = tt.tensor([1.0, 2.0, 0.5])
    one = tt.cross_entropy(logits, tt.tensor(1))
    assert one.shape == ()
    picture = logits.reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    labels = tt.ones(2, 4, 5, dtype=tt.int64)
    assert tt.cross_entropy(picture, labels).item() == pytest.approx(one.item())
    assert tt.cross_entropy(picture, labels, reduction="none").shape == (2, 4, 5)


def test_cross_entropy_of_impossible_and_sure_logits():
    assert tt.cross_entropy(tt.tensor([[1000.0, -1000.0]]), tt.tensor([0])).item() == 0.0
    assert tt.cross_entropy(tt.tensor([[1000.0, -1000.0]]), tt.tensor([1])).item() == 2000.0


def test_nll_loss_by_hand():
    x = tt.tensor([[-1.0, -2.0], [-3.0, -4.0]])
    assert tt.nll_loss(x, tt.tensor([0, 1])).item() == 2.5
    assert tt.nll_loss(x, tt.tensor([0, 1]), reduction="none").tolist() == [1.0, 4.0]
    assert tt.nll_loss(x, tt.tensor([0, 1]), weight=tt.tensor([3.0, 1.0])).item() == 7.0 / 4.0
    assert tt.nll_loss(x, tt.tensor([0, 5]), ignore_index=5).item() == 1.0
    assert tt.nll_loss(x[0], tt.tensor(1)).item() == 2.0


def test_kl_divergence_by_hand():
    p, q = tt.tensor([[0.5, 0.5]]), tt.tensor([[0.25, 0.75]])
    expected = 0.5 * math.log(2.0) + 0.5 * math.log(0.5 / 0.75)
    assert tt.kl_div(q.log(), p, reduction="batchmean").item() == pytest.approx(expected)
    assert tt.kl_div(q.log(), p).item() == pytest.approx(expected / 2)
    assert tt.kl_div(q.log(), p.log(), reduction="sum", log_target=True).item() == pytest.approx(expected)
    assert tt.kl_div(q.log(), tt.tensor([[0.0, 1.0]]), reduction="sum").item() == pytest.approx(
        -math.log(0.75)
    )


def test_robust_losses_by_hand():
    x, target = tt.tensor([0.0, 0.0]), tt.tensor([0.5, 3.0])
    assert tt.l1_loss(x, target, reduction="none").tolist() == [0.5, 3.0]
    assert tt.smooth_l1_loss(x, target, reduction="none").tolist() == [0.125, 2.5]
    assert tt.smooth_l1_loss(x, target, beta=0.0).item() == tt.l1_loss(x, target).item()
    assert tt.huber_loss(x, target, reduction="none", delta=2.0).tolist() == [0.125, 4.0]
    assert tt.mse_loss(x, target, reduction="none").tolist() == [0.25, 9.0]


def test_binary_cross_entropy_by_hand():
    p, target = tt.tensor([0.25, 0.5]), tt.tensor([1.0, 0.0])
    losses = [-math.log(0.25), -math.log(0.5)]
    assert tt.binary_cross_entropy(p, target, reduction="none").tolist() == pytest.approx(losses)
    assert tt.binary_cross_entropy(p, target, weight=tt.tensor([2.0, 0.0])).item() == pytest.approx(losses[0])
    assert (
        tt.binary_cross_entropy(tt.tensor([0.0, 1.0]), tt.tensor([1.0, 1.0]), reduction="sum").item() == 100.0
    )
    scores = tt.tensor([-300.0, 0.0, 300.0])
    assert tt.bce_with_logits(scores, tt.tensor([0.0, 1.0, 1.0]), reduction="none").tolist() == pytest.approx(
        [0.0, math.log(2.0), 0.0]
    )


def test_targets_of_another_precision_are_cast():
    x = tt.tensor([0.5, 1.5], requires_grad=True)
    target = tt.tensor(np.array([0.0, 1.0]))
    for loss in (tt.mse_loss, tt.l1_loss, tt.bce_with_logits):
        assert loss(x, target).dtype == tt.float32
    assert tt.cross_entropy(tt.ones(2, 3), tt.tensor([0, 1], dtype=tt.uint8)).dtype == tt.float32


ONE = tt.ones(3, 2)
LABELS = tt.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda: tt.cross_entropy(tt.tensor(1.0), tt.tensor(0)), ValueError, "got a 0-d tensor"),
        (
            lambda: tt.cross_entropy(tt.ones(3, 2, 4), LABELS),
            ValueError,
            r"cross_entropy: expected labels of shape \(3, 4\) for logits \(3, 2, 4\), got \(3,\)",
        ),
        (
            lambda: tt.cross_entropy(ONE, tt.ones(3, 1)),
            TypeError,
            r"expected labels of an integer dtype, .* got float32 of shape \(3, 1\).*\.long\(\)",
        ),
        (
            lambda: tt.cross_entropy(ONE, LABELS > 0),
            TypeError,
            "cross_entropy: expected labels of an integer dtype, .* got bool",
        ),
        (
            lambda: tt.cross_entropy(ONE, tt.ones(3, 2), reduction="all"),
            ValueError,
            "cross_entropy: expected reduction 'mean', 'sum' or 'none', got 'all'",
        ),
        (
            lambda: tt.cross_entropy(tt.ones(0, 2), tt.ones(0, 2)),
            ValueError,
            r"cross_entropy: the batch is empty, got shape \(0,\)",
        ),
        (
            lambda: tt.nll_loss(ONE, tt.tensor([0, 1, 2])),
            IndexError,
            r"nll_loss: expected labels from 0 to 1 \(or ignore_index -100\), got 2 at position 2",
        ),
        (
            lambda: tt.nll_loss(ONE, ONE),
            TypeError,
            "nll_loss: expected labels of an integer dtype, got float32",
        ),
        (
            lambda: tt.nll_loss(ONE, LABELS[:2]),
            ValueError,
            r"nll_loss: expected labels of shape \(3,\) for input \(3, 2\), got \(2,\)",
        ),
        (
            lambda: tt.nll_loss(tt.ones(0, 2), LABELS[:0]),
            ValueError,
            r"nll_loss: the batch is empty, got input of shape \(0, 2\)",
        ),
        (
            lambda: tt.l1_loss(ONE, ONE[:, 0]),
            ValueError,
            r"l1_loss: expected a target of shape \(3, 2\), that of the input, got \(3,\)",
        ),
        (
            lambda: tt.l1_loss(tt.ones(0), tt.ones(0)),
            ValueError,
            r"l1_loss: the batch is empty, got shape \(0,\)",
        ),
        (
            lambda: tt.kl_div(ONE, ONE[:1]),
            ValueError,
            r"kl_div: expected a target of shape \(3, 2\), .* got \(1, 2\)",
        ),
        (
            lambda: tt.kl_div(ONE, ONE, reduction="avg"),
            ValueError,
            "kl_div: expected reduction 'mean', 'sum' or 'none', got 'avg'",
        ),
        (lambda: tt.smooth_l1_loss(ONE, ONE, beta=-1.0), ValueError, r"expected beta not below 0, got -1\.0"),
        (lambda: tt.huber_loss(ONE, ONE, delta=0.0), ValueError, r"expected a positive delta, got 0\.0"),
        (
            lambda: tt.mse_loss(ONE, ONE[:, :1], reduction="none"),
            ValueError,
            r"mse_loss: expected a target of shape \(3, 2\), that of the input, got \(3, 1\)",
        ),
        (
            lambda: tt.mse_loss(LABELS, LABELS),
            TypeError,
            r"mse_loss: expected a floating point input, got int64\. Convert it with \.float\(\)",
        ),
    ],
)
def test_mistakes_are_named(mistake, error, text):
    with pytest.raises(error, match=text):
        mistake()
