"""`no_grad` and its relatives: nesting, decorating, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinytorch as tt


def recorded() -> bool:
    return (tt.Tensor(np.ones(1), requires_grad=True) * 2.0).requires_grad


def test_modes_nest():
    assert recorded()
    with tt.no_grad():
        assert not recorded()
        with tt.enable_grad():
            assert recorded()
            with tt.set_grad_enabled(False):
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_the_mode_comes_back_after_an_error():
    with pytest.raises(ZeroDivisionError), tt.no_grad():
        _ = 1 / 0
    assert tt.is_grad_enabled()


def test_no_grad_decorates_a_function():
    @tt.no_grad()
    def evaluate(depth: int) -> list[bool]:
        return [recorded(), *(evaluate(depth - 1) if depth else [])]

    assert evaluate(2) == [False] * 3
    assert recorded()


def test_modes_decorate_without_being_called():
    @tt.no_grad
    def silent() -> bool:
        return recorded()

    @tt.inference_mode
    def inferred() -> bool:
        return recorded()

    @tt.enable_grad
    def loud() -> bool:
        return recorded()

    assert not silent()
    assert not inferred()
    with tt.no_grad():
        assert loud()
    assert recorded()


def test_inference_mode_is_no_grad():
    with tt.inference_mode():
        assert not recorded()
        with tt.inference_mode(False):
            assert recorded()
    assert tt.inference_mode()(recorded)() is False


def test_a_decorated_generator_has_the_mode_while_it_runs():
    @tt.no_grad()
    def batches():
        got = yield recorded()
        yield got, recorded()
        return 7

    def outer():
        seen.append((yield from batches()))

    seen: list[int] = []
    items = outer()
    assert next(items) is False
    assert recorded()
    assert items.send("sent") == ("sent", False)
    assert recorded()
    assert list(items) == []
    assert seen == [7]


def test_a_decorated_generator_is_closed_with_its_caller():
    closed = []

    @tt.no_grad()
    def batches():
        try:
            yield 1
        finally:
            closed.append(True)

    items = batches()
    next(items)
    items.close()
    assert closed == [True]


def test_one_block_object_can_be_entered_twice():
    off = tt.no_grad()
    with off, off:
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_works_as_a_statement():
    tt.set_grad_enabled(False)
    try:
        assert not recorded()
    finally:
        tt.set_grad_enabled(True)
    assert recorded()


def test_set_grad_enabled_as_a_decorator_changes_nothing_outside():
    @tt.set_grad_enabled(False)
    def evaluate() -> bool:
        return recorded()

    assert recorded()
    assert not evaluate()
    assert recorded()


def test_each_thread_has_its_own_mode():
    seen = []
    with tt.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tt.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_decorated_function_runs_in_two_threads():
    """Each call restores the mode of its own thread, whatever the order in which they end."""
    entered = {name: threading.Event() for name in ("recording", "silent")}
    leave = {name: threading.Event() for name in entered}
    after = {}

    @tt.no_grad()
    def hold(name: str) -> None:
        entered[name].set()
        leave[name].wait(10)

    def work(name: str) -> None:
        with tt.set_grad_enabled(name == "recording"):
            hold(name)
            after[name] = tt.is_grad_enabled()

    threads = {name: threading.Thread(target=work, args=(name,)) for name in entered}
    for name, thread in threads.items():
        thread.start()
        entered[name].wait(10)
    for name, thread in threads.items():
        leave[name].set()
        thread.join()
    assert after == {"recording": True, "silent": False}
