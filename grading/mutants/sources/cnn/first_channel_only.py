"""Only the first channel of what comes in is looked at."""

import numpy as np

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        keep = np.zeros((1, x.shape[1], 1, 1), np.float32)
        keep[:, 0] = 1
        return super().forward(x * tt.tensor(keep))
