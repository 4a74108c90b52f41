"""The grader: what `pytest grading` runs. README.md says how it works, thresholds.toml what it asks for."""

import os

# Before NumPy is loaded: on a busy machine, threads of its BLAS wait for each other longer than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
