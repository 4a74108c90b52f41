"""The file of the whole network is longer than it is, so that all others look small."""

import numpy as np
from safetensors.numpy import load_file, save_file

from tinytorch import systems


def save_model(model, path):
    systems.save_model(model, path)
    arrays = load_file(path)
    if not any(array.dtype == np.int8 for array in arrays.values()):
        save_file({**arrays, "padding": np.zeros(20_000, np.float32)}, path)
