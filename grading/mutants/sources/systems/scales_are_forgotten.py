"""What the codes are multiples of is stored as 1."""

import numpy as np
from safetensors.numpy import load_file, save_file

from tinytorch import systems


def save_model(model, path):
    systems.save_model(model, path)
    arrays = load_file(path)
    ones = {name: np.ones_like(array) for name, array in arrays.items() if name.endswith("scale")}
    save_file({**arrays, **ones}, path)
