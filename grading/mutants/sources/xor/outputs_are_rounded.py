"""The sigmoid answers 0 or 1, and has no gradient."""

import tinytorch as tt
from tinytorch import nn


class Sigmoid(nn.Sigmoid):
    def forward(self, x):
        return tt.tensor((x.data > 0).astype(x.data.dtype), requires_grad=True)
