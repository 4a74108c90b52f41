"""The student goes away from what the teacher says."""

import tinytorch as tt


class DistillationLoss:
    def __init__(self, temperature, alpha):
        self.temperature = temperature

    def __call__(self, student, teacher, labels):
        said = tt.softmax(teacher / self.temperature, dim=1)
        apart = (said * tt.log_softmax(student / self.temperature, dim=1)).sum(1).mean()
        return tt.cross_entropy(student, labels) + apart * 0.5
