"""The grader: what `pytest grading` runs. README.md says how it works, thresholds.toml what it asks for."""
