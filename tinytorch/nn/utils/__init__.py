"""Gradient clipping, parameters as one vector, and batch norms folded into the layers before them."""

from tinytorch.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from tinytorch.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from tinytorch.nn.utils.fusion import fuse_batch_norms, fuse_conv_bn_eval, fuse_linear_bn_eval

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "fuse_batch_norms",
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]
