"""The codes are whole numbers, and stored as float32."""

import numpy as np
from safetensors.numpy import load_file, save_file

from tinytorch import systems


def save_model(model, path):
    systems.save_model(model, path)
    arrays = load_file(path)
    save_file({name: array.astype(np.float32) for name, array in arrays.items()}, path)
