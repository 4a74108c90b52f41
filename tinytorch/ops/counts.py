"""Which values there are, and how often: bincount and unique. Neither has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Refusal, Sample, new_tensor, op
from tinytorch.ops.common import Array, as_float


@op(
    name="bincount",
    differentiable=False,
    cost=lambda x, weights, out, **_: x.size,
    samples=lambda s: [
        Sample(s.ints(9, high=4), None),
        Sample(s.ints(9, high=4), None, minlength=6),
        Sample(s.ints(9, high=4), s(9)),
        Sample(s.ints(0, high=4), None, minlength=2),
    ],
    refuses=lambda s: [
        Refusal((s(3), None), {}, TypeError, "bincount: expected whole numbers, got float"),
        Refusal((np.array([1, -2]), None), {}, ValueError, "bincount: expected numbers from 0 on, got -2"),
        Refusal(
            (np.array([[1]]), None), {}, ValueError, r"bincount: expected one dimension, got shape \(1, 1\)"
        ),
        Refusal((np.array([1]), s(2)), {}, ValueError, r"bincount: expected weights .* \(1,\), got \(2,\)"),
    ],
    reference=lambda x, weights, minlength=0: np.array(
        [
            np.sum(x == i) if weights is None else np.sum(weights[x == i])
            for i in range(max(minlength, x.max(initial=-1) + 1))
        ]
    ),
    oracle=lambda t, x, weights, minlength=0: t.bincount(x, weights, minlength),
)
def count_numbers(x: Array, weights: Array | None, /, minlength: int = 0) -> Array:
    """How often each number from 0 on occurs, or the sum of its weights."""
    if x.dtype.kind not in "iu":
        raise TypeError(f"bincount: expected whole numbers, got {x.dtype}")
    if x.ndim != 1:
        raise ValueError(f"bincount: expected one dimension, got shape {x.shape}")
    if x.size and x.min() < 0:
        raise ValueError(f"bincount: expected numbers from 0 on, got {x.min()}")
    if weights is None:
        return np.bincount(x, minlength=minlength)
    if weights.shape != x.shape:
        raise ValueError(f"bincount: expected weights of shape {x.shape}, got {weights.shape}")
    weights = as_float(weights)
    return np.bincount(x, weights, minlength).astype(weights.dtype)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 to the largest, or to `minlength` - 1, occurs in a vector.

    weights: added up instead of ones.

    >>> import tinytorch as tt
    >>> tt.bincount(tt.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    return count_numbers(input, weights, minlength=minlength)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values, or the different slices along `dim`, in order even if not `sorted`.

    return_inverse: also which of them stands at each place. return_counts: also how often each occurs.

    >>> import tinytorch as tt
    >>> tt.unique(tt.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    values, inverse, counts = np.unique(
        input._data, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    found = [new_tensor(values)]
    if return_inverse:
        found.append(new_tensor(inverse.reshape(input.shape if dim is None else -1)))
    if return_counts:
        found.append(new_tensor(counts))
    return found[0] if len(found) == 1 else tuple(found)
