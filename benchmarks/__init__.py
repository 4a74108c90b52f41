"""Timings side by side with NumPy, PyTorch and JAX: `python -m benchmarks [name ...]`, or `make bench`."""
