"""What a graph keeps alive between forward and backward: the arrays that its nodes really save."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinytorch.autograd.custom import Context
from tinytorch.autograd.registry import Node
from tinytorch.tensor import Tensor


def memory_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory which `array` is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def held_arrays(roots: Iterable[Any]) -> Iterator[tuple[Node, np.ndarray]]:
    """Every node of the graph behind the tensors `roots`, the oldest first, with each array that it saves."""
    nodes: dict[int, Node] = {}
    stack = [root._node for root in roots if root._node is not None]
    while stack:
        node = stack.pop()
        if node.order not in nodes:
            nodes[node.order] = node
            stack += [edge for edge in node.edges if type(edge) is Node]
    for _, node in sorted(nodes.items()):
        saved = [] if node.saved is None else [tensor for tensor, _ in node.saved.values()]
        for array in _arrays((saved, node.out, node.extras)):
            yield node, array


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """The arrays in `value`, which may be nested."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield value._data
    elif isinstance(value, Context):
        yield from _arrays(value.__dict__)
    elif isinstance(value, dict):
        for key in value:
            yield from _arrays(key)
        yield from _arrays(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(item)


def held_bytes(roots: Iterable[Any], given: Iterable[np.ndarray]) -> list[tuple[Node, int]]:
    """Bytes of memory that each node is the first to keep alive; none for the memory of the arrays `given`.

    Whole buffers are counted, since a view keeps all of its buffer alive; the pool's are up to an eighth
    larger than the arrays in them.
    """
    seen = {id(memory_of(array)) for array in given}
    found = []
    for node, array in held_arrays(roots):
        memory = memory_of(array)
        if id(memory) not in seen:
            seen.add(id(memory))
            found.append((node, memory.nbytes))
    return found
