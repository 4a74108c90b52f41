"""Answering only: frozen, norms folded, memory planned, weights stored small, the cache studied."""
