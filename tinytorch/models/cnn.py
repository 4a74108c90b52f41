"""Convolutional networks: LeCun's alternation of convolution and pooling, and a small residual network."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.nn import (
    AdaptiveMaxPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from tinytorch.tensor import Tensor


class LeNet(Module):
    """`Conv -> ReLU -> Pool -> Conv -> ReLU -> Pool -> Flatten -> Linear -> ReLU -> Linear`.

    Convolutions have windows of 3 × 3 with a border of one pixel, so they keep the image's size; each pooling
    halves it. What LeNet-5 had differently: windows of 5 × 5 without a border, averages instead of maxima,
    tanh instead of ReLU, and fewer channels.

    Shapes: x (n, inputs, size, size) -> logits (n, outputs). `features(x)` stops before the flattening,
    (n, channels[1], size / 4, size / 4).

    inputs: channels of an image. size: its height and width, a multiple of 4.
    channels: of the two convolutions. hidden: units of the layer behind them.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition", 1998.

    >>> import tinytorch as tt
    >>> model = LeNet(3, 32, channels=(32, 64), hidden=256)
    >>> model(tt.zeros(2, 3, 32, 32)).shape, sum(p.data.size for p in model.parameters())
    ((2, 10), 1070794)
    """

    def __init__(
        self,
        inputs: int,
        size: int,
        channels: Sequence[int] = (32, 64),
        hidden: int = 256,
        outputs: int = 10,
    ):
        super().__init__()
        if size % 4:
            raise ValueError(f"LeNet: expected a size that can be halved twice, got {size}")
        first, second = channels
        self.features = Sequential(
            Conv2d(inputs, first, 3, padding=1),
            ReLU(),
            MaxPool2d(2),
            Conv2d(first, second, 3, padding=1),
            ReLU(),
            MaxPool2d(2),
        )
        self.head = Sequential(
            Flatten(), Linear(second * (size // 4) ** 2, hidden), ReLU(), Linear(hidden, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (n, inputs, size, size) -> logits (n, outputs)."""
        return self.head(self.features(x))


class Residual(Module):
    """`x + layers(x)`: what the layers have to learn is the difference.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2016.
    """

    def __init__(self, *layers: Module):
        super().__init__()
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x, which the layers must keep."""
        return x + self.layers(x)


class SmallResNet(Module):
    """Three stages, each a convolution that halves the image; a residual block behind the last two; the
    largest value of each channel; a linear layer.

    Every convolution is followed by batch normalisation and ReLU. A stage pools before it normalises: the
    maximum of what is normalised is the maximum normalised (for positive scales), at a quarter of the cost.

    Shapes: x (n, inputs, h, w) -> logits (n, outputs). `features(x)`: (n, channels[2], h / 8, w / 8).

    Source, of the shape: D. Page, "How to train your ResNet", 2018, at a quarter of its width.

    >>> import tinytorch as tt
    >>> model = SmallResNet()
    >>> model(tt.zeros(2, 3, 32, 32)).shape, sum(p.data.size for p in model.parameters())
    ((2, 10), 464170)
    """

    def __init__(self, inputs: int = 3, channels: Sequence[int] = (32, 64, 128), outputs: int = 10):
        super().__init__()
        first, second, third = channels
        self.features = Sequential(
            *_stage(inputs, first, halve=True),
            *_stage(first, second, halve=True),
            Residual(*_stage(second, second), *_stage(second, second)),
            *_stage(second, third, halve=True),
            Residual(*_stage(third, third), *_stage(third, third)),
        )
        self.head = Sequential(AdaptiveMaxPool2d(1), Flatten(), Linear(third, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x (n, inputs, h, w) -> logits (n, outputs)."""
        return self.head(self.features(x))


def _stage(inputs: int, outputs: int, halve: bool = False) -> list[Module]:
    convolution = Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, *([MaxPool2d(2)] if halve else []), BatchNorm2d(outputs), ReLU()]
