"""What goes into attention is cut off the graph."""

from tinytorch import nn


class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, query, key, value, need_weights=True, is_causal=False):
        x = query.detach()
        return super().forward(x, x, x, need_weights=need_weights, is_causal=is_causal)
