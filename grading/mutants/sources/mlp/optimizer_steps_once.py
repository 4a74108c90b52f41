"""Only the first step moves anything."""

from tinytorch import optim


class SGD(optim.SGD):
    done = False

    def step(self, closure=None):
        if not self.done:
            super().step()
        self.done = True
