"""Generated data with known answers: two Gaussians for the perceptron, XOR for what it cannot do."""

from __future__ import annotations

import numpy as np

__all__ = ["two_gaussians", "xor"]


def two_gaussians(
    n: int = 1000, *, std: float = 0.8, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two round clouds around (-2, -2), label 0, and (2, 2), label 1: what a line can separate.

    The best line is ``x0 + x1 = 0``; it errs with probability ``Q(2·√2 / std)``, 0.02 % at the default
    ``std`` (``Q`` is the upper tail of the standard normal).

    Args:
        n: points; the classes differ by at most one.
        std: standard deviation of each coordinate.
        seed: the same seed gives the same bits.

    Returns:
        ``X``, float32 ``(n, 2)``, and ``y``, float32 ``(n, 1)`` of zeros and ones, in random order.

    Raises:
        ValueError: ``n < 2`` or ``std < 0``.

    >>> X, y = two_gaussians(6)
    >>> X.shape, y.shape, float(y.sum())
    ((6, 2), (6, 1), 3.0)
    """
    _check(n, 2, "std", std)
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    points = (4 * labels - 2)[:, None] + std * rng.standard_normal((n, 2))
    return points.astype(np.float32), labels[:, None].astype(np.float32)


def xor(
    n: int = 1000, *, noise: float = 0.25, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Clouds around the corners (±1, ±1); the label is 1 where the signs of the coordinates differ.

    No line does better than 75 % of the corners. At the default noise the clouds stay four standard
    deviations from the axes, and two straight cuts, which is what a hidden layer makes, separate them.

    Args:
        n: points; the corners differ by at most one.
        noise: standard deviation of each coordinate around its corner.
        seed: the same seed gives the same bits.

    Returns:
        ``X``, float32 ``(n, 2)``, and ``y``, float32 ``(n, 1)``, with ``y == (x0 > 0) != (x1 > 0)`` for every
        point, also where noise carried it over an axis.

    Raises:
        ValueError: ``n < 4`` or ``noise < 0``.

    Source: M. Minsky, S. Papert, "Perceptrons", 1969.

    >>> X, y = xor(8, noise=0.0)
    >>> bool(((X[:, 0] > 0) != (X[:, 1] > 0)).tolist() == y[:, 0].astype(bool).tolist())
    True
    """
    _check(n, 4, "noise", noise)
    rng = np.random.default_rng(seed)
    corner = rng.permutation(np.arange(n) % 4)
    centres = np.stack([2 * (corner % 2) - 1, 2 * (corner // 2) - 1], axis=1)
    points = (centres + noise * rng.standard_normal((n, 2))).astype(np.float32)
    labels = (points[:, :1] > 0) != (points[:, 1:] > 0)
    return points, labels.astype(np.float32)


def _check(n: int, least: int, name: str, spread: float) -> None:
    if n < least:
        raise ValueError(f"n: expected at least {least} points, got {n}")
    if not spread >= 0:  # also refuses NaN
        raise ValueError(f"{name}: expected a standard deviation of at least 0, got {spread}")
