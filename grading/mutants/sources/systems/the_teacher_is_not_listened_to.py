"""The loss is that of the labels alone."""

import tinytorch as tt


class DistillationLoss:
    def __init__(self, temperature, alpha):
        pass

    def __call__(self, student, teacher, labels):
        return tt.cross_entropy(student, labels)
