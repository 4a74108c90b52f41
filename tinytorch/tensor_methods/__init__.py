"""The methods of `Tensor`: one line each, spelled as in PyTorch, carried out by `tinytorch.ops`."""

from tinytorch.tensor_methods.convert import Conversions
from tinytorch.tensor_methods.elementwise import Elementwise
from tinytorch.tensor_methods.inplace import InPlace
from tinytorch.tensor_methods.operators import Operators
from tinytorch.tensor_methods.reductions import Reductions
from tinytorch.tensor_methods.shape import Shapes


class TensorMethods(Operators, InPlace, Elementwise, Reductions, Shapes, Conversions):
    """Sugar over the ops; `Tensor` adds the data and the graph."""
