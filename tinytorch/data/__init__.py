"""Datasets, the order in which their samples come, and the loader that makes batches of them."""

from tinytorch.data import transforms
from tinytorch.data._collate import default_collate
from tinytorch.data._dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from tinytorch.data._loader import DataLoader
from tinytorch.data._sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "random_split",
    "transforms",
]
