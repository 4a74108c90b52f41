"""The six milestones for submissions, by name and in order."""

from __future__ import annotations

from grading.submissions import layered
from grading.submissions.trial import Trial

TRIALS: dict[str, Trial] = {name: layered.trial(name) for name in layered.TABLE}


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
