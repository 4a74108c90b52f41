"""Where a token comes twice, only the last one counts on the way back."""

import numpy as np

import tinytorch as tt
from tinytorch import autograd, nn


class Rows(autograd.Function):
    @staticmethod
    def forward(ctx, weight, tokens):
        ctx.shape, ctx.tokens = weight.shape, tokens.data
        return tt.embedding(weight, tokens)

    @staticmethod
    def backward(ctx, gradient):
        found = np.zeros(ctx.shape, np.float32)
        found[ctx.tokens] = gradient.data
        return tt.tensor(found), None


class Embedding(nn.Embedding):
    def forward(self, x):
        return Rows.apply(self.weight, x)
