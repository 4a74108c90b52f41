"""Recording operations and carrying gradients back. Names as in `torch.autograd`."""

from tinytorch.autograd import functional
from tinytorch.autograd.checkpoint import checkpoint
from tinytorch.autograd.custom import Function
from tinytorch.autograd.functional import backward, grad
from tinytorch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinytorch.autograd.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "checkpoint",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
