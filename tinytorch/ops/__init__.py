"""Every differentiable operation: checks, gradient, cost and samples, registered with `@op`."""

from tinytorch.ops import index
from tinytorch.ops.activation import relu, relu_grad
from tinytorch.ops.elementwise import add, cast, div, exp, log, mul, neg, sqrt, sub
from tinytorch.ops.matmul import linear, matmul, matmul_grad_a, matmul_grad_b, matrix_product
from tinytorch.ops.reduce import sum, sum_to
from tinytorch.ops.shape import cat, expand, permute, reshape
