"""Every token looks at all others, those behind it too."""

from tinytorch import nn


class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, query, key, value, need_weights=True, is_causal=False):
        return super().forward(query, key, value, need_weights=need_weights)
