"""What every group of methods builds on: an ndarray."""

from __future__ import annotations

from typing import Any

import numpy as np


class HasData:
    """Something around an ndarray: a tensor, to the methods that must tell it from a number."""

    _data: np.ndarray
    requires_grad: bool
    numpy: Any
    to: Any
    clone: Any
    item: Any
