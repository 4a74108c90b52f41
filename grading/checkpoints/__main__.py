"""The modules that students build: `python -m grading.checkpoints list`, or `test N [--implementation PATH]`.

Exit codes: 0 all checks of the module passed · 1 some did not · 2 bad usage. The last result of each module
is kept in results/checkpoints.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grading.checkpoints.modules import MILESTONES, MODULES, Module, unlocks
from grading.sandbox import Refused
from grading.submissions.grade import find, fingerprint
from tinytorch.milestone.result import write

SCHEMA = "tinytorch/checkpoints/v1"
ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "results" / "checkpoints.json"
SECONDS = 120.0  # that the checks of a module may take: most need one, and a first run compiles kernels


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grading.checkpoints", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing, testing = commands.add_parser("list"), commands.add_parser("test")
    testing.add_argument("number", type=int, choices=range(1, len(MODULES) + 1), metavar="N")
    testing.add_argument("--implementation", metavar="PATH", help="yours; default: the library itself")
    for command in (listing, testing):
        command.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.command == "list":
        print(json.dumps(overview()) if given.json else _plain(overview()))
        return 0
    path = None
    if given.implementation is not None:
        try:
            path = find(given.implementation)
        except Refused as error:
            parser.error(str(error))
    module = MODULES[given.number - 1]
    checks, whose = tried(module, path)
    passed = all(check["passed"] for check in checks)
    state = _state()
    state[str(module.number)] = {
        "implementation": None if path is None else str(path),
        "sha256": None if path is None else fingerprint(path),
        "status": "passed" if passed else "failed",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **whose,
        "checks": checks,
    }
    STATE.parent.mkdir(exist_ok=True)
    write(json.dumps({"schema": SCHEMA, "modules": state}, indent=2), STATE)
    if given.json:
        print(json.dumps({"number": module.number, **whose, "checks": checks}))
    else:
        print(_told(module, path, checks, whose))
    return 0 if passed else 1


def _told(module: Module, path: Path | None, checks: list[dict[str, Any]], whose: dict[str, Any]) -> str:
    lines = [f"module {module.number:02}, {module.title}"]
    for check in checks:
        lines.append(f"{'✓' if check['passed'] else '✗'} {check['name']}")
        if not check["passed"]:
            lines.append(f"    {check['message']}")
    if path is not None and not whose["theirs"]:
        lines.append(f"{path.name} defines none of the names that were tried: these are the library's.")
    elif path is not None and whose["ours"]:
        lines.append(f"yours: {', '.join(whose['theirs'])}; the library's: {', '.join(whose['ours'])}")
    return "\n".join(lines)


def tried(
    module: Module, implementation: Path | None, seconds: float = SECONDS
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Each check's name, whether it passed, and why not; and which names were theirs and which ours.

    In a session of its own, killed when its time is up: a loop in a compiled kernel ends no other way.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # A student's warnings are no errors, and pytest's own settings are ours.
        command = [
            sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-o", "filterwarnings=ignore",
            "--checkpoint", str(module.path), "--junit-xml", str(report),
        ]  # fmt: skip
        if implementation is not None:
            command += ["--implementation", str(implementation)]
        log = Path(folder) / "log.txt"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(seconds)
                late = ""
            except subprocess.TimeoutExpired:
                late = f"did not end within {seconds:g} s"
            finally:
                _end(process)
        printed = log.read_text("utf-8", errors="replace")
        if late or not report.exists():
            began = re.findall(r"::test_(\w+)", printed)
            name = began[-1].replace("_", " ") if began else "it can be tried"
            message = late or f"ended the process with exit code {process.returncode}"
            return [{"name": name, "passed": False, "message": message}], {"theirs": [], "ours": []}
        root = ET.parse(report).getroot()
        told = {each.get("name"): (each.get("value") or "").split() for each in root.iter("property")}
        checks = [_check(case) for case in root.iter("testcase")]
        return checks, {"theirs": told.get("theirs", []), "ours": told.get("ours", [])}


def _end(process: subprocess.Popen) -> None:
    """With whatever it has started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _check(case: ET.Element) -> dict[str, Any]:
    broken = next((child for child in case if child.tag in ("failure", "error")), None)
    lines = [] if broken is None else (broken.text or broken.get("message") or "").strip().splitlines()
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")] or lines[:1]
    name = case.get("name", "").removeprefix("test_").replace("_", " ")
    return {"name": name, "passed": broken is None, "message": said[0] if said else ""}


def _state() -> dict[str, Any]:
    try:
        return json.loads(STATE.read_text("utf-8"))["modules"]
    except (OSError, ValueError, KeyError):
        return {}


def overview() -> dict[str, Any]:
    """All modules with their state, what is next, and which milestones are in reach."""
    state, rows = _state(), []
    for module in MODULES:
        checks = state.get(str(module.number), {}).get("checks", [])
        failing = [{"name": c["name"], "message": c["message"]} for c in checks if not c["passed"]]
        status = "untested" if not checks else "failed" if failing else "passed"
        rows.append(
            {
                "number": module.number, "name": module.name, "title": module.title, "builds": module.builds,
                "milestone": unlocks(module.number), "status": status, "failing": failing,
            }
        )  # fmt: skip
    passed = {row["number"] for row in rows if row["status"] == "passed"}
    milestones = [
        {
            "number": number, "name": name, "needs": list(needs), "done": sorted(passed & set(needs)),
            "in_reach": set(needs) <= passed,
        }
        for number, (name, needs) in MILESTONES.items()
    ]  # fmt: skip
    following = next((row["number"] for row in rows if row["status"] != "passed"), None)
    return {"schema": SCHEMA, "modules": rows, "next": following, "milestones": milestones}


def _plain(found: dict[str, Any]) -> str:
    signs = {"passed": "✓", "failed": "✗", "untested": "·"}
    return "\n".join(f"{signs[row['status']]} {row['number']:02} {row['title']}" for row in found["modules"])


if __name__ == "__main__":
    sys.exit(main())
