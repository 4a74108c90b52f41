"""The pool of buffers: aligned, reused when free, never while somebody holds a view, bounded when idle."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from tinytorch.kernels import memory

pytestmark = pytest.mark.nojit_ok

F32 = np.dtype(np.float32)
LARGE = (256, 256)


@pytest.fixture(autouse=True)
def empty_pool() -> None:
    gc.collect()
    memory.empty_cache()


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.mark.parametrize("shape", [LARGE, (100, 1000), (32769,), (3, 5, 7, 1000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_large_arrays_are_aligned_contiguous_and_writeable(shape: tuple[int, ...], dtype: type) -> None:
    array = memory.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    if array.nbytes >= memory.SMALLEST:
        assert address(array) % memory.ALIGNMENT == 0


def test_a_dropped_array_is_handed_out_again() -> None:
    first = memory.empty(LARGE, F32)
    place = address(first)
    del first
    assert address(memory.empty(LARGE, F32)) == place


@pytest.mark.parametrize(
    "view",
    [lambda a: a[3:], lambda a: a.T, lambda a: a.reshape(-1)[::2][5:], lambda a: memoryview(a)],
    ids=["slice", "transpose", "slice of a slice", "memoryview"],
)
def test_an_array_is_not_handed_out_while_a_view_of_it_lives(view) -> None:
    array = memory.empty(LARGE, F32)
    place, kept = address(array), view(array)
    del array
    others = [memory.empty(LARGE, F32) for _ in range(3)]
    assert place not in [address(other) for other in others]
    del kept
    assert address(memory.empty(LARGE, F32)) == place


def test_arrays_that_live_together_do_not_overlap() -> None:
    arrays = [memory.empty(LARGE, F32) for _ in range(8)]
    for i, array in enumerate(arrays):
        array.fill(i)
    assert [array.min() for array in arrays] == [array.max() for array in arrays] == list(range(8))


def test_rounding_wastes_at_most_an_eighth() -> None:
    for elements in (10_000, 12_345, 65_537, 131_071, 1_000_003):
        memory.empty_cache()
        before = memory.reserved_bytes()
        array = memory.empty((elements,), F32)
        assert array.nbytes <= memory.reserved_bytes() - before <= array.nbytes * 9 // 8


def test_idle_blocks_of_other_sizes_are_dropped_before_the_pool_grows() -> None:
    for size in range(1, 9):
        memory.empty((size << 22,), F32)
    assert memory.reserved_bytes() <= 4 * memory.IDLE_LIMIT  # the last two


def test_one_array_more_at_the_end_of_a_step_does_not_cost_the_step_its_blocks() -> None:
    def step() -> None:
        kept = [memory.empty(((9 + i) << 20,), F32) for i in range(4)]  # more than IDLE_LIMIT in all
        places.append([address(array) for array in kept])

    places: list[list[int]] = []
    for end in range(1, 4):
        step()
        for extra in (0, 1):
            memory.empty(((2 * end + extra) << 15,), F32)
    assert places[0] == places[1] == places[2]


def test_empty_cache_gives_back_what_is_idle_and_keeps_what_is_used() -> None:
    kept = memory.empty(LARGE, F32)
    memory.empty((1 << 20,), F32)
    memory.empty_cache()
    assert kept.nbytes <= memory.reserved_bytes() < 2 * kept.nbytes


def test_two_threads_never_get_the_same_buffer() -> None:
    clashes = []

    def work(mark: int) -> None:
        for _ in range(300):
            array = memory.empty(LARGE, F32)
            array[0], array[-1] = mark, mark
            if (array[0] != mark).any() or (array[-1] != mark).any():
                clashes.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []


def test_zeros_are_zero_even_in_a_used_buffer() -> None:
    memory.empty(LARGE, F32).fill(7)
    assert not memory.zeros(LARGE, F32).any()
