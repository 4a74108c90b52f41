"""A graph that was cut is an error that says where."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinytorch as tt


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def here(lines: int) -> str:
    """`file:line`, so many lines below the caller's, as a regex."""
    frame = sys._getframe(1)
    return re.escape(f"{frame.f_code.co_filename}:{frame.f_lineno + lines}")


def refusal(loss: tt.Tensor) -> str:
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    return str(caught.value)


def test_nothing_requires_a_gradient():
    text = refusal(tt.Tensor(np.ones(2)).sum())
    assert "reaches no parameter" in text
    assert "no tensor that it was computed from requires a gradient" in text
    assert "requires_grad=True" in text


def test_detach_is_named_with_its_line():
    line = here(1)
    y = (leaf(1.0) * 2.0).detach()
    text = refusal((y * 3.0).exp().sum())
    assert re.search(rf"cut by \.detach\(\) at {line} of the result of 'mul'", text)


def test_data_is_named_with_its_line():
    y = leaf(1.0) * 2.0
    line = here(1)
    values = y.data
    text = refusal((tt.Tensor(values) * 3.0).sum())
    assert re.search(rf"cut by \.data, read at {line}, of the result of 'mul'", text)


def test_a_view_of_data_is_named():
    y = leaf(1.0, 2.0) * 2.0
    assert "cut by .data" in refusal(tt.Tensor(y.data[:1]).sum())


def test_numpy_and_back_is_named():
    y = leaf(1.0) * 2.0
    text = refusal(tt.Tensor(y.detach().numpy()).sum())
    assert "cut by .detach()" in text
    assert "'mul'" in text


def test_data_of_a_leaf_is_named():
    w = leaf(1.0)
    assert re.search(r"cut by \.data, read at .*, of a leaf", refusal(tt.Tensor(w.data).sum()))


def test_wrapping_a_tensor_again_is_named():
    y = leaf(1.0) * 2.0
    line = here(1)
    z = tt.Tensor(y)
    assert re.search(rf"cut by Tensor\(\.\.\.\) at {line} of the result of 'mul'", refusal(z.sum()))


def test_arithmetic_in_numpy_is_suspected():
    y = leaf(1.0) * 2.0
    line = here(1)
    positive = np.maximum(y.data, 0)
    text = refusal(tt.Tensor(positive).sum())
    assert "no tensor that it was computed from requires a gradient" in text
    assert re.search(rf"Did it go through NumPy\? .*\.data, read at {line}, of the result of 'mul'", text)


def test_no_grad_is_named():
    with tt.no_grad():
        y = leaf(1.0) * 2.0
    assert "cut by no_grad() in 'mul'" in refusal((y + 1.0).sum())


def test_an_operation_without_a_gradient_is_named():
    scores = leaf(1.0, 2.0) * 2.0
    assert "'argmax', which has no gradient" in refusal(scores.argmax().float())


def test_a_comparison_is_named():
    scores = leaf(1.0, 2.0) * 2.0
    assert re.search(r"'(gt|greater)', which has no gradient", refusal((scores > 1.0).float().sum()))


def test_the_first_cut_survives_later_operations():
    y = (leaf(1.0) * 2.0).detach()
    other = tt.Tensor(np.ones(1))
    assert "cut by .detach()" in refusal(((other + y).reshape(1) * 2.0).sum())


def test_a_constant_from_detach_does_not_hurt():
    x = leaf(3.0)
    (x * (x * 2.0).detach()).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_grad_says_it_too():
    with pytest.raises(RuntimeError, match=r"grad\(\): .*cut by \.detach\(\)"):
        tt.autograd.grad((leaf(1.0) * 2.0).detach().sum(), leaf(1.0))


def test_numpy_of_a_tensor_with_a_graph_is_refused():
    with pytest.raises(RuntimeError, match=r"requires a gradient.*\.detach\(\)\.numpy\(\)"):
        leaf(1.0).numpy()
    with pytest.raises(RuntimeError, match=r"\.detach\(\)\.numpy\(\)"):
        np.asarray(leaf(1.0))
