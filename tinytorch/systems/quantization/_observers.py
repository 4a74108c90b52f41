"""Observers: what range of numbers flows through a place, and which part of it the codes shall cover.

Each is called with batch after batch and then asked for `qparams()`. They are modules, so what they saw is
part of a state dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.nn import Module
from tinytorch.systems.quantization._report import UncalibratedModel
from tinytorch.systems.quantization._scheme import QParams, choose_qparams
from tinytorch.tensor import Tensor

BINS = 2048  # of a histogram: eight for each code


class Observer(Module):
    """What observers share. Subclasses define `_observe(x)`, and may define `_range()`.

    symmetric, dtype: the scheme of the result, see `choose_qparams`.

    Raises ValueError for NaN or infinity, which no scale can cover.
    """

    low: Tensor
    high: Tensor
    _axis: int | None = None

    def __init__(self, symmetric: bool = False, dtype: Any = np.uint8):
        super().__init__()
        self.symmetric, self.dtype = symmetric, np.dtype(dtype)
        self.register_buffer("low", Tensor(np.array([np.inf], np.float32)))
        self.register_buffer("high", Tensor(np.array([-np.inf], np.float32)))

    def forward(self, x: Any) -> Any:
        """Take note of the numbers in x; returns x."""
        array = x._data if isinstance(x, Tensor) else np.asarray(x)
        if array.size:
            low, high = self._extremes(array)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise ValueError(
                    f"{type(self).__name__}: expected finite numbers, got NaN or infinity in an input of "
                    f"shape {array.shape}"
                )
            self._observe(array, low, high)
        return x

    @property
    def seen(self) -> bool:
        """Whether it was given any numbers."""
        return bool(np.isfinite(self.low._data).all())

    def qparams(self) -> QParams:
        """The scale and zero point for what was seen. Raises UncalibratedModel where nothing was."""
        if not self.seen:
            raise UncalibratedModel(
                f"{type(self).__name__}: nothing was observed yet. Call it with data first."
            )
        low, high = self._range()
        return choose_qparams(low, high, self.symmetric, self.dtype, self._axis)

    def _extremes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest = None if self._axis is None else tuple(i for i in range(x.ndim) if i != self._axis % x.ndim)
        return np.atleast_1d(x.min(axis=rest)), np.atleast_1d(x.max(axis=rest))

    def _observe(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        raise NotImplementedError

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        return self.low._data, self.high._data

    def _keep(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = Tensor(low.astype(np.float32)), Tensor(high.astype(np.float32))

    def extra_repr(self) -> str:
        """The scheme, and the range."""
        seen = f"{self.low._data.min():.4g} to {self.high._data.max():.4g}" if self.seen else "nothing yet"
        return f"{'symmetric' if self.symmetric else 'affine'} {self.dtype}, seen: {seen}"


class MinMaxObserver(Observer):
    """From the least to the largest number seen. axis: of channels, each with a range of its own.

    >>> observer = MinMaxObserver()
    >>> _ = observer(np.float32([-1.0, 0.5])), observer(np.float32([3.0]))
    >>> observer
    MinMaxObserver(affine uint8, seen: -1 to 3)
    """

    def __init__(self, symmetric: bool = False, dtype: Any = np.uint8, axis: int | None = None):
        super().__init__(symmetric, dtype)
        self._axis = axis

    def _observe(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self._keep(np.minimum(low, self.low._data), np.maximum(high, self.high._data))


class MovingAverageMinMaxObserver(MinMaxObserver):
    """`range += momentum · (range of this batch - range)`: follows a model that is being trained.

    >>> observer = MovingAverageMinMaxObserver(momentum=0.5)
    >>> _ = observer(np.float32([0.0, 2.0])), observer(np.float32([0.0, 4.0]))
    >>> observer.high
    tensor([3.])
    """

    def __init__(
        self, symmetric: bool = False, dtype: Any = np.uint8, axis: int | None = None, momentum: float = 0.01
    ):
        super().__init__(symmetric, dtype, axis)
        if not 0.0 < momentum <= 1.0:
            raise ValueError(
                f"MovingAverageMinMaxObserver: expected a momentum above 0, up to 1, got {momentum}"
            )
        self.momentum = momentum

    def _observe(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        if self.seen:
            before = self.low._data, self.high._data
            low, high = (
                old + self.momentum * (new - old) for old, new in zip(before, (low, high), strict=True)
            )
        self._keep(low, high)


class _HistogramObserver(Observer):
    """Counts in `BINS` bins: memory does not grow with the data, and no number is forgotten.

    A bin is 2^e wide and begins at a multiple of that, so when the range outgrows the bins, e grows, and each
    pair of bins falls into one: the counts stay exact, and do not depend on the order of the batches.
    """

    counts: Tensor
    place: Tensor  # number of the first bin, and e

    def __init__(self, symmetric: bool = False, dtype: Any = np.uint8):
        super().__init__(symmetric, dtype)
        self.register_buffer("counts", Tensor(np.zeros(BINS, np.int64)))
        self.register_buffer("place", Tensor(np.zeros(2, np.int64)))

    def _observe(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        before = self.place._data if self.seen else None
        self._keep(np.minimum(low, self.low._data), np.maximum(high, self.high._data))
        least, most = float(self.low._data[0]), float(self.high._data[0])
        exponent = _exponent(least, most)
        first = math.floor(math.ldexp(least, -exponent))
        counts = np.zeros(BINS, np.int64)
        if before is not None:
            bins = ((before[0] + np.arange(BINS)) >> (exponent - before[1])) - first
            full = self.counts._data > 0
            np.add.at(counts, bins[full], self.counts._data[full])
        places = np.floor(np.ldexp(x.ravel().astype(np.float64), -exponent)).astype(np.int64) - first
        counts += np.bincount(places, minlength=BINS)
        self.counts, self.place = Tensor(counts), Tensor(np.array([first, exponent]))

    def _edges(self) -> np.ndarray:
        """Where the bins begin, and the last ends."""
        first, exponent = self.place._data
        return np.ldexp((first + np.arange(BINS + 1)).astype(np.float64), int(exponent))


def _exponent(low: float, high: float) -> int:
    """The smallest e for which bins of 2^e, at multiples of it, cover the range."""
    width = (high - low) / BINS or max(abs(high), 1e-30) / BINS
    e = max(math.frexp(width)[1] - 1, -160)
    while math.floor(math.ldexp(high, -e)) - math.floor(math.ldexp(low, -e)) >= BINS:
        e += 1
    return e


class PercentileObserver(_HistogramObserver):
    """All but the outermost (100 - percentile) % of the numbers at either end, which are clipped.

    A single large activation then no longer costs all others their resolution.

    >>> observer = PercentileObserver(percentile=99.0)
    >>> _ = observer(np.arange(1001, dtype=np.float32))
    >>> [round(float(x[0])) for x in observer._range()]
    [10, 990]
    """

    def __init__(self, symmetric: bool = False, dtype: Any = np.uint8, percentile: float = 99.99):
        super().__init__(symmetric, dtype)
        if not 50.0 < percentile <= 100.0:
            raise ValueError(
                f"PercentileObserver: expected a percentile above 50, up to 100, got {percentile}"
            )
        self.percentile = percentile

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        below = np.concatenate([[0], np.cumsum(self.counts._data)])
        wanted = below[-1] * np.array([1 - self.percentile / 100, self.percentile / 100])
        found = np.clip(np.interp(wanted, below, self._edges()), self.low._data[0], self.high._data[0])
        return found[:1], found[1:]


class MSEObserver(_HistogramObserver):
    """The range with the least mean squared error between numbers and what their codes stand for.

    Searches each end in turn, the other held, twice, among 64 shares of what was seen.
    Source: the idea of R. Banner, Y. Nahshan, D. Soudry, "Post training 4-bit quantization of convolutional
    networks for rapid-deployment", 2019, on a histogram instead of an assumed distribution.
    """

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        full = self.counts._data > 0
        edges = np.clip(self._edges(), self.low._data[0], self.high._data[0])
        values, counts = ((edges[:-1] + edges[1:]) / 2)[full], self.counts._data[full]
        low, high = min(float(self.low._data[0]), 0.0), max(float(self.high._data[0]), 0.0)
        shares = np.arange(1, 65) / 64

        def best(lows: np.ndarray, highs: np.ndarray) -> int:
            p = choose_qparams(lows, highs, self.symmetric, self.dtype)
            scale, zero = p.scale[:, None].astype(np.float64), p.zero[:, None]
            codes = np.clip(np.rint(values / scale) + zero, *p.limits)
            errors = (counts * ((codes - zero) * scale - values) ** 2).sum(1)
            return int(errors.argmin())

        least, most = low, high
        for _ in range(2):
            most = high * shares[best(np.full(64, least), high * shares)]
            least = low * shares[best(low * shares, np.full(64, most))]
        return np.array([least]), np.array([most])


OBSERVERS: dict[str, Callable[[], Observer]] = {
    "minmax": MinMaxObserver,
    "moving": MovingAverageMinMaxObserver,
    "percentile": PercentileObserver,
    "mse": MSEObserver,
}


def make_observer(observer: str | Callable[[], Observer]) -> Observer:
    """A fresh observer, by name or from what makes one, such as a class or a `functools.partial`."""
    if isinstance(observer, str):
        if observer not in OBSERVERS:
            raise ValueError(f"expected an observer among {', '.join(OBSERVERS)}, got {observer!r}")
        observer = OBSERVERS[observer]
    made = observer()
    if not isinstance(made, Observer):
        raise TypeError(
            f"expected a name, or a function without arguments that makes an Observer; it made a "
            f"{type(made).__name__}"
        )
    return made
