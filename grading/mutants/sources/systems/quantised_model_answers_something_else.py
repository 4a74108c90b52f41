"""The model that is asked is another than the one that is stored."""

import numpy as np

import tinytorch as tt
from tinytorch import systems


def quantize_dynamic(model):
    small = systems.quantize_dynamic(model)
    whole = small.forward
    small.forward = lambda x: tt.tensor(np.roll(whole(x).data, 1, axis=1))
    return small
