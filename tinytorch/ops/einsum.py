"""Einstein summation, carried out pair by pair as matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinytorch.autograd.registry import as_tensors
from tinytorch.ops.arithmetic import mul
from tinytorch.ops.matmul import matrix_product
from tinytorch.ops.shape import diagonal, expand, permute, reshape


def einsum(equation: str, *operands: Any) -> Any:
    """Products of the operands summed over every letter that is missing on the right of `->`.

    Each operand's axes are named by letters; equal ones run together, `...` stands for axes that broadcast.
    Without `->`, the letters that occur once are kept, in alphabetical order.

    >>> import tinytorch as tt
    >>> a, b = tt.ones(2, 3), tt.ones(3, 4)
    >>> tt.einsum("ik,kj->ij", a, b).shape
    (2, 4)
    >>> tt.einsum("ii", tt.eye(3)).item()
    3.0
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    tensors = as_tensors(mul, operands)
    inputs, output = _parse(equation, [t.ndim for t in tensors])
    sizes = _sizes(equation, inputs, tensors)
    terms = [_without_repeats(t, names) for t, names in zip(tensors, inputs, strict=True)]
    result, names = terms[0]
    for i, (other, other_names) in enumerate(terms[1:], start=1):
        wanted = {*output, *(n for _, rest in terms[i + 1 :] for n in rest)}
        result, names = _contract(result, names, other, other_names, wanted)
    result, names = _sum_out(result, names, set(output))
    missing = [n for n in output if n not in names]
    result = reshape(result, shape=(*result.shape, *(1 for _ in missing)))
    result = permute(result, dims=tuple((names + missing).index(n) for n in output))
    return expand(result, shape=tuple(sizes[n] for n in output)) if missing else result


def _parse(equation: str, ndims: list[int]) -> tuple[list[list[str]], list[str]]:
    """Names of the axes of each operand and the result; those of `...` are 0, 1, ... from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ndims):
        raise ValueError(f"einsum: {equation!r} names {len(parts)} operands, got {len(ndims)}")
    inputs, most = [], 0
    for part, ndim in zip(parts, ndims, strict=True):
        letters = part.replace("...", "")
        if not all(c.isalpha() for c in letters) or part.count("...") > 1:
            raise ValueError(
                f"einsum: expected letters, at most one '...' an operand and '->', got {equation!r}"
            )
        extra = ndim - len(letters)
        if extra < 0 or (extra and "..." not in part):
            raise ValueError(f"einsum: {part!r} names {len(letters)} axes, but its operand has {ndim}")
        before, _, after = part.partition("...")
        dots = [str(i) for i in reversed(range(extra))] if "..." in part else []
        inputs.append([*before, *dots, *after])
        most = max(most, len(dots))
    dots = [str(i) for i in reversed(range(most))]
    flat = [n for names in inputs for n in names]
    if not arrow:
        once = sorted(n for n in {*flat} if n.isalpha() and flat.count(n) == 1)
        return inputs, [*dots, *once]
    before, ellipsis, after = right.partition("...")
    output = [*before, *(dots if ellipsis else []), *after]
    for name in output:
        if name.isalpha() and name not in flat:
            raise ValueError(f"einsum: {name!r} on the right of {equation!r} is on no operand")
    if len({*output}) != len(output):
        raise ValueError(f"einsum: the right of {equation!r} names an axis twice")
    return inputs, output


def _sizes(equation: str, inputs: list[list[str]], tensors: Sequence[Any]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for names, tensor in zip(inputs, tensors, strict=True):
        for name, length in zip(names, tensor.shape, strict=True):
            known = sizes.setdefault(name, length)
            if known == 1:
                sizes[name] = length
            elif length not in (1, known):
                what = f"axis {name!r}" if name.isalpha() else "an axis of '...'"
                raise ValueError(
                    f"einsum: {what} of {equation!r} is {known} long in one operand and {length} in another"
                )
    return sizes


def _without_repeats(x: Any, names: list[str]) -> tuple[Any, list[str]]:
    """Take the diagonal where one operand has a letter twice."""
    names = list(names)
    while len({*names}) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        first = names.index(twice)
        second = names.index(twice, first + 1)
        x = diagonal(x, dim1=first, dim2=second)
        names = [n for i, n in enumerate(names) if i not in (first, second)] + [twice]
    return x, names


def _sum_out(x: Any, names: list[str], wanted: set[str]) -> tuple[Any, list[str]]:
    gone = tuple(i for i, n in enumerate(names) if n not in wanted)
    return (x.sum(gone) if gone else x), [n for n in names if n in wanted]


def _contract(
    a: Any, a_names: list[str], b: Any, b_names: list[str], wanted: set[str]
) -> tuple[Any, list[str]]:
    """One pair as a batch of matrix products: (batch, rows, summed) @ (batch, summed, columns)."""
    a, a_names = _sum_out(a, a_names, wanted | {*b_names})
    b, b_names = _sum_out(b, b_names, wanted | {*a_names})
    shared = [n for n in a_names if n in b_names]
    batch = [n for n in shared if n in wanted]
    summed = [n for n in shared if n not in wanted]
    rows = [n for n in a_names if n not in shared]
    columns = [n for n in b_names if n not in shared]
    size = {**dict(zip(a_names, a.shape, strict=True))}
    for name, length in zip(b_names, b.shape, strict=True):
        size[name] = max(length, size.get(name, 1)) if 0 not in (length, size.get(name, 1)) else 0
    a, b = _stretch(a, a_names, size), _stretch(b, b_names, size)
    lengths = [[size[n] for n in group] for group in (batch, rows, summed, columns)]
    products = [math.prod(group) for group in lengths]
    a = permute(a, dims=tuple(a_names.index(n) for n in batch + rows + summed))
    b = permute(b, dims=tuple(b_names.index(n) for n in batch + summed + columns))
    if not summed:
        a = reshape(a, shape=(*lengths[0], *lengths[1], *(1 for _ in columns)))
        b = reshape(b, shape=(*lengths[0], *(1 for _ in rows), *lengths[3]))
        return mul(a, b), batch + rows + columns
    batches = (products[0],) if batch else ()
    product = matrix_product(
        reshape(a, shape=(*batches, products[1], products[2])),
        reshape(b, shape=(*batches, products[2], products[3])),
    )
    return reshape(product, shape=(*lengths[0], *lengths[1], *lengths[3])), batch + rows + columns


def _stretch(x: Any, names: list[str], size: dict[str, int]) -> Any:
    """Broadcast axes of length 1 that the other operand has longer."""
    shape = tuple(size[n] for n in names)
    return x if x.shape == shape else expand(x, shape=shape)
