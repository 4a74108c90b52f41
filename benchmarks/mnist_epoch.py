"""A full epoch of MNIST, 60,000 uint8 images, batch 128, Adam, with shuffling and conversion to float32.

The pixels are random: what is timed depends on the shapes only, and no dataset is needed.
"""

from __future__ import annotations

import numpy as np

from benchmarks.mlp import WIDTHS
from benchmarks.training import network
from benchmarks.workload import OURS, Step, Workload


def _images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60_000, 784), dtype=np.uint8), rng.integers(0, 10, 60_000)


def ours() -> Step:
    import tinytorch as tt
    from tinytorch.data import DataLoader, TensorDataset

    model = network(tt.nn, WIDTHS)
    optimizer = tt.optim.Adam(model.parameters(), lr=1e-3)
    criterion = tt.nn.CrossEntropyLoss()
    images, labels = _images()
    loader = DataLoader(
        TensorDataset(tt.from_numpy(images), tt.from_numpy(labels)), batch_size=128, shuffle=True
    )

    def epoch() -> None:
        for x, y in loader:
            optimizer.zero_grad()
            criterion(model(x.float() / 255.0), y).backward()
            optimizer.step()

    return epoch


def torch() -> Step:
    """Batches by indexing a permutation: several times faster than torch.utils.data.DataLoader on tensors."""
    import torch

    model = network(torch.nn, WIDTHS)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    criterion = torch.nn.CrossEntropyLoss()
    images, labels = (torch.from_numpy(array) for array in _images())

    def epoch() -> None:
        for index in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            criterion(model(images[index].float() / 255.0), labels[index]).backward()
            optimizer.step()

    return epoch


WORKLOADS = [Workload("mnist epoch b128 adam", {OURS: ours, "torch-fused": torch}, slow=True)]
