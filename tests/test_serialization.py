"""save and load: what comes back, what is refused, and files that are whole or not there."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import tinytorch as tt
from tinytorch import data, nn, optim, serialization

pytestmark = pytest.mark.nojit_ok

values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8)
)
trees = st.recursive(
    values,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=20)  # each waits for the disk
@given(trees)
def test_any_tree_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "tree.safetensors"
    tt.save(tree, path)
    assert tt.load(path) == tree


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


def test_tensors_and_arrays_keep_kind_dtype_and_layout(path):
    array = np.arange(12, dtype=np.float64).reshape(3, 4)
    saved = {
        "transposed": tt.Tensor(array.T),
        "sliced": array[:, ::2],
        "bytes": tt.Tensor(np.array([1, 2], np.uint8)),
        "mask": tt.tensor([True, False]),
        "scalar": tt.tensor(2.5),
        "empty": tt.zeros(0, 3),
        "half": np.array([0.5], np.float16),
        "swapped": np.array([1.0, 2.0], ">f4"),
    }
    tt.save(saved, path)
    loaded = tt.load(path)
    assert list(loaded) == list(saved)
    for name, value in saved.items():
        assert type(loaded[name]) is type(value)
        assert loaded[name].shape == value.shape
        assert np.array_equal(np.asarray(loaded[name]), np.asarray(value))
    assert loaded["half"].dtype == np.float16


def test_parameters_come_back_as_tensors(path):
    tt.save(nn.Linear(2, 1).state_dict(keep_vars=True), path)
    assert type(tt.load(path)["weight"]) is tt.Tensor


def test_special_floats(path):
    tt.save([math.inf, -math.inf, math.nan, np.float32(0.5), np.int64(3)], path)
    loaded = tt.load(path)
    assert loaded[:2] == [math.inf, -math.inf]
    assert math.isnan(loaded[2])
    assert loaded[3:] == [0.5, 3]


def test_names_that_collide(path):
    tree = {"a.b": tt.ones(1), "a": {"b": tt.zeros(1)}, "$": tt.ones(2), "": tt.ones(3)}
    tt.save(tree, path)
    loaded = tt.load(path)
    assert loaded["a.b"].item() == 1.0
    assert loaded["a"]["b"].item() == 0.0
    assert loaded["$"].shape == (2,)
    assert loaded[""].shape == (3,)


def test_a_single_tensor(path):
    tt.save(tt.tensor([1.0]), path)
    assert tt.load(path).tolist() == [1.0]


def test_other_readers_find_the_names(path):
    tt.save({"model": nn.Linear(2, 1).state_dict()}, path)
    assert set(load_file(path)) == {"model.weight", "model.bias"}


def test_files_of_other_writers(path):
    save_file({"w": np.ones((2, 2), np.float16)}, path)
    loaded = tt.load(path)
    assert loaded["w"].dtype == np.float32
    assert loaded["w"].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def of_another_dtype(path, kind, shape, values):
    """A file made by hand: a header of JSON behind its length, and the bytes."""
    entry = {"dtype": kind, "shape": shape, "data_offsets": [0, values.nbytes]}
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + values.tobytes())


def test_bfloat16_becomes_float32(path):
    values = np.array([1.0, -2.5, 3.0e38, np.inf, np.nan, 0.0], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    of_another_dtype(path, "BF16", [2, 3], halves)
    loaded = tt.load(path)["w"]
    assert loaded.dtype == np.float32
    assert loaded.shape == (2, 3)
    np.testing.assert_allclose(loaded.numpy().ravel(), values, rtol=2**-8)
    of_another_dtype(path, "BF16", [], halves[:1])
    assert tt.load(path)["w"].item() == 1.0
    of_another_dtype(path, "F8_E5M2", [3], halves[:3].astype(np.uint8))
    with pytest.raises(ValueError, match=r"holds 'w' as F8_E5M2; expected one of BF16, BOOL, F16"):
        tt.load(path)


def test_load_takes_pytorchs_arguments(path):
    tt.save({"w": tt.ones(2)}, path)
    assert tt.load(path, "cpu", weights_only=True)["w"].tolist() == [1.0, 1.0]
    assert tt.load(path, map_location=None)["w"].tolist() == [1.0, 1.0]


def test_the_reserved_name_is_refused(path):
    with pytest.raises(ValueError, match="another key than '__metadata__' for a tensor"):
        tt.save({"__metadata__": tt.ones(1)}, path)
    tt.save({"a": {"__metadata__": tt.ones(1)}, "__metadata__": "text"}, path)
    assert tt.load(path)["__metadata__"] == "text"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other access rights")
def test_a_file_has_the_rights_of_its_predecessor_or_of_any_new_file(path):
    before = os.umask(0o027)
    try:
        tt.save({}, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    tt.save({}, path)
    assert path.stat().st_mode & 0o777 == 0o604


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make symbolic links")
def test_a_symbolic_link_is_followed(path, tmp_path):
    (tmp_path / "run").mkdir()
    target = tmp_path / "run" / "weights"
    path.symlink_to(target)
    for epoch in range(2):  # one save makes the target, the other replaces it
        tt.save({"epoch": epoch}, path)
        assert path.is_symlink()
        assert tt.load(target) == {"epoch": epoch}
    assert [p.name for p in target.parent.iterdir()] == ["weights"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"model": nn.ReLU()}, r"got ReLU at 'model'. Save the state_dict\(\)"),
        ({"a": [1, {2}]}, "got set at 'a.1'"),
        ({"a": {1.5: 2}}, "keys that are strings or integers at 'a', got 1.5"),
        ({"a": np.array(["x"])}, "expected numbers or booleans at 'a', got an array of dtype <U1"),
        ({"a": lambda: 1}, "got function at 'a'"),
    ],
)
def test_what_cannot_be_saved(path, value, text):
    with pytest.raises(TypeError, match=text):
        tt.save(value, path)
    assert list(path.parent.iterdir()) == []


def test_folders_and_files_that_are_not_there(path):
    with pytest.raises(FileNotFoundError, match=r"save: the folder .*nowhere does not exist"):
        tt.save({}, path.parent / "nowhere" / "x")
    with pytest.raises(FileNotFoundError, match=r"load: no file .*file.safetensors"):
        tt.load(path)


def whole(path):
    tt.save({"w": tt.arange(1000)}, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda b: b"", "it has 0 bytes, so it was cut short"),
        (lambda b: b[:5], "it has 5 bytes, so it was cut short"),
        (lambda b: b[:40], "the file has 40: it was cut short, or is no safetensors file"),
        (lambda b: b[:-100], "it was cut short or is corrupt"),
        (lambda b: b + b"more", "it was cut short or is corrupt"),
        (lambda b: b[:8] + b"\xff" * 20 + b[28:], "Expected a safetensors file that was written whole"),
        (lambda b: b"PK\x03\x04" + b, "a zip or pickle file, as torch.save writes. Pickles can run code"),
        (lambda b: b"\x80\x04\x95" + b, "a zip or pickle file"),
        (lambda b: b"<html>not found</html>", "or is no safetensors file"),
    ],
)
def test_damaged_files(path, damage, text):
    path.write_bytes(damage(whole(path)))
    with pytest.raises(ValueError, match=f"load: cannot read .*{text}"):
        tt.load(path)


def test_a_header_that_does_not_fit(path):
    tree = {"$": "dict", "v": [["w", {"$": "tensor", "v": "lost"}]]}
    save_file({"w": np.ones(1)}, path, metadata={"tinytorch": json.dumps(tree)})
    with pytest.raises(ValueError, match=r"does not fit its tensors .*lost"):
        tt.load(path)
    save_file({"w": np.ones(1)}, path, metadata={"tinytorch": '{"$": "code", "v": 1}'})
    with pytest.raises(ValueError, match="unknown kind 'code'"):
        tt.load(path)


@pytest.mark.parametrize("victim", ["safetensors.numpy.save_file", "tinytorch.serialization._flush"])
def test_a_failed_save_leaves_the_old_file(path, monkeypatch, victim):
    before = whole(path)

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(victim, fail)
    with pytest.raises(OSError, match="disk full"):
        tt.save({"w": tt.zeros(5)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_killed_save_leaves_the_old_file(path):
    before = whole(path)
    code = f"""
import os, pathlib, tinytorch as tt
pathlib.Path.replace = lambda *a: os._exit(9)  # dies with the new file written, but not yet in place
tt.save({{"w": tt.zeros(5)}}, {str(path)!r})
"""
    root = str(Path(serialization.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=False)
    assert done.returncode == 9
    assert path.read_bytes() == before
    tt.save({"w": tt.zeros(5)}, path)
    assert tt.load(path)["w"].shape == (5,)


# --- a run that goes on ---------------------------------------------------------------------------------


class Run:
    """A small training with everything that has a state: dropout, shuffling, momentum, a schedule."""

    def __init__(self, kind):
        tt.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
        self.optimizer = kind(self.model.parameters(), lr=0.05)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 6)
        self.data = data.TensorDataset(tt.randn(24, 6), tt.randint(0, 3, (24,)))

    def train(self, epochs):
        for _ in range(epochs):
            for x, y in data.DataLoader(self.data, 8, shuffle=True):
                self.optimizer.zero_grad()
                nn.CrossEntropyLoss()(self.model(x), y).backward()
                self.optimizer.step()
            self.schedule.step()
        return [p.data.copy() for p in self.model.parameters()]

    def state(self):
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "schedule")}
        return {**parts, "rng": tt.get_rng_state()}

    def load(self, state):
        for name in ("model", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        tt.set_rng_state(state["rng"])


@pytest.mark.parametrize(
    "kind",
    [
        lambda params, lr: optim.SGD(params, lr, momentum=0.9, nesterov=True),
        optim.Adam,
        optim.AdamW,
        lambda params, lr: optim.RMSprop(params, lr, centered=True, momentum=0.5),
    ],
    ids=["sgd", "adam", "adamw", "rmsprop"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(kind, path):
    straight = Run(kind).train(5)
    first = Run(kind)
    first.train(2)
    tt.save(first.state(), path)
    resumed = Run(kind)
    resumed.load(tt.load(path))
    assert all(np.array_equal(a, b) for a, b in zip(resumed.train(3), straight, strict=True))
