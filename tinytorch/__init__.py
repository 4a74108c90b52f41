"""TinyTorch: a deep-learning library whose kernels are Numba functions."""

from tinytorch.autograd.modes import detect_anomaly, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinytorch.kernels._jit import get_num_threads, set_num_threads
from tinytorch.tensor import Tensor
