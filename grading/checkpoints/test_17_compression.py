"""Module 17: zeros, channels, teachers."""

import numpy as np

from grading.checkpoints.checking import array
from grading.gates import require


def test_the_smallest_weights_become_zero(names):
    model = names("MLP")(64, (32,), 10)
    before = [array(p).copy() for p in model.parameters()]
    names("prune_magnitude")(model, 0.5)
    pairs = [(b, array(p)) for b, p in zip(before, model.parameters(), strict=True) if b.ndim == 2]
    zeros = sum((after == 0).sum() for _, after in pairs) / sum(after.size for _, after in pairs)
    require(abs(zeros - 0.5) < 0.02, f"prune_magnitude(0.5): expected half zeros, got {zeros:.0%}")
    for old, new in pairs:
        gone, kept = np.abs(old[new == 0]), np.abs(old[new != 0])
        require(
            not gone.size or np.median(gone) < np.median(kept),
            "the large weights went, the small ones stayed",
        )


def test_channels_that_go_make_arrays_shrink(names):
    model = names("MLP")(64, (32,), 10)
    small = names("prune_channels")(model, 0.5, example_input=names.tensor(np.zeros((2, 64), "f4")))
    sizes = [sum(array(p).size for p in m.parameters()) for m in (model, small)]
    require(
        sizes[1] < 0.6 * sizes[0],
        f"half the channels: expected about half of {sizes[0]} numbers, got {sizes[1]}",
    )


def test_a_teacher_changes_the_loss(names, rng):
    z, y = names.tensor(rng.normal(size=(8, 5)).astype("f4")), names.tensor(rng.integers(0, 5, 8))
    losses = [
        float(
            array(
                names("DistillationLoss")(4.0, 0.9)(z, names.tensor(rng.normal(size=(8, 5)).astype("f4")), y)
            )
        )
        for _ in range(2)
    ]
    require(losses[0] != losses[1], "DistillationLoss: another teacher, and the same loss")
