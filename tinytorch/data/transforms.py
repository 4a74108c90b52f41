"""What varies images in training, a batch at a time: crops, flips, covered squares, and the scale of numbers.

A transform is called with images (n, c, h, w) and gives images of the same kind, tensor or array; uint8 stays
uint8 until `Normalize` makes numbers of it. `DataLoader(..., transform=...)` calls it on the images of each
batch, in the thread that makes the batches, with random numbers fixed by the seed and the batch's number.

>>> import tinytorch as tt
>>> from tinytorch.data import transforms
>>> vary = transforms.Compose([
...     transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
...     transforms.RandomHorizontalFlip(),
...     transforms.Normalize(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
... ])
>>> images = vary(tt.zeros(8, 3, 32, 32, dtype="uint8"))
>>> images.shape, images.dtype, images[0, 0, 0, 0].item()
((8, 3, 32, 32), dtype('float32'), -2.0)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels import augment as kernels
from tinytorch.ops.conv import pair
from tinytorch.tensor import Tensor

Array = np.ndarray
Transform = Callable[[Any, random.Generator | None], Any]
PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class Compose:
    """One transform after the other.

    >>> Compose([RandomHorizontalFlip(), Cutout(8)])
    Compose([RandomHorizontalFlip(p=0.5), Cutout(size=8, p=1.0, fill=0)])
    """

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = list(transforms)

    def __call__(self, images: Any, generator: random.Generator | None = None) -> Any:
        for transform in self.transforms:
            images = transform(images, generator)
        return images

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class _Transform:
    """Unpacks tensors, checks what comes, and hands arrays to `apply`."""

    def __call__(self, images: Any, generator: random.Generator | None = None) -> Any:
        array = images._data if isinstance(images, Tensor) else np.asarray(images)
        if array.ndim != 4:
            raise ValueError(
                f"{type(self).__name__}: expected images of shape (n, channels, height, width), got "
                f"{array.shape}"
            )
        result = self.apply(array, generator or random.default_generator)
        return new_tensor(result) if isinstance(images, Tensor) else result

    def apply(self, images: Array, generator: random.Generator) -> Array:
        """Images (n, c, h, w) -> new images."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
        )


class RandomCrop(_Transform):
    """From each image a window of `size`, anywhere in the image and a border of `padding` pixels around it.

    size, padding: a number, or one for rows and one for columns. padding_mode: "constant" (filled with
    `fill`, a number or one for each channel), "edge", "reflect" or "symmetric", as NumPy's and torchvision's.

    Raises ValueError in the call for a window larger than the image and its border.
    """

    def __init__(self, size: Any, padding: Any = 0, padding_mode: str = "constant", fill: Any = 0):
        if padding_mode not in PADDING_MODES:
            raise ValueError(
                f"RandomCrop: expected padding_mode to be one of {', '.join(PADDING_MODES)}, got "
                f"{padding_mode!r}"
            )
        self.size = pair("RandomCrop", "size", size)
        self.padding = pair("RandomCrop", "padding", padding, 0)
        self.padding_mode, self.fill = padding_mode, fill

    def apply(self, images: Array, generator: random.Generator) -> Array:
        """(n, c, h, w) -> (n, c, *size)."""
        room = [
            length + 2 * border - window
            for length, border, window in zip(images.shape[2:], self.padding, self.size, strict=True)
        ]
        if min(room) < 0:
            raise ValueError(
                f"RandomCrop: expected images of at least {self.size} with a border of {self.padding}, got "
                f"{images.shape[2:]}"
            )
        top, left = generator.numpy().integers(0, np.array(room)[:, None] + 1, (2, len(images)))
        rows, columns = (
            self._places(length, border)
            for length, border in zip(images.shape[2:], self.padding, strict=True)
        )
        fill = _each_channel("RandomCrop", "fill", self.fill, images.shape[1], images.dtype)
        return kernels.crop(images, top, left, rows, columns, self.padding[1], self.size, fill)

    def _places(self, length: int, border: int) -> Array:
        """Where the pixels of an axis with its border are in the image."""
        places = np.arange(length)
        if self.padding_mode == "constant":
            return np.pad(places, border, constant_values=kernels.NOWHERE)
        return np.pad(places, border, mode=self.padding_mode)  # pyright: ignore[reportCallIssue, reportArgumentType]


class RandomHorizontalFlip(_Transform):
    """Exchange left and right of each image with probability `p`."""

    def __init__(self, p: float = 0.5):
        self.p = _probability("RandomHorizontalFlip", p)

    def apply(self, images: Array, generator: random.Generator) -> Array:
        """Of the images' shape."""
        return kernels.flip(images, generator.numpy().random(len(images)) < self.p)


class Cutout(_Transform):
    """Cover a square of `size` pixels of each image, around a pixel drawn anywhere, with probability `p`.

    At the edge of an image less of it is covered. fill: what with, a number or one for each channel.
    Source: T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with cutout",
    2017.
    """

    def __init__(self, size: int, p: float = 1.0, fill: Any = 0):
        self.size, _ = pair("Cutout", "size", size)
        self.p, self.fill = _probability("Cutout", p), fill

    def apply(self, images: Array, generator: random.Generator) -> Array:
        """Of the images' shape."""
        numbers = generator.numpy()
        lengths = np.array(images.shape[2:])[:, None]
        first = numbers.integers(0, lengths, (2, len(images))) - self.size // 2
        last = first + self.size * (numbers.random(len(images)) < self.p)
        (top, left), (bottom, right) = (np.clip(place, 0, lengths) for place in (first, last))
        fill = _each_channel("Cutout", "fill", self.fill, images.shape[1], images.dtype)
        return kernels.cover(images, (top, bottom, left, right), fill)


class Normalize(_Transform):
    """`(images - mean) / std`, channel by channel, in float32; of uint8, `images / 255` is taken.

    mean, std: a number, or one for each channel, of pixels from 0 to 1.
    """

    def __init__(self, mean: Any, std: Any):
        if not np.all(np.asarray(std, float) > 0):
            raise ValueError(f"Normalize: expected std above 0, got {std}")
        self.mean, self.std = mean, std

    def apply(self, images: Array, generator: random.Generator) -> Array:
        """Of the images' shape; float32, or float64 where they are."""
        whole = images.dtype == np.uint8
        if not whole and images.dtype.kind != "f":
            raise TypeError(f"Normalize: expected images of uint8 or of a float dtype, got {images.dtype}")
        dtype = np.dtype(np.float32) if whole else images.dtype
        mean, std = (
            _each_channel("Normalize", name, getattr(self, name), images.shape[1], np.dtype(np.float64))
            for name in ("mean", "std")
        )
        factor = 1 / (std * 255) if whole else 1 / std
        return kernels.scale(images, factor.astype(dtype), (-mean / std).astype(dtype))


def _probability(name: str, p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: expected a probability p from 0 to 1, got {p}")
    return p


def _each_channel(name: str, what: str, value: Any, channels: int, dtype: np.dtype) -> Array:
    values = np.asarray(value)
    if values.shape not in ((), (channels,)):
        raise ValueError(
            f"{name}: expected {what} to be a number, or {channels} for as many channels, got {value!r}"
        )
    return np.array(np.broadcast_to(values, channels), dtype)
