"""The tasks of one process: each milestone's, in order, and what is left of it in a folder of its own."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .implementation import Implementation, Misfit, load, what_went_wrong


def work(submission: Path, into: Path, out: Path) -> None:
    """Do every task of `into`/tasks.json; `out`/<name>/facts.json is written last.

    facts: "problem" says why a milestone could not be tried, as do "theirs" and "ours" who wrote which name.
    """
    tasks = json.loads((into / "tasks.json").read_text(encoding="utf-8"))
    implementation: Implementation | str
    try:
        implementation = load(submission)
    except Misfit as error:
        implementation = str(error)
    except BaseException as error:  # SystemExit too: a submission must not end its own grading
        implementation = f"it cannot be imported: {what_went_wrong(error, submission)}"
    (out / "loaded").touch()  # what comes now is one milestone's fault and not another's
    for task in tasks:
        folder = out / task["name"]
        folder.mkdir()
        facts: dict[str, Any] = {}
        if isinstance(implementation, str):
            facts["problem"] = implementation
        else:
            try:
                names = implementation.names_for(task["number"])
                facts |= {"theirs": implementation.theirs, "ours": implementation.ours_of(task["number"])}
                arrays = {path.stem: np.load(path) for path in sorted((into / task["name"]).glob("*.npy"))}
                child = importlib.import_module(f".{task['child']}", __package__)
                facts |= child.run(names, task["task"], arrays, folder)
            except Misfit as error:
                facts["problem"] = str(error)
            except BaseException as error:
                facts["problem"] = what_went_wrong(error, submission)
                facts["raised"] = True
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
