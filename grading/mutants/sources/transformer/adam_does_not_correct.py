"""The first steps are not corrected for averages that began at zero."""

import numpy as np

from tinytorch import optim


class Adam(optim.Adam):
    def __init__(self, params, lr):
        self.held = list(params)
        super().__init__(self.held, lr=lr)
        self.rate, self.first, self.second = lr, [0.0] * len(self.held), [0.0] * len(self.held)

    def step(self, closure=None):
        for i, parameter in enumerate(self.held):
            gradient = parameter.grad.data
            self.first[i] = 0.9 * self.first[i] + 0.1 * gradient
            self.second[i] = 0.999 * self.second[i] + 0.001 * gradient**2
            parameter.data[...] -= self.rate * self.first[i] / (np.sqrt(self.second[i]) + 1e-8)
