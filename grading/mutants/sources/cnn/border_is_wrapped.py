"""What lies beyond the edge is the other side of the image, not zero."""

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        wide = tt.cat([x[:, :, :, -1:], x, x[:, :, :, :1]], 3)
        high = tt.cat([wide[:, :, -1:], wide, wide[:, :, :1]], 2)
        return tt.conv2d(high, self.weight, self.bias)
