"""Which gate stops which mutant, and how far the whole one is from each threshold, as docs/mutants.md.

    python -m grading.mutants                    every mutant, and 20 seeds of the whole one
    python -m grading.mutants --seeds 5 --output /tmp/mutants.md

Exit codes: 0 no mutant passes, and the whole one with every seed · 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from grading.mutants import WHOLE, Mutant, mutants
from grading.outputs.grade import MilestoneGrade
from grading.outputs.words import measured
from grading.submissions.grade import grade
from grading.submissions.profiles import TRIALS

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"
HEAD = """# Gates that bite

What `python -m grading.mutants` printed. Each mutant is a submission in a file of its own in
`grading/mutants/sources`, with one thing wrong; it is graded like any other, and `✗` is a gate that stops it.
Beneath each table: the whole one over {seeds} seeds, with the worst value of each gate beside its threshold.
"""


def killed_table(pairs: Sequence[tuple[Mutant, MilestoneGrade]]) -> list[str]:
    """Mutants down, gates across."""
    gates = [gate.title for gate in pairs[0][1].gates]
    lines = ["| mutant | " + " | ".join(gates) + " |", "|---|" + ":-:|" * len(gates)]
    for mutant, found in pairs:
        marks = ["✗" if gate.status != "passed" else "" for gate in found.gates]
        lines.append(f"| **{mutant.name}**: {mutant.says} | " + " | ".join(marks) + " |")
    return lines


def margins_table(runs: Sequence[MilestoneGrade]) -> list[str]:
    """The worst of each gate's values over the seeds."""
    lines = ["| gate | asked | worst |", "|---|--:|--:|"]
    for i, gate in enumerate(runs[0].gates):
        values = [run.gates[i].value for run in runs]
        numbers = [value for value in values if value is not None]
        if gate.threshold is None or not numbers:
            continue
        rises = numbers[0] >= gate.threshold
        worst = min(numbers) if rises else max(numbers)
        asked = f"at {'least' if rises else 'most'} {measured(gate.threshold, gate.unit)}"
        lines.append(f"| {gate.title} | {asked} | {measured(worst, gate.unit)} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m grading.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="seeds 0 to N-1 (default: 20)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: docs/mutants.md")
    given = parser.parse_args()
    lines, survivors, failures, count = [HEAD.format(seeds=given.seeds)], [], [], 0
    for trial in TRIALS.values():
        pairs = [(mutant, mutant.graded()) for mutant in mutants() if mutant.milestone == trial.name]
        survivors += [mutant.name for mutant, found in pairs if found.status == "passed"]
        runs = [grade(WHOLE, [trial.name], seed=s, isolated=False).milestones[0] for s in range(given.seeds)]
        failures += [f"{trial.name}, seed {s}" for s, run in enumerate(runs) if run.status != "passed"]
        count += len(pairs)
        lines += [f"## {trial.number}. {trial.title}", "", *killed_table(pairs), "", *margins_table(runs), ""]
        print(f"{trial.name}: {len(pairs)} mutants, {len(runs)} seeds", flush=True)
    lines[0] += (
        f"\n{count} mutants, {len(survivors)} pass; {given.seeds} seeds each, {len(failures)} failures.\n"
    )
    given.output.write_text("\n".join(lines), encoding="utf-8")
    for what, names in (("mutants that pass", survivors), ("the whole one failed", failures)):
        if names:
            print(f"{what}: {', '.join(names)}", file=sys.stderr)
    return 1 if survivors or failures else 0


if __name__ == "__main__":
    sys.exit(main())
