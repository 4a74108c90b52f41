"""Kernels: ndarrays in, ndarrays out. The only place that imports Numba."""
