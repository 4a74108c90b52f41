"""The backward pass: an iterative walk over the graph, newest operation first, that frees as it goes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, new_tensor


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
    pending: dict[Any, Any] = {}  # node or leaf -> sum of the gradients that arrived
    shared = {_owner(g._data) for g in gradients}  # memory that a leaf's .grad must not alias
    queue: list[tuple[int, Node]] = []

    def arrive(target: Any, gradient: Any) -> None:
        so_far = pending.get(target)
        if so_far is not None:
            pending[target] = so_far + gradient
            return
        pending[target] = gradient
        if type(target) is Node:
            heapq.heappush(queue, (-target.order, target))

    mode_before, modes.grad = modes.grad, create_graph
    try:
        for root, gradient in zip(roots, gradients, strict=True):
            arrive(_target(root), gradient)
        while queue:
            node = heapq.heappop(queue)[1]
            g = pending.pop(node)
            if node.hooks:
                g = _run_hooks(node.hooks, g)
                shared.add(_owner(g._data))
            if targets is not None and node in targets:
                found[node] = g
            if wanted is not None and node not in wanted:
                continue
            needs = node.needs
            if wanted is not None:
                needs = [n and (e in wanted or e in targets) for n, e in zip(needs, node.edges, strict=True)]
            for edge, gradient in zip(node.edges, _gradients(node, g, needs), strict=True):
                if gradient is not None:
                    arrive(edge, _fit(gradient, edge))
            if not retain_graph:
                _release(node)
        for leaf, g in pending.items():
            if leaf._hooks:
                g = _run_hooks(leaf._hooks, g)
                shared.add(_owner(g._data))
            if targets is None:
                _accumulate(leaf, g, create_graph, shared)
            elif leaf in targets:
                found[leaf] = g
    finally:
        modes.grad = mode_before
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


def _gradients(node: Node, g: Any, needs: Sequence[bool]) -> Sequence[Any]:
    """What the rule of `node` makes of `g`: a gradient or None for each edge."""
    op = node.op
    if node.released:
        raise RuntimeError(
            f"backward through '{op.name}' a second time: its saved arrays were freed by the first. "
            "Expected one backward per forward; pass retain_graph=True to the earlier call to keep them."
        )
    if op.rule is None:
        raise RuntimeError(f"op '{op.name}' has no gradient rule; register one with @{op.name}.gradient")
    recorded, node.needs = node.needs, needs
    within, modes.backward = modes.backward, True
    try:
        gradients = op.rule(node, g)
    finally:
        node.needs, modes.backward = recorded, within
    if type(gradients) is not tuple:
        gradients = (gradients,)
    gradients = [gradient if need else None for gradient, need in zip(gradients, needs, strict=True)]
    if modes.anomaly:
        _check_backward(node, g, gradients)
    return gradients


def _fit(gradient: Any, target: Any) -> Any:
    """Undo broadcasting and casts: the gradient gets the shape and dtype of what it belongs to."""
    array = gradient._data
    if array.shape != target.shape:
        gradient = gradient.sum_to(target.shape)
        array = gradient._data
    if array.dtype != target.dtype:
        gradient = gradient.to(target.dtype)
    return gradient


def _owner(array: np.ndarray) -> int:
    """Identity of the memory that `array` is, or is a view of."""
    return id(array if array.base is None else array.base)


def _accumulate(leaf: Any, g: Any, create_graph: bool, shared: set[int]) -> None:
    """Add `g` to the leaf's `.grad`, which owns its memory: two leaves may have been given the same array."""
    if leaf.grad is not None:
        g = leaf.grad + g
    elif not create_graph:
        array = g._data
        if not array.flags.c_contiguous or not array.flags.writeable or _owner(array) in shared:
            g = new_tensor(array.copy(order="C"))
    shared.add(_owner(g._data))
    leaf.grad = g


def _release(node: Node) -> None:
    """Drop what the rule reads; one that reads nothing can run again."""
    if node.saved is not None or node.out is not None or node.extras is not None:
        node.saved = node.out = node.extras = None
        node.released = True


def _run_hooks(hooks: dict[int, Callable], g: Any) -> Any:
    for hook in tuple(hooks.values()):
        changed = hook(g)
        if changed is not None:
            g = changed
    return g


def _check_backward(node: Node, g: Any, gradients: Sequence[Any]) -> None:
    for i, gradient in enumerate(gradients):
        if gradient is not None and np.isnan(gradient._data).any():
            sick = " (the gradient that came in held NaN already)" if np.isnan(g._data).any() else ""
            raise RuntimeError(
                f"detect_anomaly: the gradient of '{node.op.name}' made a NaN for its argument {i}, shape "
                f"{gradient.shape}{sick}; the operation was called at "
                f"{node.site or 'a line before the mode was on'}."
            )
