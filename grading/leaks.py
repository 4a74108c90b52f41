"""Does a script train on its test data? The grader gives it test data of its own that nobody could know.

The split is the grader's: a part of the training data to learn from, and another part as the test set. There
every image has the label of another class, and every token of a text stands for another. Who never trains on
them answers nearly always something else. Who does learns them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import tinytorch as tt
from grading.gates import require
from grading.reference import script_of
from grading.thresholds import EXAM, LEAKS, Milestone
from grading.transformer import IGNORED
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


def reads_training_text_only(milestone: Milestone, script: Script | None = None) -> float:
    """The milestone's own training loop leaves the model surprised by a text in which tokens were exchanged.

    Returns its loss, as a share of that of somebody who knows nothing. script: as above.
    """
    script = script or script_of(milestone)
    data = script.load(DatasetManager(), 0)
    few = LEAKS["contexts"]
    train, other = (tuple(part[rows] for part in data.train) for rows in (slice(few), slice(few, 2 * few)))
    exchanged = np.random.default_rng(EXAM["seed"]).permutation(script.classes)
    test = tuple(np.where(part == IGNORED, IGNORED, exchanged[part % script.classes]) for part in other)
    split = Data(train, test, data.names, data.extra)
    run = Run(
        replace(script, evaluate=_loss), split,
        epochs=LEAKS["text_epochs"], batch_size=LEAKS["batch"], lr=script.lr, seed=0,
    ).train()  # fmt: skip
    share = run.evaluate(split.test) / float(np.log(script.classes))
    require(
        share >= LEAKS["surprised"],
        f"{milestone.name}: given a test text in which tokens were exchanged, its loss is {share:.1%} of "
        f"that of somebody who knows nothing; expected at least {LEAKS['surprised']:.0%}. Does it train on "
        "the test text?",
    )
    return share


def _loss(run: Run, inputs: np.ndarray, targets: np.ndarray) -> float:
    x, y = (tt.tensor(part.astype(np.int64)) for part in (inputs, targets))
    return run.milestone.loss(run.model(x), y).item()
