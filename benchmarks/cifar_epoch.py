"""A full epoch of CIFAR-10: random crops of a reflected border, flips, normalisation, LeNet, batch 128, Adam.

The photographs are the real ones, from the data folder; without them nothing is measured. Five rounds take
minutes, so it is run only by name: `python -m benchmarks cifar`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks import cnn
from benchmarks.workload import OURS, Step, Unavailable, Workload

BATCH, BORDER = 128, 4
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def photographs() -> tuple[np.ndarray, np.ndarray]:
    from tinytorch.datasets import DatasetManager, DatasetUnavailable

    try:
        return next(iter(DatasetManager(offline=True).get_cifar10()))
    except DatasetUnavailable as error:
        raise Unavailable(str(error)) from error


def ours() -> Step:
    import tinytorch as tt
    from tinytorch.data import DataLoader, TensorDataset, transforms

    model = cnn.ours()
    optimizer = tt.optim.Adam(model.parameters(), lr=1e-3)
    criterion = tt.nn.CrossEntropyLoss()
    vary = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=BORDER, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    data = TensorDataset(*map(tt.from_numpy, photographs()))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=1, transform=vary)

    def epoch() -> None:
        for x, y in loader:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()

    return epoch


def torch(fused: bool) -> Step:
    """Augmented batch by batch in the main thread, where it takes 0.6 ms: a worker process would only take
    the processor from the training. The borders are put around all images beforehand and not timed.
    """
    import torch

    model = cnn.torch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    criterion = torch.nn.CrossEntropyLoss()
    images, targets = photographs()
    sides = ((0, 0), (0, 0), (BORDER, BORDER), (BORDER, BORDER))
    bordered, labels = torch.from_numpy(np.pad(images, sides, mode="reflect")), torch.from_numpy(targets)
    windows = bordered.unfold(2, 32, 1).unfold(3, 32, 1)  # (n, 3, top, left, 32, 32), a view
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def batch(index: torch.Tensor) -> torch.Tensor:
        top, left = torch.randint(0, 2 * BORDER + 1, (2, len(index)))
        x = windows[index, :, top, left]
        x = torch.where(torch.rand(len(index), 1, 1, 1) < 0.5, x.flip(3), x)
        return (x.float() - mean) / std

    def epoch() -> None:
        for index in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            criterion(model(batch(index)), labels[index]).backward()
            optimizer.step()

    return epoch


WORKLOADS = [
    Workload(
        f"cifar epoch b{BATCH} augmented",
        {
            OURS: ours,
            "torch-eager": partial(torch, fused=False),
            "torch-fused": partial(torch, fused=True),
        },
        slow=True,
        by_name=True,
    )
]
