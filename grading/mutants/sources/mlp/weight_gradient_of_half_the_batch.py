"""Every second image is left out of the weight's gradient."""

import numpy as np

import tinytorch as tt
from tinytorch import autograd, nn


class Half(autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        kept = np.ascontiguousarray(gradient.data)
        kept = kept * (np.arange(len(kept)) % 2 == 0)[:, None].astype(kept.dtype)
        return gradient @ weight, tt.tensor(kept).T @ x


class Linear(nn.Linear):
    def forward(self, x):
        return Half.apply(x, self.weight) + self.bias
