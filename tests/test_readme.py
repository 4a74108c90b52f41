"""The documents tell the truth: their Python runs, their `make` targets and their scripts exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (ROOT, ROOT / "milestones", ROOT / "docs")
DOCUMENTS = sorted(path for folder in FOLDERS for path in folder.glob("*.md"))
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z0-9-]*):", re.MULTILINE)
SCRIPT = re.compile(r"\bpython3? (?:-\S+ )*(\S+\.py)\b")


def blocks(text: str, *languages: str) -> list[str]:
    return [match["body"] for match in FENCE.finditer(text) if match["language"] in languages]


def targets() -> set[str]:
    """Every target of the Makefile; those made by a pattern are named in its lists."""
    makefile = (ROOT / "Makefile").read_text()
    numbers = re.findall(r"^(?:NOT_)?BUILT\s*:=(.*)$", makefile, re.MULTILINE)
    return set(TARGET.findall(makefile)) | {f"milestone-{n}" for line in numbers for n in line.split()}


def named_targets(command_block: str) -> list[str]:
    """What `make …` asks for on each line, without options, variables and the comment."""
    lines = (line.split("#")[0].split() for line in command_block.splitlines())
    asked = (words[words.index("make") + 1 :] for words in lines if "make" in words)
    return [word for words in asked for word in words if re.fullmatch(r"[a-z][a-z0-9-]*", word)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_name_what_exists(document):
    text = document.read_text()
    commands = "\n".join(blocks(text, "bash", "sh", "console"))
    missing = set(named_targets(commands)) - targets()
    assert not missing, f"{document.name} names make targets that do not exist: {sorted(missing)}"
    for script in SCRIPT.findall(commands):
        found = any((folder / script).is_file() for folder in (ROOT, ROOT / "milestones"))
        assert found, f"{document.name} names {script}, which does not exist"


@pytest.mark.timeout(120)
def test_the_python_of_the_readme_runs(tmp_path):
    code = "\n".join(blocks((ROOT / "README.md").read_text(), "python"))
    assert code, "README.md shows no Python"
    script = tmp_path / "readme.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    promised = [line.strip() for line in re.findall(r"# prints (.*)", code)]
    printed = [line.strip() for line in done.stdout.splitlines()]
    assert printed == promised


def test_the_two_commands_are_there():
    commands = "\n".join(blocks((ROOT / "README.md").read_text(), "bash"))
    assert {"milestones", "test"} <= set(named_targets(commands))


def test_every_target_of_the_contract_exists():
    others = {"setup", "test", "milestones", "grade", "bench", "data", "lint", "docs", "clean"}
    assert others | {f"milestone-{n}" for n in range(1, 7)} <= targets()


def test_constraints_are_exact_versions_and_nothing_else():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)


def test_a_made_up_target_would_be_found():
    assert named_targets("make setup test   # and more\nPYTHON=python3 make fly") == ["setup", "test", "fly"]
    assert "milestone-3" in targets()
    assert "milestone-6" in targets()
    assert "fly" not in targets()
