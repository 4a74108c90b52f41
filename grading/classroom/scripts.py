"""The scripts that `python -m grading export` writes. @NAME@ is filled in."""

from __future__ import annotations

# Runs once, when Gradescope builds the image. Its older images have a Python that is too old.
SETUP = """#!/usr/bin/env bash
set -euo pipefail
root=${AUTOGRADER_ROOT:-/autograder}
export TINYTORCH_CACHE_DIR=$root/cache

find_python() {
  for name in python3.11 python3.12 python3.13 python3; do
    if "$name" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return 0
    fi
  done
  return 1
}

if ! python=$(find_python); then
  apt-get update
  apt-get install -y python3.11 python3.11-venv || apt-get install -y python3 python3-venv
  python=$(find_python) || { echo "expected Python 3.11 or newer, got none" >&2; exit 1; }
fi
cd "$root/source"
"$python" -m venv "$root/venv"
"$root/venv/bin/python" -m pip install --quiet -c constraints.txt .
"$root/venv/bin/python" - <<'EOF'
from grading.submissions import profiles, warm
warm.warm(profiles.chosen("@MILESTONES@".split(",")))
EOF
"""

# Runs for each submission. The first results.json is there before anything can go wrong.
RUN = """#!/usr/bin/env bash
# Whatever happens, a results.json is left: a student must see why there are no points.
root=${AUTOGRADER_ROOT:-/autograder}
export TINYTORCH_CACHE_DIR=${TINYTORCH_CACHE_DIR:-$root/cache}
results=$root/results/results.json
mkdir -p "$root/results"
printf '{"score": 0, "output": "No result. Please tell your instructor."}\\n' > "$results"
rm -rf "$root/graded"
python=$root/venv/bin/python
[ -x "$python" ] || python=python3
cd "$root/source" || exit 1

said=$(timeout --signal=INT --kill-after=20 @SECONDS@ "$python" -m grading "$root/submission" \\
  --milestones @MILESTONES@ --points points.toml --formats json,html,gradescope --output "$root/graded" 2>&1)
code=$?
printf '%s\\n' "$said"
if [ -f "$root/graded/results.json" ]; then
  cp "$root/graded/results.json" "$results"
else
  GRADER_SAID="Not graded (exit code $code): $said" "$python" -c \\
    'import os; from grading.outputs.gradescope import failed; print(failed(os.environ["GRADER_SAID"]))' \\
    > "$results.draft" && mv "$results.draft" "$results"
fi
"""

# For a student's repository. Ubuntu's runners refuse namespaces to programs that AppArmor does not know.
WORKFLOW = """name: grade
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
        with:
          path: submission
      - uses: actions/checkout@v4
        with:
          repository: "@GRADER@"   # yours, which students cannot write to
          path: grader
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - name: install the grader
        working-directory: grader
        run: python -m pip install -c constraints.txt .
      - name: allow the sandbox its namespaces
        run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 || true
      - name: grade
        working-directory: grader
        run: >-
          python -m grading "../submission/@SUBMISSION@" --milestones @MILESTONES@
          --output ../graded --formats @FORMATS@
      - name: show
        if: always()
        run: test ! -f graded/grade.md || cat graded/grade.md >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: grade
          path: graded
"""
