"""TokenWindows: samples, batches of the loader, memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.data import DataLoader, Dataset, RandomSampler, Subset
from tinytorch.text import TokenWindows

pytestmark = pytest.mark.nojit_ok


@given(
    tokens=st.lists(st.integers(0, 70_000), min_size=2, max_size=40),
    context=st.integers(1, 12),
    stride=st.integers(1, 14),
    size=st.integers(1, 5),
)
def test_samples_and_batches_are_slices(tokens, context, stride, size):
    context = min(context, len(tokens) - 1)
    windows = TokenWindows(tokens, context, stride)
    starts = range(0, len(tokens) - context, stride)
    assert len(windows) == len(starts)
    expected = [(tokens[s : s + context], tokens[s + 1 : s + context + 1]) for s in starts]
    assert [(x.tolist(), y.tolist()) for x, y in windows] == expected
    batches = list(DataLoader(windows, size))
    assert all(t.dtype == np.int64 and t.numpy().flags.c_contiguous for batch in batches for t in batch)
    assert [pair for x, y in batches for pair in zip(x.tolist(), y.tolist(), strict=True)] == expected


def test_negative_places_and_subsets():
    windows = TokenWindows(range(10), 3)
    assert windows[-1][1].tolist() == [7, 8, 9]
    (batch,) = DataLoader(Subset(windows, [4, -1]), 2)
    assert batch[0].tolist() == [[4, 5, 6], [6, 7, 8]]


def test_batches_are_gathered_and_not_read_sample_by_sample(monkeypatch):
    windows = TokenWindows(np.arange(1000) % 7, 8)
    sampler = RandomSampler(windows, replacement=True, num_samples=40)
    loader = DataLoader(windows, 8, sampler=sampler)
    monkeypatch.setattr(TokenWindows, "gather", lambda self, indices: [tt.tensor(indices)])
    assert [batch[0].shape for batch in loader] == [(8,)] * 5


def test_a_subclass_with_samples_of_its_own_is_asked():
    class Doubled(TokenWindows):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x * 2, y * 2

    (batch,) = DataLoader(Doubled(range(5), 4), 1)
    assert batch[0].tolist() == [[0, 2, 4, 6]]


def test_only_datasets_are_asked_for_what_they_gather():
    class Plants:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return index

        def gather(self, indices):
            raise AssertionError("this gathers something else")

    class Squares(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise AssertionError("one by one")

        def gather(self, indices):
            return [tt.tensor(indices**2)]

    assert [b.tolist() for b in DataLoader(Plants(), 2)] == [[0, 1]]
    assert [b[0].tolist() for b in DataLoader(Squares(), 2)] == [[0, 1]]


def test_evaluation_predicts_every_token_once():
    tokens = np.arange(23)
    windows = TokenWindows(tokens, 5, stride=5)
    predicted = [token for _, y in windows for token in y.tolist()]
    assert predicted == list(range(1, 21))  # two are left over


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (65_536, np.int32), (2**31, np.int64)]
)
def test_the_text_is_kept_small(largest, dtype):
    windows = TokenWindows([0, largest, 1], 2)
    assert windows.tokens.dtype == dtype
    assert windows[0][0].tolist() == [0, largest]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_small_text_is_not_copied(dtype):
    tokens = np.arange(70_000).astype(dtype)
    windows = TokenWindows(tokens, 64)
    assert np.shares_memory(windows.tokens, tokens)
    assert np.shares_memory(windows._windows, tokens)


def test_a_memory_map_stays_one(tmp_path):
    path = tmp_path / "tokens.bin"
    np.arange(100, dtype=np.uint16).tofile(path)
    windows = TokenWindows(np.memmap(path, np.uint16, "r"), 9)
    assert windows[90][1].tolist() == list(range(91, 100))
    assert next(iter(DataLoader(windows, 91)))[0].shape == (91, 9)


def test_samples_may_be_changed():
    tokens = np.zeros(10, np.uint8)
    windows = TokenWindows(tokens, 4)
    x, y = windows[0]
    x.numpy()[:] = 1
    batch = next(iter(DataLoader(windows, 2)))
    batch[0].numpy()[:] = 1
    assert not tokens.any()
    assert not y.numpy()[3]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: TokenWindows(range(4), 4),
            ValueError,
            r"at least 5 tokens, context \+ 1, got 4. Use a longer text or a shorter context",
        ),
        (lambda: TokenWindows([], 1), ValueError, "at least 2 tokens, .* got 0"),
        (lambda: TokenWindows([0.5, 1.0], 1), TypeError, "tokens that are integers, got float64"),
        (lambda: TokenWindows([True, False], 1), TypeError, "tokens that are integers, got bool"),
        (lambda: TokenWindows([0, -1, 2], 1), ValueError, "tokens from 0 up, got -1"),
        (lambda: TokenWindows([[0, 1]], 1), ValueError, r"one dimension, got shape \(1, 2\)"),
        (lambda: TokenWindows(range(4), 0), ValueError, "context to be a whole number from 1 up, got 0"),
        (lambda: TokenWindows(range(4), 2.0), ValueError, "context .* got 2.0"),
        (lambda: TokenWindows(range(4), 2, 0), ValueError, "stride to be a whole number from 1 up, got 0"),
        (lambda: TokenWindows(range(4), 2)[2], IndexError, "index 2 is out of range: expected -2 to 1"),
    ],
)
def test_refusals(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_repr():
    assert repr(TokenWindows(range(9), 4, 2)) == "TokenWindows(9 tokens of uint8, context=4, stride=2)"
