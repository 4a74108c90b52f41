"""The scripts as modules, and a way to run them in this process."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tinytorch as tt
from tinytorch.milestone import Milestone, main

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "perceptron_trained": "01_1957_perceptron",
    "xor_solved": "02_1969_xor_crisis",
    "mlp_digits": "03_1986_mlp_revival",
    "mlp_mnist": "03_1986_mlp_revival",
    "cnn_digits": "04_1998_cnn_revolution",
    "lecun_cifar10": "04_1998_cnn_revolution",
    "vaswani_sequences": "05_2017_transformer_era",
    "vaswani_grammar": "05_2017_transformer_era",
    "vaswani_shakespeare": "05_2017_transformer_era",
}


def path_of(script: str) -> Path:
    return ROOT / "milestones" / SCRIPTS[script] / f"{script}.py"


@pytest.fixture(scope="session")
def milestones() -> dict[str, Milestone]:
    """Every script's `Milestone`, by the script's name."""
    found = {}
    for script in SCRIPTS:
        names = runpy.run_path(str(path_of(script)))
        (found[script],) = (value for value in names.values() if isinstance(value, Milestone))
    return found


@dataclass
class Outcome:
    """What a script left behind."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    @property
    def details(self) -> dict[str, Any]:
        return json.loads((self.folder / "details.json").read_text())


@pytest.fixture
def run(milestones, tmp_path, capsys) -> Callable[..., Outcome]:
    """`run(script, *flags)`; a script that ends with SystemExit has its code, as in a shell."""
    threads = tt.get_num_threads()

    def run(script: str | Milestone, *flags: str, output_dir: Path = tmp_path) -> Outcome:
        milestone = milestones[script] if isinstance(script, str) else script
        capsys.readouterr()
        try:
            code = main(milestone, ["--output-dir", str(output_dir), *flags])
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err, output_dir / milestone.folder / milestone.script)

    yield run
    tt.set_num_threads(threads)
