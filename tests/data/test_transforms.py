"""Transforms against plain NumPy, image by image; what they draw; and the loader that applies them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tests.kernels.layouts import LAYOUTS, lay_out
from tinytorch.data import DataLoader, TensorDataset, transforms
from tinytorch.kernels import augment as kernels

RNG = np.random.default_rng(0)
DTYPES = (np.uint8, np.float32, np.float64)


def images(n=3, c=2, h=5, w=6, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(n * h * w).integers(0, 256, (n, c, h, w)).astype(dtype)


def seeded(seed: int = 0) -> tt.Generator:
    return tt.Generator().manual_seed(seed)


# --- kernels against NumPy ----------------------------------------------------------------------------------


@pytest.mark.nojit_ok
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(3, 6), st.integers(3, 6)),
    border=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    mode=st.sampled_from(transforms.PADDING_MODES),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 99),
)
def test_a_crop_is_a_window_of_the_padded_image(sizes, border, mode, dtype, layout, seed):
    x = lay_out(images(*sizes, dtype), layout)
    rng = np.random.default_rng(seed)
    padded_size = [length + 2 * b for length, b in zip(sizes[2:], border, strict=True)]
    window = tuple(int(rng.integers(1, length + 1)) for length in padded_size)
    crop = transforms.RandomCrop(window, border, mode, fill=7)
    found = crop(x, seeded(seed))
    assert found.dtype == dtype
    assert found.shape == (*sizes[:2], *window)
    fill = {"constant_values": 7} if mode == "constant" else {}
    sides = ((0, 0), (0, 0), *((b, b) for b in border))
    padded = np.pad(x, sides, mode=mode, **fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, window, axis=(2, 3))
    for n in range(sizes[0]):  # it is one of the windows
        assert any((view[n, :, i, j] == found[n]).all() for i, j in np.ndindex(*view.shape[2:4]))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", DTYPES)
def test_crop_takes_the_window_it_is_told(dtype):
    x, (top, left) = images(2, 3, 4, 5, dtype), np.array([[0, 3], [4, 1]])
    rows, columns = (np.pad(np.arange(n), 2, constant_values=kernels.NOWHERE) for n in (4, 5))
    fill = np.array([1, 2, 3], dtype)
    found = kernels.crop(x, top, left, rows, columns, 2, (3, 4), fill)
    for n in range(2):
        for c in range(3):
            padded = np.pad(x[n, c], 2, constant_values=fill[c])
            ref = padded[top[n] : top[n] + 3, left[n] : left[n] + 4]
            np.testing.assert_array_equal(found[n, c], ref)


@pytest.mark.nojit_ok
@given(dtype=st.sampled_from(DTYPES), layout=st.sampled_from(LAYOUTS), width=st.integers(1, 5))
def test_flip_turns_the_chosen_ones(dtype, layout, width):
    x = images(4, 2, 3, width, dtype)
    chosen = np.array([True, False, True, False])
    found = kernels.flip(lay_out(x, layout), chosen)
    np.testing.assert_array_equal(found, np.where(chosen[:, None, None, None], x[..., ::-1], x))


@pytest.mark.nojit_ok
def test_cover_fills_a_box_and_leaves_the_original():
    x = images(2, 3, 6, 6)
    before, fill = x.copy(), np.array([1, 2, 3], np.uint8)
    box = tuple(np.array(part) for part in ([0, 2], [3, 2], [4, 0], [6, 6]))
    found = kernels.cover(x, box, fill)
    ref = x.copy()
    ref[0, :, 0:3, 4:6] = fill[:, None, None]  # the second box has no rows
    np.testing.assert_array_equal(found, ref)
    np.testing.assert_array_equal(x, before)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", DTYPES)
def test_normalize(dtype):
    x = images(dtype=dtype)
    mean, std = np.array([0.4, 0.5]), np.array([0.2, 0.3])
    found = transforms.Normalize(tuple(mean), tuple(std))(x)
    numbers = x / 255 if dtype == np.uint8 else x
    ref = (numbers - mean[:, None, None]) / std[:, None, None]
    assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(found, ref, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(transforms.Normalize(0.0, 1.0)(x), numbers, rtol=1e-6)


# --- what is drawn ------------------------------------------------------------------------------------------


def test_crops_are_everywhere_equally_often():
    x = np.broadcast_to(np.arange(5, dtype=np.uint8), (9000, 1, 1, 5))
    found = transforms.RandomCrop((1, 3))(x, seeded())[:, 0, 0, 0]
    np.testing.assert_allclose(np.bincount(found) / 9000, 1 / 3, atol=0.02)


def test_flips_come_with_their_probability():
    x = np.broadcast_to(np.arange(2, dtype=np.uint8), (9000, 1, 1, 2))
    for p in (0.0, 0.25, 1.0):
        turned = transforms.RandomHorizontalFlip(p)(x, seeded())[:, 0, 0, 0]
        assert abs(turned.mean() - p) <= (0.02 if 0 < p < 1 else 0)


def test_cutout_covers_a_square_less_at_the_edge():
    x = np.zeros((4000, 1, 8, 8), np.float32)
    covered = transforms.Cutout(4, fill=1)(x, seeded())
    sizes = covered.sum((1, 2, 3))
    assert sizes.max() == 16
    assert sizes.min() == 4  # the centre is in a corner
    # A centre in column i covers columns max(i - 2, 0) to min(i + 2, 8) - 1.
    width = np.mean([min(i + 2, 8) - max(i - 2, 0) for i in range(8)])
    assert abs(sizes.mean() - width**2) < 0.3
    untouched = transforms.Cutout(4, p=0.0, fill=1)(x, seeded())
    assert not untouched.any()


def test_a_transform_is_fixed_by_its_generator_and_takes_tensors():
    vary = transforms.Compose(
        [transforms.RandomCrop(5, 1), transforms.RandomHorizontalFlip(), transforms.Cutout(2)]
    )
    x = images()
    one = vary(x, seeded(3))
    np.testing.assert_array_equal(one, vary(x, seeded(3)))
    assert (one != vary(x, seeded(4))).any()
    of_tensor = vary(tt.tensor(x), seeded(3))
    assert isinstance(of_tensor, tt.Tensor)
    np.testing.assert_array_equal(of_tensor.numpy(), one)
    tt.manual_seed(5)
    first = vary(x)
    tt.manual_seed(5)
    np.testing.assert_array_equal(first, vary(x))


# --- in a loader --------------------------------------------------------------------------------------------

VARY = transforms.Compose([transforms.RandomCrop((5, 6), 2), transforms.RandomHorizontalFlip()])


def batches(workers: int, *, seed: int = 0, passes: int = 1, vary=VARY, size: int = 4) -> list[np.ndarray]:
    tt.manual_seed(seed)
    x = images(20)
    loader = DataLoader(
        TensorDataset(x, np.arange(20)), size, shuffle=True, num_workers=workers, transform=vary
    )
    return [np.asarray(part) for _ in range(passes) for batch in loader for part in batch]


def test_the_thread_changes_nothing():
    for alone, threaded in zip(batches(0, passes=2), batches(1, passes=2), strict=True):
        np.testing.assert_array_equal(alone, threaded)


def test_passes_and_seeds_differ_and_repeat():
    both = batches(1, passes=2)
    order = [np.argsort(np.concatenate(both[i + 1 : i + 10 : 2])) for i in (0, 10)]
    first, second = (np.concatenate(both[i : i + 10 : 2])[o] for i, o in zip((0, 10), order, strict=True))
    assert (first != second).any()
    again = batches(1, passes=2)
    assert all((a == b).all() for a, b in zip(both, again, strict=True))
    assert any((a != b).any() for a, b in zip(both, batches(1, seed=1, passes=2), strict=True))


def test_batches_differ_from_each_other():
    x = np.broadcast_to(images(1), (8, 2, 5, 6))
    tt.manual_seed(0)
    one, other = (
        b.numpy() for (b,) in DataLoader(TensorDataset(x), 4, transform=transforms.RandomCrop((5, 6), 3))
    )
    assert (one != other).any()


def test_the_order_is_the_same_with_a_transform_and_without():
    np.testing.assert_array_equal(batches(0)[1::2], batches(0, vary=None)[1::2])


def test_dropout_in_training_does_not_change_what_is_drawn():
    """The thread is ahead by a number of batches; what training draws meanwhile must not depend on it."""

    def run(workers: int) -> list[float]:
        tt.manual_seed(0)
        loader = DataLoader(TensorDataset(images(20)), 4, shuffle=True, num_workers=workers, transform=VARY)
        return [(tt.nn.functional.dropout(x.float(), 0.5)).sum().item() for (x,) in loader]

    assert run(0) == run(1)


def test_samples_and_single_batches_are_transformed_too():
    class Plain:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return images(1)[0]

    (batch,) = DataLoader(Plain(), 4, transform=transforms.Normalize(0.5, 0.5))
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch.numpy()[0], images(1)[0] / 127.5 - 1, rtol=1e-5, atol=1e-6)


def test_waiting_is_counted():
    def slow(batch, generator):
        time.sleep(0.01)
        return batch

    loader = DataLoader(TensorDataset(images(4)), 2, transform=slow)
    before = DataLoader.waited_by_all
    assert loader.waited == 0
    list(loader)
    assert 0.02 <= loader.waited < 1
    assert DataLoader.waited_by_all - before == pytest.approx(loader.waited)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: transforms.RandomCrop(0), ValueError, "expected size to be a whole .* or two, got 0"),
        (lambda: transforms.RandomCrop(3, -1), ValueError, "expected padding to be a whole number from 0 up"),
        (lambda: transforms.RandomCrop(3, 1, "mirror"), ValueError, "one of constant, .* got 'mirror'"),
        (lambda: transforms.RandomCrop(9, 1)(images()), ValueError, r"at least \(9, 9\) with a border"),
        (lambda: transforms.RandomCrop(3, fill=(1, 2, 3))(images()), ValueError, "fill to be a number, or 2"),
        (lambda: transforms.RandomHorizontalFlip(1.5), ValueError, "a probability p from 0 to 1, got 1.5"),
        (lambda: transforms.RandomHorizontalFlip()(images()[0]), ValueError, r"shape \(n, channels, height"),
        (lambda: transforms.Cutout(0), ValueError, "expected size to be a whole number from 1 up"),
        (lambda: transforms.Normalize(0, 0), ValueError, "expected std above 0, got 0"),
        (lambda: transforms.Normalize((0, 0, 0), 1)(images()), ValueError, "mean to be a number, or 2"),
        (lambda: transforms.Normalize(0, 1)(images(dtype=np.int64)), TypeError, "a float dtype, got int64"),
    ],
)  # fmt: skip
def test_refusals(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_reprs():
    assert repr(transforms.RandomCrop(4, 2, "reflect")) == (
        "RandomCrop(size=(4, 4), padding=(2, 2), padding_mode='reflect', fill=0)"
    )
