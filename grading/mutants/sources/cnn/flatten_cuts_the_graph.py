"""What comes out is made anew from the numbers, so no gradient reaches a convolution."""

import tinytorch as tt
from tinytorch import nn


class Flatten(nn.Flatten):
    def forward(self, x):
        return tt.tensor(super().forward(x).data)
