"""The milestones for submissions, by name and in order."""

from __future__ import annotations

from grading.submissions import language, layered, optimising
from grading.submissions.judging import TABLE
from grading.submissions.trial import Trial

TRIALS: dict[str, Trial] = {
    name: {"transformer": language, "systems": optimising}.get(name, layered).trial(name, of)
    for name, of in TABLE.items()
}


def chosen(names: list[str]) -> list[Trial]:
    """Trials by name or number; ValueError names what there is."""
    by_number = {str(trial.number): trial.name for trial in TRIALS.values()}
    found = []
    for name in names:
        name = by_number.get(name, name)
        if name not in TRIALS:
            known = ", ".join(f"{trial.number} ({trial.name})" for trial in TRIALS.values())
            raise ValueError(f"expected milestones of {known}, got {name!r}")
        found.append(TRIALS[name])
    return sorted(found or TRIALS.values(), key=lambda trial: trial.number)
