"""The modules that students build: `python -m grading.checkpoints list`, or `test N [--implementation PATH]`.

Exit codes: 0 all checks of the module passed · 1 some did not · 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grading.checkpoints.modules import MILESTONES, MODULES, Module, unlocks
from tinytorch.milestone.result import write

SCHEMA = "tinytorch/checkpoints/v1"
ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "results" / "checkpoints.json"


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
    if given.implementation is not None and not Path(given.implementation).exists():
        parser.error(f"expected a file or a package, got {given.implementation}: there is none")
    module = MODULES[given.number - 1]
    checks = tried(module, given.implementation)
    state = _state()
    state[str(module.number)] = {
        "implementation": given.implementation, "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "checks": checks,
    }  # fmt: skip
    STATE.parent.mkdir(exist_ok=True)
    write(json.dumps({"schema": SCHEMA, "modules": state}, indent=2), STATE)
    if given.json:
        print(json.dumps({"number": module.number, "checks": checks}))
    else:
        for check in checks:
            print(f"{'✓' if check['passed'] else '✗'} {check['name']}")
            if not check["passed"]:
                print(f"    {check['message']}")
    return 0 if all(check["passed"] for check in checks) else 1


def tried(module: Module, implementation: str | None) -> list[dict[str, Any]]:
    """Each check's name, whether it passed, and why not."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--checkpoint",
            str(module.path),
        ]
        command += ["--junit-xml", str(report)]
        if implementation is not None:
            command += ["--implementation", str(Path(implementation).resolve())]
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, encoding="utf-8"
        )
        if not report.exists():
            return [{"name": "it can be tried", "passed": False, "message": done.stdout.strip()[-500:]}]
        return [_check(case) for case in ET.parse(report).getroot().iter("testcase")]


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
