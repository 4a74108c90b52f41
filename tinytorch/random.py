"""Random numbers from counters: a generator is a seed and a position, so it can be saved.

The same seed gives the same numbers for any number of threads. `dropout` keeps the counter of its numbers
instead of a mask, and draws them again for its gradient.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.kernels import random as kernels

_MASK = (1 << 63) - 1
_NUMPY_STREAM = 0x6E756D7079  # keeps what NumPy draws apart from what the kernels draw


class Generator:
    """A source of random numbers with its own seed and position.

    >>> import tinytorch as tt
    >>> g = tt.Generator().manual_seed(7)
    >>> a = tt.rand(3, generator=g)
    >>> bool((a == tt.rand(3, generator=tt.Generator().manual_seed(7))).all())
    True
    """

    def __init__(self, device: str = "cpu"):
        if device != "cpu":
            raise ValueError(f"Generator: expected device 'cpu', got {device!r}")
        self._seed = 0
        self._offset = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start again, at `seed`."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise TypeError(f"manual_seed: expected an integer, got {seed!r}")
        self._seed, self._offset = int(seed) & _MASK, 0
        return self

    def seed(self) -> int:
        """Start again at a seed that nobody can guess, and return it."""
        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the numbers began with."""
        return self._seed

    def get_state(self) -> Any:
        """Seed and position, as an int64 tensor of two numbers."""
        return registry.new_tensor(np.array([self._seed, self._offset], np.int64))

    def set_state(self, state: Any) -> Generator:
        """Continue where `get_state` was called."""
        numbers = np.asarray(state).ravel()
        if numbers.size != 2 or numbers.dtype.kind not in "iu" or numbers.min() < 0:
            raise ValueError(f"set_state: expected the two whole numbers that get_state gave, got {state!r}")
        self._seed, self._offset = (int(n) for n in numbers)
        return self

    def take(self, n: int) -> tuple[int, int]:
        """Reserve `n` blocks of numbers (`kernels.random.blocks`): the seed, and where the first is."""
        offset = self._offset
        self._offset = offset + n
        return self._seed, offset

    def numpy(self) -> np.random.Generator:
        """A NumPy generator of its own for every call, fixed by the seed and the position."""
        seed, offset = self.take(1)
        return np.random.Generator(np.random.Philox(key=seed | _NUMPY_STREAM << 64, counter=offset << 64))

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, position={self._offset})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Fix all random numbers drawn from here on that no other generator is named for.

    >>> import tinytorch as tt
    >>> _ = tt.manual_seed(0)
    >>> a = tt.rand(3)
    >>> _ = tt.manual_seed(0)
    >>> tt.equal(a, tt.rand(3))
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator with something that nobody can guess, and return it.

    >>> import tinytorch as tt
    >>> tt.seed() == tt.initial_seed()
    True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator.

    >>> import tinytorch as tt
    >>> _ = tt.manual_seed(3)
    >>> tt.initial_seed()
    3
    """
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """State of the default generator, to be given to `set_rng_state`: what a resumed run needs.

    >>> import tinytorch as tt
    >>> state = tt.get_rng_state()
    >>> a = tt.rand(3)
    >>> tt.set_rng_state(state)
    >>> tt.equal(a, tt.rand(3))
    True
    """
    return default_generator.get_state()


def set_rng_state(state: Any) -> None:
    """Put the default generator back to a state that `get_rng_state` gave.

    >>> import tinytorch as tt
    >>> tt.set_rng_state(tt.tensor([7, 0]))
    >>> tt.initial_seed()
    7
    """
    default_generator.set_state(state)


def uniform(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None = None) -> np.ndarray:
    """An ndarray from [0, 1), drawn from `generator` or the default one."""
    seed, offset = (generator or default_generator).take(kernels.blocks(math.prod(shape), dtype))
    return kernels.uniform(shape, dtype, seed, offset)


def normal(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None = None) -> np.ndarray:
    """An ndarray from the standard normal distribution, drawn from `generator` or the default one."""
    seed, offset = (generator or default_generator).take(kernels.blocks(math.prod(shape), dtype, normal=True))
    return kernels.normal(shape, dtype, seed, offset)
