"""A class of forty small submissions, some of them hostile: `python -m benchmarks.class_of_forty`.

Twenty that are fine, fourteen with one thing wrong, six that hang, flood, fork or end themselves. Graded on
milestones 1 to 3, killed half-way and resumed; prints the seconds and whether the result is that of a class
which was not interrupted. Written: results/class_of_forty.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = {
    "forks": "import os\nwhile True:\n    os.fork()\n",
    "hangs": "while True:\n    pass\n",
    "compiled_loop": """import numba


@numba.njit(nogil=True)
def spin(x):
    while x > 0:
        x += 1
    return x


spin(1)
""",
    "floods": "while True:\n    print('x' * 9999)\n",
    "exits": "import os\n\nos._exit(0)\n",
    "eats": "held = []\nwhile True:\n    held.append(bytearray(1 << 26))\n",
}


def make(folder: Path) -> None:
    """Forty files."""
    micro = (ROOT / "examples" / "micro.py").read_text("utf-8")
    for i in range(20):
        (folder / f"student_{i:02}.py").write_text(f"{micro}\n# handed in by number {i}\n", "utf-8")
    sources = [path for name in ("perceptron", "xor", "mlp") for path in
               sorted((ROOT / "grading" / "mutants" / "sources" / name).glob("*.py"))]  # fmt: skip
    for i, path in enumerate(sources[::2][:14]):
        (folder / f"student_{20 + i:02}.py").write_text(path.read_text("utf-8"), "utf-8")
    for i, code in enumerate(HOSTILE.values()):
        (folder / f"student_{34 + i:02}.py").write_text(code, "utf-8")


def command(folder: Path, output: Path) -> list[str]:
    flags = ["--milestones", "1,2,3", "--seed", "1", "--output", str(output)]
    return [sys.executable, "-m", "grading", "class", str(folder), *flags]


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, whole, killed = (Path(place) / name for name in ("class", "whole", "killed"))
        folder.mkdir()
        make(folder)
        began = time.perf_counter()
        subprocess.run(command(folder, whole), cwd=ROOT, check=False)
        seconds = time.perf_counter() - began
        process = subprocess.Popen(command(folder, killed), cwd=ROOT, start_new_session=True)
        while len(list(killed.glob("*/stamp.json"))) < 20 and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        began = time.perf_counter()
        subprocess.run(command(folder, killed), cwd=ROOT, check=False)
        resumed = time.perf_counter() - began
        tables = [(output / "class.csv").read_text("utf-8") for output in (whole, killed)]
    found = {"seconds": seconds, "resumed_seconds": resumed, "the_same_result": tables[0] == tables[1]}
    path = ROOT / "results" / "class_of_forty.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(found)


if __name__ == "__main__":
    main()
