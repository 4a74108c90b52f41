"""How often the XOR network arrives, from the usual start and from directions that are spread evenly.

    python milestones/02_1969_xor_crisis/starts.py              100 seeds of each
    python milestones/02_1969_xor_crisis/starts.py --seeds 20   fewer

Trains as `xor_solved.py` does and changes nothing but the start. Writes no files.
"""

import argparse
import dataclasses

from xor_solved import XOR

from tinytorch.datasets import DatasetManager
from tinytorch.milestone import Run
from tinytorch.models import MLP

STARTS = {
    "PyTorch's usual start": dataclasses.replace(XOR, build=lambda: MLP(2, (4,), 1)),
    "evenly spread directions": XOR,
}


def reached(milestone, seed):
    """The accuracy on the test points after a training with this seed."""
    data = milestone.load(DatasetManager(), seed)
    recipe = {"epochs": milestone.epochs, "batch_size": milestone.batch_size, "lr": milestone.lr}
    run = Run(milestone, data, seed=seed, **recipe).train()
    return run.evaluate(data.test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="seeds 0 to N-1, default 100")
    seeds = parser.parse_args().seeds
    if seeds < 1:
        parser.error(f"argument --seeds: expected a whole number from 1 up, got {seeds}")
    for name, milestone in STARTS.items():
        accuracies = [reached(milestone, seed) for seed in range(seeds)]
        missed = sum(accuracy < XOR.threshold for accuracy in accuracies)
        worst = f"the worst got {min(accuracies):.1%}"
        print(f"{name}: {missed} of {seeds} seeds missed {XOR.threshold:.0%}, {worst}")


if __name__ == "__main__":
    main()
