"""The gradient is added."""

from tinytorch import optim


class SGD(optim.SGD):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = parameter.grad * -1.0
        super().step()
