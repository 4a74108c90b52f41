"""Weights set to zero and kept there: by magnitude, or N of every M, at once or gradually.

The arrays keep their shapes, so a dense kernel does the same work as before, and a dense file has the same
size. What zeros save is a file that does not store them: `sparse_files`. What makes a model faster is taking
whole channels out: `structured`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from tinytorch.nn import Conv1d, Conv2d, ConvTranspose2d, Linear, Module, MultiheadAttention, Parameter

Array = np.ndarray

_WEIGHTS: dict[type, tuple[str, ...]] = {
    Linear: ("weight",),
    Conv1d: ("weight",),
    Conv2d: ("weight",),
    ConvTranspose2d: ("weight",),
    MultiheadAttention: ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
}


def prunable_weights(
    model: Module, layers: Iterable[str] | None = None, exclude: Iterable[str] = ()
) -> dict[str, Parameter]:
    """The weights of linear layers, convolutions and attention, by their dotted names, each once.

    layers: names of modules or parameters; what is inside counts too. None takes all. exclude: names to leave
    out. Biases, norms and embeddings are never among them: they are few, or each row is needed.

    Raises ValueError for a name that has no such weights, and where none are left.
    """
    found: dict[str, Parameter] = {}
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        for kind, attributes in _WEIGHTS.items():
            for attribute in attributes if isinstance(module, kind) else ():
                weight = getattr(module, attribute)
                if weight is not None and id(weight) not in seen:
                    seen.add(id(weight))
                    found[f"{prefix}.{attribute}" if prefix else attribute] = weight
    layers, exclude = _names("layers", layers), _names("exclude", exclude) or ()
    for name in (*(layers or ()), *exclude):
        if not any(_is_inside(weight, name) for weight in found):
            raise ValueError(
                f"pruning: {name!r} has no weights to prune; these have: {', '.join(found) or 'none'}"
            )
    chosen = {
        name: weight
        for name, weight in found.items()
        if (layers is None or any(_is_inside(name, layer) for layer in layers))
        and not any(_is_inside(name, left_out) for left_out in exclude)
    }
    if not chosen:
        raise ValueError(
            f"pruning: expected at least one linear layer or convolution in {type(model).__name__} that is "
            "not excluded, got none"
        )
    return chosen


def _names(argument: str, names: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise TypeError(f"pruning: expected {argument} to be a list of names, got one string {names!r}")
    return None if names is None else tuple(names)


def _is_inside(name: str, layer: str) -> bool:
    return not layer or name == layer or name.startswith(layer + ".")


def sparsity(model: Module, layers: Iterable[str] | None = None, exclude: Iterable[str] = ()) -> float:
    """The share of the weights (see `prunable_weights`) that are exactly zero, counted now.

    >>> import tinytorch as tt
    >>> layer = tt.nn.Linear(4, 2)
    >>> _ = prune_magnitude(layer, 0.75)
    >>> sparsity(layer)
    0.75
    """
    weights = prunable_weights(model, layers, exclude).values()
    zeros = sum(weight._data.size - np.count_nonzero(weight._data) for weight in weights)
    return float(zeros / max(1, sum(weight._data.size for weight in weights)))


def layer_sparsity(
    model: Module, layers: Iterable[str] | None = None, exclude: Iterable[str] = ()
) -> dict[str, float]:
    """For each weight (see `prunable_weights`) the share that is exactly zero."""
    return {
        name: 1.0 - int(np.count_nonzero(weight._data)) / max(1, weight._data.size)
        for name, weight in prunable_weights(model, layers, exclude).items()
    }


class Pruner:
    """Holds the masks of a model's weights, and sets to zero what they leave out.

    Call `apply()` after each `optimizer.step()`: momentum, Adam's moments and updates without a gradient move
    a weight that is zero, whatever its gradient. The values are changed where they are, also in the flat
    buffer of an optimiser that was made before or after.

    Nothing is added to the model: once training is over, forget the pruner, and the zeros stay.

    masks: for each weight's dotted name, an array of its shape, True for what is kept.

    Cost of `apply()`: one pass over the masked weights, and memory of their size for the bits.

    >>> import tinytorch as tt
    >>> layer = tt.nn.Linear(8, 8)
    >>> optimizer = tt.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    >>> pruner = prune_magnitude(layer, 0.5)
    >>> layer(tt.ones(2, 8)).sum().backward()
    >>> optimizer.step()
    >>> pruner.apply()
    >>> sparsity(layer)
    0.5
    """

    def __init__(self, model: Module, masks: Mapping[str, Array]):
        self.model = model
        self.masks: dict[str, Array] = {}
        self._masked: list[tuple[Parameter, Array]] = []
        self._take(masks)
        self._zero()

    def _take(self, masks: Mapping[str, Array]) -> None:
        named = dict(self.model.named_parameters())
        for name, mask in masks.items():
            if name not in named or np.shape(mask) != named[name].shape:
                wanted = named[name].shape if name in named else f"one of {', '.join(named)}"
                got = np.shape(mask) if name in named else repr(name)
                raise ValueError(f"Pruner: expected a mask for {name} of shape {wanted}, got {got}")
        self.masks = {name: np.asarray(mask, np.bool_) for name, mask in masks.items()}
        self._masked = [(named[name], _bits(mask, named[name])) for name, mask in self.masks.items()]

    def apply(self) -> None:
        """Set to zero again what the last step moved."""
        self._zero()

    def _zero(self) -> None:
        for weight, bits in self._masked:
            weight._write(partial(_and, bits))

    @property
    def sparsity(self) -> float:
        """The share of the masked weights that is left out."""
        kept = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        return 1.0 - kept / max(1, sum(mask.size for mask in self.masks.values()))


def _bits(mask: Array, weight: Parameter) -> Array:
    """All bits set for what is kept: an "and" with them makes anything else zero, NaN and infinity too."""
    return -mask.astype(f"i{weight._data.dtype.itemsize}")


def _and(bits: Array, values: Array) -> None:
    as_integers = values.view(bits.dtype)
    as_integers &= bits


def prune_magnitude(
    model: Module,
    sparsity: float,
    scope: str = "global",
    *,
    layers: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> Pruner:
    """Set the smallest weights to zero, now, in `model` itself. Returns what keeps them there while it trains
    on.

    sparsity: the share of the weights to set to zero, from 0 up and below 1; the number is exact.
    scope: "global" compares all weights with each other, so layers that need fewer lose more; "layer" takes
    the same share of each.
    layers, exclude: as `prunable_weights`.

    Raises ValueError for a sparsity out of range, for names without weights, and where nothing would be left
    of a layer.
    Source: S. Han, J. Pool, J. Tran, W. Dally, "Learning both weights and connections for efficient neural
    networks", 2015.
    """
    return Pruner(model, _magnitude_masks(prunable_weights(model, layers, exclude), sparsity, scope))


def _magnitude_masks(weights: Mapping[str, Parameter], sparsity: float, scope: str) -> dict[str, Array]:
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"pruning: expected a sparsity from 0 up and below 1, got {sparsity}")
    if scope not in ("global", "layer"):
        raise ValueError(f'pruning: expected scope "global" or "layer", got {scope!r}')
    sizes = {name: np.abs(weight._data).ravel() for name, weight in weights.items()}
    if scope == "layer":
        kept = {name: _largest(size, sparsity) for name, size in sizes.items()}
    else:
        ends = np.cumsum([size.size for size in sizes.values()])[:-1]
        together = _largest(np.concatenate(list(sizes.values())), sparsity)
        kept = dict(zip(sizes, np.split(together, ends), strict=True))
    for name, mask in kept.items():
        if mask.size and not mask.any():
            raise ValueError(
                f"pruning: at a sparsity of {sparsity:g} nothing would be left of {name} ({mask.size} "
                'weights). Lower it, exclude the layer, or use scope="layer".'
            )
    return {name: mask.reshape(weights[name].shape) for name, mask in kept.items()}


def _largest(sizes: Array, sparsity: float) -> Array:
    """Which to keep: all but the smallest `sparsity` of them."""
    dropped = round(sparsity * sizes.size)
    kept = np.ones(sizes.size, np.bool_)
    if dropped:
        kept[np.argpartition(sizes, dropped - 1)[:dropped]] = False
    return kept


# --- gradually ------------------------------------------------------------------------------------------


def cubic_sparsity(step: int, steps: int, final: float, initial: float = 0.0) -> float:
    """`final + (initial - final) · (1 - step / steps)³`: fast while there is much to spare, slow at the end.

    Source: M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
    compression", 2017.

    >>> [round(cubic_sparsity(step, 4, 0.8), 4) for step in range(6)]
    [0.0, 0.4625, 0.7, 0.7875, 0.8, 0.8]
    """
    left = 1.0 - min(max(step, 0), steps) / steps if steps else 0.0
    return final + (initial - final) * left**3


class GradualPruner(Pruner):
    """A `Pruner` whose sparsity grows with the steps of the training, along `cubic_sparsity`.

    `apply()` counts the step that was just taken. Every `every` steps until `steps`, and at `steps`, the
    masks are chosen anew by magnitude; what is zero stays zero, as nothing is smaller. Afterwards the masks
    stay as they are: let some training follow.

    sparsity: the final one. steps: of the optimiser, until it is reached. every: how often the masks change.
    initial: the sparsity to begin with, at once. scope, layers, exclude: as `prune_magnitude`.

    >>> import tinytorch as tt
    >>> layer = tt.nn.Linear(10, 10)
    >>> pruner = GradualPruner(layer, 0.8, steps=4)
    >>> found = []
    >>> for _ in range(5):
    ...     pruner.apply()  # behind optimizer.step()
    ...     found.append(sparsity(layer))
    >>> found
    [0.46, 0.7, 0.79, 0.8, 0.8]
    """

    def __init__(
        self,
        model: Module,
        sparsity: float,
        steps: int,
        *,
        every: int = 1,
        initial: float = 0.0,
        scope: str = "global",
        layers: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
    ):
        if steps < 1 or every < 1:
            raise ValueError(
                f"GradualPruner: expected steps and every to be 1 or more, got {steps} and {every}"
            )
        if not 0.0 <= initial <= sparsity:
            raise ValueError(
                f"GradualPruner: expected an initial sparsity from 0 to the final {sparsity}, got {initial}"
            )
        self._weights = prunable_weights(model, layers, exclude)
        self._goal, self._scope = (initial, sparsity), scope
        self._steps, self._every, self._taken = steps, every, 0
        _magnitude_masks(self._weights, sparsity, scope)  # refuses what cannot be reached before it begins
        super().__init__(model, _magnitude_masks(self._weights, initial, scope))

    def apply(self) -> None:
        """Count a step of the optimiser, prune further where it is time, and set to zero what it moved."""
        super().apply()
        self._taken += 1
        if self._taken == self._steps or (self._taken < self._steps and self._taken % self._every == 0):
            initial, final = self._goal
            now = cubic_sparsity(self._taken, self._steps, final, initial)
            self._take(_magnitude_masks(self._weights, now, self._scope))
            self._zero()


# --- N of every M ---------------------------------------------------------------------------------------


def prune_n_m(
    model: Module,
    n: int = 2,
    m: int = 4,
    *,
    layers: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> Pruner:
    """Keep the `n` largest of every `m` weights that stand side by side along the inputs, zero the others.

    The inputs are axis 1 of a weight (out, in, ...): input features of a linear layer, input channels of a
    convolution, at each place of the window. 2 of 4 is the pattern of NVIDIA's sparse tensor cores, which do
    it at twice the speed. This library has no kernel for it: here the model is as fast as before, and only a
    sparse file is smaller.

    Raises ValueError for an n that is not from 1 to m - 1, and by name for weights whose inputs m does not
    divide: exclude these.
    Source: A. Mishra et al., "Accelerating sparse deep neural networks", 2021.

    >>> import tinytorch as tt
    >>> layer = tt.nn.Linear(8, 3)
    >>> pruner = prune_n_m(layer)
    >>> (layer.weight.data.reshape(3, 2, 4) != 0).sum(2).tolist()
    [[2, 2], [2, 2], [2, 2]]
    """
    if not 1 <= n < m:
        raise ValueError(f"prune_n_m: expected 1 <= n < m, got n={n} and m={m}")
    return Pruner(
        model,
        {
            name: _n_of_m(name, weight._data, n, m)
            for name, weight in prunable_weights(model, layers, exclude).items()
        },
    )


def _n_of_m(name: str, weight: Array, n: int, m: int) -> Array:
    if weight.shape[1] % m:
        raise ValueError(
            f"prune_n_m: {name} has {weight.shape[1]} inputs, which {m} does not divide. Exclude it."
        )
    groups = np.moveaxis(np.abs(weight), 1, -1)
    shape = groups.shape
    groups = groups.reshape(-1, m)
    kept = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(kept, np.argpartition(groups, m - n, axis=1)[:, m - n :], True, axis=1)
    return np.moveaxis(kept.reshape(shape), -1, 1)
