"""Check every dataset the milestones use, and download what is missing.

    python milestones/data_manager.py                    all of them
    python milestones/data_manager.py mnist cifar-10     some

Exit codes: 0 all there and right · 2 bad usage · 3 one cannot be had (the others are still checked).
From a script: ``from data_manager import DatasetManager; DatasetManager().get_mnist()``.
"""

import sys

from tinytorch.datasets import DatasetManager
from tinytorch.datasets.check import main

__all__ = ["DatasetManager"]

if __name__ == "__main__":
    sys.exit(main())
