"""Clocks with intervals, sizes of files, suites that can be compared, and which model to take."""
