"""What comes out is made anew from the numbers."""

import tinytorch as tt
from tinytorch import nn


class ReLU(nn.ReLU):
    def forward(self, x):
        return tt.tensor(super().forward(x).data)
