"""Data that no submission has seen: fresh points, and digits turned, mirrored, and with other labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinytorch import datasets


@dataclass(frozen=True)
class Data:
    """train_y and test_y: int64. original: the test images as a person knows them; names: of the classes;
    turned: which of an original's pixels each pixel is."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    names: tuple[str, ...]
    original: np.ndarray | None = None
    turned: np.ndarray | None = None


def points(name: str, examples: int, questions: int, seed: int) -> Data:
    """Points of a generator, the test points from another seed than the training points."""
    make = getattr(datasets, name)
    (train_x, train_y), (test_x, test_y) = make(examples, seed=2 * seed), make(questions, seed=2 * seed + 1)
    return Data(train_x, train_y[:, 0].astype(np.int64), test_x, test_y[:, 0].astype(np.int64), ("no", "yes"))


def digits(seed: int, noise: float) -> Data:
    """The 8×8 digits, turned or mirrored in one of eight ways, with a little noise, their labels exchanged.

    What was trained at home does not know this exchange, and a table of known images finds none of these.
    """
    rng = np.random.default_rng(seed)
    data = datasets.digits()
    exchanged = rng.permutation(10)
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    turned = np.rot90(np.arange(64).reshape(8, 8), turns)
    turned = (turned[:, ::-1] if mirrored else turned).reshape(64)

    def seen(images: np.ndarray) -> np.ndarray:
        x = images.astype(np.float32).reshape(-1, 64)[:, turned] / np.float32(data.max_value)
        return (x + rng.normal(0, noise, x.shape)).astype(np.float32).reshape(-1, 1, 8, 8)

    inverse = np.argsort(exchanged)
    return Data(
        seen(data.train_images),
        exchanged[data.train_labels].astype(np.int64),
        seen(data.test_images),
        exchanged[data.test_labels].astype(np.int64),
        tuple(str(inverse[label]) for label in range(10)),
        data.test_images.reshape(-1, 8, 8).astype(np.float32) / data.max_value,
        turned,
    )
