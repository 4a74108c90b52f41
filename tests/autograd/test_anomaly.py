"""`detect_anomaly` names the operation that made a NaN, and the line that called it."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinytorch as tt


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def line_after(lines: int = 1) -> str:
    """`file:line` of a line after the caller's, as a regex."""
    frame = sys._getframe(1)
    return re.escape(f"{frame.f_code.co_filename}:{frame.f_lineno + lines}")


def test_forward_names_the_op_the_element_and_the_line():
    x = leaf(1.0, -1.0)
    line = line_after(2)
    with tt.detect_anomaly(), pytest.raises(RuntimeError) as caught:
        x.log()
    text = str(caught.value)
    assert re.search(rf"'log' made a NaN at index \(1,\) of its result, shape \(2,\), called at {line}", text)
    assert "none of its arguments held one" in text


def test_forward_says_when_the_nan_came_in():
    expected = r"'add'.*its arguments \[1\] held NaN already"
    with tt.detect_anomaly(), pytest.raises(RuntimeError, match=expected):
        leaf(1.0) + tt.Tensor(np.array([np.nan]))


def test_backward_names_the_op_and_the_line_of_its_forward():
    with tt.detect_anomaly():
        x = leaf(0.0, 1.0)
        line = line_after()
        y = x.sqrt()
        loss = (y * 0.0).sum()
        with pytest.raises(RuntimeError) as caught:
            loss.backward()
    text = str(caught.value)
    assert "gradient of 'sqrt' made a NaN for its argument 0, shape (2,)" in text
    assert re.search(f"called at {line}", text)
    assert "came in held NaN already" not in text


def test_backward_says_when_the_nan_came_in():
    with tt.detect_anomaly(), pytest.raises(RuntimeError, match="gradient that came in held NaN already"):
        (leaf(1.0) * 2.0).backward(tt.Tensor(np.array([np.nan])))


def test_an_operation_from_before_the_mode_has_no_line():
    y = (leaf(0.0).sqrt() * 0.0).sum()
    with tt.detect_anomaly(), pytest.raises(RuntimeError, match="called at a line before the mode was on"):
        y.backward()


def test_without_the_mode_nan_goes_through():
    assert np.isnan(leaf(-1.0).log().item())


def test_infinity_is_not_an_anomaly():
    with tt.detect_anomaly():
        assert leaf(0.0).log().item() == -np.inf


def test_the_mode_ends_with_its_block():
    with pytest.raises(RuntimeError), tt.detect_anomaly():
        leaf(-1.0).log()
    assert np.isnan(leaf(-1.0).log().item())
