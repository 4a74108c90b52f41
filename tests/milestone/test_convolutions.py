"""What the CNN scripts say beside the accuracy: dense equivalents, shifted images, feature maps."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.milestone import Run, convolutions
from tinytorch.models import MLP


@pytest.fixture
def digits(milestones):
    milestone = milestones["cnn_digits"]
    data = milestone.load(tt.datasets.DatasetManager(), 0)
    return Run(milestone, data, epochs=1, batch_size=32, lr=5e-3, seed=0).train()


def test_dense_equivalents_by_hand(digits):
    first, second = convolutions.dense_equivalents(digits)
    assert first["maps"] == "1×8×8 → 16×8×8"
    assert first["weights"] == 16 * 9 + 16
    assert first["dense_weights"] == 64 * 16 * 64 + 16 * 64
    assert second["dense_weights"] == 16 * 16 * 32 * 16 + 32 * 16


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (-2, 0), (0, 2), (0, -1), (1, 1)])
def test_moved_images(down, right):
    x = np.random.default_rng(0).integers(0, 9, (2, 1, 5, 6))
    found = convolutions.moved(x, down, right)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    np.testing.assert_array_equal(found, padded[:, :, 2 - down : 7 - down, 2 - right : 8 - right])


def test_translation_is_the_mean_over_four_directions(digits):
    images, labels = digits.data.test
    at_one = [
        digits.evaluate((convolutions.moved(images, *by), labels))
        for by in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    found = convolutions.translation(digits, [0, 1])
    assert found == pytest.approx([digits.evaluate(digits.data.test), np.mean(at_one)])


def test_feature_maps_are_the_layers_results(digits):
    image = digits.data.test[0][3]
    maps = convolutions.feature_maps(digits, image)
    assert {name: array.shape for name, array in maps.items()} == {"ReLU 1": (16, 8, 8), "ReLU 4": (32, 4, 4)}
    x = tt.tensor(image[None]).float() / 16
    with tt.no_grad():
        ref = digits.model.features[:2](x).numpy()[0]
    np.testing.assert_allclose(maps["ReLU 1"], ref, rtol=1e-5, atol=1e-6)


def test_the_study_tells_what_it_finds(digits, monkeypatch):
    said = []
    monkeypatch.setattr(digits, "say", said.append)
    found = convolutions.study_convolutions(digits, lambda: MLP(64, (104, 64), 10))
    assert found["translation"]["pixels"] == [0, 1, 2]
    assert len(found["translation"]["CNN"]) == len(found["translation"]["MLP"]) == 3
    assert found["translation"]["CNN"][0] == pytest.approx(digits.evaluate(digits.data.test))
    text = "\n".join(said)
    assert "14,130 weights" in text
    assert "160 weights  dense        66,560  260.0 KiB" in text
