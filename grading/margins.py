"""How far the thresholds are from what is reached: the numbers that stand as `measured` in thresholds.toml.

    python -m grading.margins                          every milestone's script over 20 seeds
    python -m grading.margins xor mlp-mnist --seeds 5  some of them, over fewer

Prints the worst over the seeds, as TOML. Exit codes: 0 every gate passed for every seed · 1 one did not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from grading import exams, gates, probes
from grading.runs import Run, train_script
from grading.thresholds import MILESTONES, Milestone
from tinytorch.datasets import DatasetUnavailable


def measure(milestone: Milestone, run: Run, exam: exams.Exam) -> dict[str, float]:
    """What each gate compares with its threshold; NotMet where one is not passed."""
    gates.finished(run, milestone)
    gates.reported(run, milestone)
    gates.parameters(run, milestone)
    value = gates.accurate(run, milestone, exam)
    gates.honest(run, milestone, exam)
    gates.loss_fell(run, milestone)
    gates.every_layer_moved(run, milestone)
    curve = gates.losses(run)
    found = {
        milestone.metric: value,
        "apart": abs(run.report["value"] - value),
        "loss_left": curve[-1] / curve[0],
        "moved": min(gates.movement(run.initial[name], run.weights[name]) for name in gates.trainable(run)),
        "seconds": run.seconds,
        "process_mib": run.process_mib or float("nan"),
    }
    if exam.learned is not None and milestone.metric != "accepted":
        gates.untainted(run, milestone, exam)
        found["above_train"] = gates.above_train(run, milestone, exam)
    if milestone.name.startswith("transformer"):
        found |= inside(milestone, run, exam)
    if milestone.name.startswith("cnn"):
        found["reset"] = gates.convolutions_are_used(run, milestone, exam)
    if milestone.name == "xor":
        found["without_relu"] = gates.depth_is_used(run, milestone, exam)
    return found


def inside(milestone: Milestone, run: Run, exam: exams.Exam) -> dict[str, float]:
    """What is asked of a language model beside that."""
    probes.future_is_hidden(run, milestone, exam)
    probes.positions_matter(run, milestone, exam)
    found = {
        "logits": probes.logits_agree(run, milestone, exam),
        "cached": probes.cache_agrees(run, milestone, exam),
        "uniform": probes.attention_is_not_uniform(run, milestone, exam),
    }
    if milestone.dataset == "grammar":
        found["new"] = probes.sentences_are_new(run, milestone, exam)
    if milestone.metric == "validation_loss":
        found["known_words"], found["copied"] = probes.writes_words_of_its_own(run, milestone, exam)
        found["below_bigram"] = probes.better_than_counting_pairs(run, milestone, exam)
    return found


LEAST = ("accuracy", "exact", "accepted", "moved", "new", "known_words", "below_bigram")
WORST = dict.fromkeys(LEAST, min)  # of the others, the largest


def over_seeds(milestone: Milestone, seeds: range) -> tuple[str, bool]:
    """The worst of each measurement as a line of TOML, and whether every gate passed for every seed."""
    rows: list[dict[str, float]] = []
    failures = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            run = train_script(milestone, seed, Path(folder))
        try:
            rows.append(measure(milestone, run, exams.of(milestone, seed)))
        except gates.NotMet as error:
            failures += 1
            first, *rest = str(error).splitlines()
            print(f"seed {seed}: {' … '.join([first, *rest[-1:]])}", file=sys.stderr)
    if not rows:
        return f"# {milestone.name}: no seed passed", False
    worst = {key: WORST.get(key, max)(row[key] for row in rows) for key in rows[0]}
    numbers = ", ".join(f"{key} = {value:.4g}" for key, value in worst.items())
    return f"measured = {{ seeds = {len(rows)}, failed = {failures}, {numbers} }}", not failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m grading.margins", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MILESTONES)}; default all")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="seeds 0 to N-1, default 20")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MILESTONES):
        parser.error(f"expected names of {', '.join(MILESTONES)}, got {', '.join(sorted(unknown))}")
    good = True
    for name in given.names or MILESTONES:
        print(f"\n[milestones.{name}]", flush=True)
        try:
            line, passed = over_seeds(MILESTONES[name], range(given.seeds))
        except DatasetUnavailable as error:
            line, passed = f"# not measured: {str(error).splitlines()[0]}", True
        print(line, flush=True)
        good = good and passed
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
