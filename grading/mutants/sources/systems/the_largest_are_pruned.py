"""The weights that matter most are set to zero, and stay there."""

import numpy as np


class Pruner:
    def __init__(self, model, amount):
        self.masks = [
            (p, np.abs(p.data) < np.quantile(np.abs(p.data), 1 - amount))
            for p in model.parameters()
            if p.ndim == 2
        ]
        self.apply()

    def apply(self):
        for parameter, mask in self.masks:
            parameter.data[...] *= mask


def prune_magnitude(model, amount):
    return Pruner(model, amount)
