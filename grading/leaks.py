"""Does a script train on its test data? The grader gives it test data of its own, whose labels are all wrong.

The split is the grader's: a part of the training images to learn from, and another part as the test set, each
with the label of another class. Who never trains on them answers nearly always something else. Who does
learns the wrong labels by heart.
"""

from __future__ import annotations

import numpy as np

from grading.gates import require
from grading.reference import script_of
from grading.thresholds import EXAM, LEAKS, Milestone
from tinytorch.datasets import DatasetManager
from tinytorch.milestone import Data
from tinytorch.milestone import Milestone as Script
from tinytorch.milestone.run import Run


def learns_from_training_data_only(milestone: Milestone, script: Script | None = None) -> float:
    """The milestone's own training loop gives few test images the wrong labels that only they have.

    Returns the share of them. script: another one than the milestone's.
    """
    script = script or script_of(milestone)
    data = script.load(DatasetManager(), 0)
    images, labels = data.train
    rng = np.random.default_rng(EXAM["seed"])
    chosen = rng.permutation(len(images))[: 2 * LEAKS["images"]]
    train, test = chosen[: LEAKS["images"]], chosen[LEAKS["images"] :]
    wrong = (labels[test] + rng.integers(1, script.classes, len(test))) % script.classes
    split = Data((images[train], labels[train]), (images[test], wrong), data.names)
    run = Run(
        script, split, epochs=LEAKS["epochs"], batch_size=LEAKS["batch"], lr=script.lr, seed=0
    ).train()  # fmt: skip
    share = run.evaluate(split.test)
    require(
        share <= LEAKS["learned"],
        f"{milestone.name}: given test images with wrong labels, it answered {share:.1%} of them with those; "
        f"expected at most {LEAKS['learned']:.0%}. Does it train on the test set?",
    )
    return share
