"""Module 16: int8 weights."""

import copy

import numpy as np

from grading.checkpoints.checking import array
from grading.gates import require


def _model(names):
    model = names("MLP")(64, (128,), 10)
    return model.eval()


def test_answers_hardly_change(names, rng):
    model, x = _model(names), names.tensor(rng.normal(size=(32, 64)).astype("f4"))
    whole, small = array(model(x)), array(names("quantize_dynamic")(copy.deepcopy(model))(x))
    off = np.linalg.norm(small - whole) / np.linalg.norm(whole)
    require(0 < off < 0.05, f"int8: expected answers within 5 %, and not the very same, got {off:.2%}")


def test_the_file_is_smaller(names, tmp_path):
    model = _model(names)
    names("save_model")(model, tmp_path / "a.safetensors")
    names("save_model")(names("quantize_dynamic")(copy.deepcopy(model)), tmp_path / "b.safetensors")
    times = (tmp_path / "a.safetensors").stat().st_size / (tmp_path / "b.safetensors").stat().st_size
    require(times > 3, f"int8 file: expected more than 3 × smaller, got {times:.2f} ×")
