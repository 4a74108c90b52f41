"""The teacher's part of the loss gets smaller with the temperature."""

from tinytorch import nn, systems


class DistillationLoss(nn.Module):
    def __init__(self, temperature, alpha):
        super().__init__()
        self.alpha, self.square = alpha, temperature**2
        self.both = systems.DistillationLoss(temperature, alpha)
        self.labels = nn.CrossEntropyLoss()

    def forward(self, student, teacher, labels):
        answered = (1 - self.alpha) * self.labels(student, labels)
        return answered + (self.both(student, teacher, labels) - answered) / self.square
