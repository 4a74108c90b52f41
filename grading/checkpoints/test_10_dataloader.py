"""10 Data loading: TensorDataset and DataLoader."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

X, Y = naive.numbers(10, 3), np.arange(10)


def batches(lib: Names, dataset: Any = None, **options: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    dataset = lib.TensorDataset(lib.tensor(X), lib.tensor(Y)) if dataset is None else dataset
    loader = lib.DataLoader(dataset, **options)
    return [(numbers(x), numbers(y)) for x, y in loader]


def labels(found: list[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    return [int(label) for _, y in found for label in y]


class Squares:
    """A data set of one's own: all that is asked for is a length and items."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.array([index, index**2], np.float64), index


def test_a_data_set_has_a_length_and_items(lib: Names):
    dataset = lib.TensorDataset(lib.tensor(X), lib.tensor(Y))
    holds(len(dataset) == 10, f"len(TensorDataset): expected 10, got {len(dataset)}", "One for each example.")
    x, y = dataset[4]
    close("dataset[4]", x, X[4], "The same place of every tensor.")
    close("dataset[4]", y, 4, "The same place of every tensor.")


def test_batches_have_their_size_and_the_last_what_is_left(lib: Names):
    got = [len(x) for x, _ in batches(lib, batch_size=4)]
    holds(got == [4, 4, 2], f"sizes of batches of 4 from 10: expected [4, 4, 2], got {got}",
          "The last examples are data, too.")  # fmt: skip


def test_without_shuffling_the_order_stays(lib: Names):
    found = batches(lib, batch_size=4)
    holds(
        labels(found) == list(range(10)),
        f"labels in order: expected 0 to 9, got {labels(found)}",
        "Row by row.",
    )
    close(
        "all batches in a row", np.concatenate([x for x, _ in found]), X, "Stack examples along dimension 0."
    )


def test_the_last_batch_can_be_dropped(lib: Names):
    got = [len(x) for x, _ in batches(lib, batch_size=4, drop_last=True)]
    holds(got == [4, 4], f"sizes with drop_last: expected [4, 4], got {got}", "Only whole batches.")


def test_a_loader_knows_how_many_batches_it_has(lib: Names):
    dataset = lib.TensorDataset(lib.tensor(X), lib.tensor(Y))
    for drop, expected in ((False, 3), (True, 2)):
        got = len(lib.DataLoader(dataset, batch_size=4, drop_last=drop))
        holds(
            got == expected,
            f"len(DataLoader) of 10 by 4, drop_last={drop}: expected {expected}, got {got}",
            "Round up, or down where the last is dropped.",
        )


def test_shuffling_takes_everyone_once(lib: Names):
    lib.seed()
    got = labels(batches(lib, batch_size=4, shuffle=True))
    holds(
        sorted(got) == list(range(10)),
        f"labels of an epoch: expected each of 0 to 9 once, got {sorted(got)}",
        "Draw an order, not examples.",
    )


def test_every_epoch_has_an_order_of_its_own(lib: Names):
    lib.seed()
    dataset = lib.TensorDataset(lib.tensor(np.arange(50.0)), lib.tensor(np.arange(50)))
    loader = lib.DataLoader(dataset, batch_size=10, shuffle=True)
    first, second = ([int(i) for _, y in loader for i in numbers(y)] for _ in range(2))
    holds(first != list(range(50)), "labels with shuffle=True: expected another order, got the data's own",
          "Shuffle before cutting into batches.")  # fmt: skip
    holds(first != second, "two epochs: expected two orders, got the same twice", "Draw in __iter__.")


def test_examples_keep_their_labels(lib: Names):
    for x, y in batches(lib, batch_size=3, shuffle=True):
        close("examples beside their labels", x, X[y], "One order for all tensors.")


def test_any_data_set_will_do(lib: Names):
    found = batches(lib, Squares(), batch_size=2)
    close(
        "batches of one's own data set",
        np.concatenate([x for x, _ in found]),
        [[i, i * i] for i in range(5)],
        "Ask for len(dataset) and dataset[i], and for nothing else.",
    )
