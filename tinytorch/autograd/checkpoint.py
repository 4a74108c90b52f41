"""`checkpoint`: save memory by computing a part of the network twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinytorch.autograd import graph, registry
from tinytorch.autograd.modes import enable_grad, modes
from tinytorch.autograd.registry import Node, Op
from tinytorch.random import get_rng_state, set_rng_state
from tinytorch.tensor import Tensor


def checkpoint(func: Callable[..., Tensor], *inputs: Any, **options: Any) -> Tensor:
    """`func(*inputs, **options)`, of which only the inputs are kept: backward computes the rest again.

    What `func` saves for its gradient is dropped at once, so a chain of n blocks keeps n results and the
    inside of one block instead of the inside of all, for one more forward pass. Parameters that `func`
    refers to get their gradients too. Random numbers that the
    default generator draws come out the same the second time.
    Raises RuntimeError in backward when an input was changed in place after the call.

    Source: Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016.

    >>> import tinytorch as tt
    >>> x = tt.tensor([1.0, 2.0], requires_grad=True)
    >>> tt.autograd.checkpoint(lambda x: x * x, x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    if not modes.grad:
        return func(*inputs, **options)
    start, random_state = next(registry._order), get_rng_state()
    result = func(*inputs, **options)
    if not isinstance(result, Tensor):
        raise TypeError(f"checkpoint: expected func to give one tensor, got {type(result).__name__}")
    inside = result._node
    if inside is None or inside.order < start:
        return result
    edges = _edges_out_of(inside, start)
    used = {t: t._version for t in (*inputs, *edges) if isinstance(t, Tensor)}
    node = Node(_CHECKPOINT, {}, edges, [True] * len(edges), result._data)
    node.extras, node.site = (func, inputs, options, used, random_state), inside.site
    result._node = node
    return result


def _edges_out_of(last: Node, start: int) -> list[Any]:
    """The leaves, and the nodes made before `start`, on which the part of the graph up to `last` depends."""
    edges: dict[Any, None] = {}
    seen: set[Node] = {last}
    stack = [last]
    while stack:
        for edge in stack.pop().edges:
            if type(edge) is Node and edge.order > start:
                if edge not in seen:
                    seen.add(edge)
                    stack.append(edge)
            elif edge is not None:
                edges[edge] = None
    return list(edges)


def _recompute(ctx: Node, g: Any) -> tuple[Any, ...]:
    """Gradients for the edges of a checkpoint: its part of the graph is made again, and walked."""
    func, inputs, options, used, random_state = ctx.extras
    for tensor, version in used.items():
        if tensor._version != version:
            raise RuntimeError(
                f"backward through 'checkpoint': a tensor of shape {tensor.shape} that it computes from was "
                f"changed in place since (version {tensor._version}, expected {version}), so computing again "
                "would give something else. Use the out-of-place operation, or change a .clone()."
            )
    now = get_rng_state()
    set_rng_state(random_state)
    try:
        with enable_grad():
            result = func(*inputs, **options)
    finally:
        set_rng_state(now)
    found = graph.backward([result], [g], create_graph=modes.grad, retain_graph=modes.grad, inputs=ctx.edges,
                           stop_at_inputs=True)  # fmt: skip
    assert found is not None
    return tuple(found)


_CHECKPOINT = Op(name="checkpoint", forward=lambda *tensors: tensors, rule=_recompute)
