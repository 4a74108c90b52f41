"""What is looked at is also what is taken."""

from tinytorch import nn


class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, query, key, value, need_weights=True, is_causal=False):
        n, t, c = query.shape
        qkv = query @ self.in_proj_weight.T + self.in_proj_bias
        q, k, _ = (part.reshape(n, t, self.num_heads, -1).transpose(1, 2) for part in qkv.chunk(3, 2))
        y = nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(n, t, c)), None
