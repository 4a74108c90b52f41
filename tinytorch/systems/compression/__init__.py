"""Fewer weights: pruned, removed, factorised, distilled."""
