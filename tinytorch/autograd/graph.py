"""The backward pass: an iterative walk over the graph, newest operation first, that frees as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from tinytorch.autograd.anomaly import check_backward
from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, new_tensor, observers
from tinytorch.kernels.elementwise import add

_OWN = 0x401  # NPY_ARRAY_C_CONTIGUOUS | WRITEABLE, in one flags lookup


def backward(
    roots: Sequence[Any],
    gradients: Sequence[Any],
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Any] | None = None,
    stop_at_inputs: bool = False,
) -> list[Any] | None:
    """Carry `gradients` of `roots` back through the graph.

    Without `inputs`, gradients are added to `.grad` of every leaf, and None is returned.  With it, nothing is
    stored, and the gradients of exactly those tensors are returned (None for one that was not reached).
    `inputs` may hold nodes too; with `stop_at_inputs` nothing behind them counts as reached.

    An operation is always recorded after the operations it depends on, so taking the newest pending node
    first visits every node after all of its consumers: no counting, no recursion.
    """
    targets = None if inputs is None else {_target(t) for t in inputs}
    found: dict[Any, Any] = {}  # of the targets, the gradients that are known
    wanted = None if targets is None else _nodes_towards(roots, targets, stop_at_inputs)
    pending: dict[Any, Any] = {}  # node or leaf -> sum of the gradients that arrived, a tensor or an ndarray
    shared: set[int] = set()  # memory that a leaf's .grad must not alias
    queue: list[tuple[int, Node]] = []
    on_arrays = not (create_graph or observers or modes.anomaly)

    def arrive(target: Any, gradient: Any) -> None:
        array = gradient if type(gradient) is np.ndarray else gradient._data
        like = target if type(target) is Node else target._data
        if array.shape != like.shape or array.dtype is not like.dtype:
            gradient = _fit(_tensor(gradient), like)
        if target in pending:  # into a new array: a rule may have returned one that somebody else holds
            first = pending[target]
            if type(first) is np.ndarray and type(gradient) is np.ndarray:
                pending[target] = add(first, gradient)
            else:
                pending[target] = _tensor(first) + _tensor(gradient)
            return
        pending[target] = gradient
        if like is target:
            heappush(queue, (-target.order, target))

    before = modes.grad, modes.backward
    modes.grad, modes.backward = create_graph, True
    try:
        for root, gradient in zip(roots, gradients, strict=True):
            shared.add(_owner(gradient._data))
            arrive(_target(root), gradient)
        while queue:
            node = heappop(queue)[1]
            g = pending.pop(node)
            if node.hooks:
                g = _run_hooks(node.hooks, _tensor(g))
                shared.add(_owner(g._data))
            needs = node.needs
            if targets is not None:
                if node in targets:
                    found[node] = g = _tensor(g)
                assert wanted is not None
                if node not in wanted:
                    continue
                needs = [n and (e in wanted or e in targets) for n, e in zip(needs, node.edges, strict=True)]
            gradients = _gradients(node, g, needs, on_arrays)
            for edge, need, gradient in zip(node.edges, needs, gradients, strict=True):
                if need and gradient is not None:
                    arrive(edge, gradient)
            if not retain_graph:
                node.release()
        for leaf, g in pending.items():
            g = _tensor(g)
            if leaf._hooks:
                g = _run_hooks(leaf._hooks, g)
                shared.add(_owner(g._data))
            if targets is None:
                _accumulate(leaf, g, create_graph, shared)
            elif leaf in targets:
                found[leaf] = g
    finally:
        modes.grad, modes.backward = before
    return None if inputs is None else [found.get(_target(t)) for t in inputs]


def _target(tensor: Any) -> Any:
    """What a gradient of `tensor` goes to: the node that made it, or the leaf itself."""
    return tensor if type(tensor) is Node or tensor._node is None else tensor._node


def _nodes_towards(roots: Sequence[Any], targets: set[Any], stop: bool) -> set[Any]:
    """The nodes and leaves on a path from `roots` to `targets`, so that nothing else is computed."""
    wanted: set[Any] = set()
    seen: set[Any] = set()
    stack: list[tuple[Any, bool]] = [(_target(r), False) for r in roots]
    while stack:
        at, finished = stack.pop()
        edges = at.edges if type(at) is Node and not (stop and at in targets) else ()
        if finished:
            if any(e is not None and (e in wanted or e in targets) for e in edges):
                wanted.add(at)
        elif at not in seen:
            seen.add(at)
            stack.append((at, True))
            stack.extend((e, False) for e in edges if e is not None)
    return wanted


def _gradients(node: Node, g: Any, needs: Sequence[bool], on_arrays: bool) -> Sequence[Any]:
    """What the rule of `node` makes of `g`: a gradient or None for each edge, on ndarrays if it can."""
    op = node.op
    if node.released:
        raise RuntimeError(
            f"backward through '{op.name}' a second time: its saved arrays were freed by the first. "
            "Expected one backward per forward; pass retain_graph=True to the earlier call to keep them."
        )
    if op.rule is None:
        raise RuntimeError(f"op '{op.name}' has no gradient rule; register one with @{op.name}.gradient")
    recorded, node.needs = node.needs, needs
    try:
        gradients = _on_arrays(node, g) if on_arrays and op.rule_on_arrays else NotImplemented
        if gradients is NotImplemented:
            gradients = op.rule(node, _tensor(g))
    finally:
        node.needs = recorded
    if type(gradients) is not tuple:
        gradients = (gradients,)
    if not on_arrays and modes.anomaly:
        check_backward(node, g, [x if need else None for x, need in zip(gradients, needs, strict=True)])
    return gradients


def _on_arrays(node: Node, g: Any) -> Any:
    """What the rule makes of an ndarray, NotImplemented if it declines."""
    assert node.op.rule is not None
    modes.arrays = node.arrays = True
    try:
        return node.op.rule(node, g if type(g) is np.ndarray else g._data)
    finally:
        modes.arrays = node.arrays = False


def _tensor(gradient: Any) -> Any:
    return new_tensor(gradient) if type(gradient) is np.ndarray else gradient


def _fit(gradient: Any, like: Any) -> Any:
    """Undo broadcasting and casts: a tensor of the shape and dtype of what the gradient belongs to."""
    if gradient._data.shape != like.shape:
        gradient = gradient.sum_to(like.shape)
    return gradient.to(like.dtype)


def _owner(array: np.ndarray) -> int:
    """Identity of the memory that `array` is, or is a view of."""
    return id(array if array.base is None else array.base)


def _accumulate(leaf: Any, g: Any, create_graph: bool, shared: set[int]) -> None:
    """Add `g` to the leaf's `.grad`, which owns its memory: two leaves may have been given the same array."""
    if leaf.grad is not None:
        g = leaf.grad + g
    elif not create_graph:
        array = g._data
        if array.flags.num & _OWN != _OWN or _owner(array) in shared:
            g = new_tensor(array.copy(order="C"))
    shared.add(_owner(g._data))
    leaf.grad = g


def _run_hooks(hooks: dict[int, Callable], g: Any) -> Any:
    within, modes.backward = modes.backward, False
    try:
        for hook in tuple(hooks.values()):
            changed = hook(g)
            if changed is not None:
                g = changed
    finally:
        modes.backward = within
    return g
