"""What is asked of convolutional networks beside accuracy: what sharing weights saves, and what it is for.

The models have `features`, a `Sequential` that begins with a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import viz
from tinytorch.milestone.pictures import draw_classifier
from tinytorch.milestone.run import Run
from tinytorch.models import Residual
from tinytorch.nn import Module, ReLU
from tinytorch.systems import profile

ASKED = 2000  # test images that are shifted


def study_convolutions(
    run: Run, build_dense: Callable[[], Module], lr: float | None = None
) -> dict[str, Any]:
    """Say what dense layers in place of the convolutions would take, and how a dense network of the same size
    stands the images being shifted. Returns the same as facts. lr: the rate that suits the dense one."""
    layers = dense_equivalents(run)
    run.say("[bold]Weights, shared and not[/]  a dense layer between the same numbers would have")
    for layer in layers:
        many = layer["dense_weights"]
        run.say(
            f"  {layer['maps']:<22}{layer['weights']:>9,} weights  dense {many:>13,}  {_bytes(4 * many):>9}"
        )
    dense = run.again(run.data, build=build_dense, lr=lr)
    size = sum(p.data.size for p in dense.model.parameters())
    side = min(run.data.test[0].shape[-2:])
    shifts = list(range(0, side // 4 + 1, max(1, side // 16)))
    found = {name: translation(one, shifts) for name, one in (("CNN", run), ("MLP", dense))}
    run.say(
        f"\n[bold]The image, shifted[/]  {len(_asked(run)[0]):,} test images, in each of four directions; "
        f"the MLP has\n  {size:,} weights, and was trained in the same way, at a rate of {dense.lr:g}"
    )
    run.say("  pixels" + "".join(f"{shift:>9}" for shift in shifts))
    for name, accuracies in found.items():
        run.say(f"  {name}   " + "".join(f"{100 * value:>7.1f} %" for value in accuracies))
    run.say("")
    run.notes["translation"] = shifts, {"CNN": found["CNN"], "MLP of equal size": found["MLP"]}
    return {"dense_equivalents": layers, "translation": {"pixels": shifts, **found}}


def dense_equivalents(run: Run) -> list[dict[str, Any]]:
    """For each convolution: its weights, and those of a dense layer with as many inputs and outputs."""
    found, before = [], run.milestone.input_shape
    for layer in profile(run.model, tt.zeros(1, *before), backward=False, repeats=0).layers:
        after = layer.output_shape[1:]
        if layer.kind == "Conv2d":
            maps = " → ".join("×".join(map(str, sizes)) for sizes in (before, after))
            dense = int(np.prod(before) * np.prod(after) + np.prod(after))
            found.append({"layer": layer.name, "maps": maps, "weights": layer.params, "dense_weights": dense})
        before = after
    return found


def translation(run: Run, shifts: list[int]) -> list[float]:
    """The accuracy on test images that were moved by so many pixels, the mean over four directions."""
    images, labels = _asked(run)
    return [
        float(
            np.mean(
                [run.evaluate((moved(images, down, right), labels)) for down, right in _directions(shift)]
            )
        )
        for shift in shifts
    ]


def _asked(run: Run) -> tuple[np.ndarray, np.ndarray]:
    images, labels = run.data.test
    return images[:ASKED], labels[:ASKED]


def _directions(shift: int) -> list[tuple[int, int]]:
    return [(0, 0)] if shift == 0 else [(shift, 0), (-shift, 0), (0, shift), (0, -shift)]


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images (..., h, w), moved; what comes in at an edge repeats the pixels there.

    >>> moved(np.arange(3).reshape(1, 1, 3), 0, 1)
    array([[[0, 0, 1]]])
    """
    height, width = images.shape[-2:]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return np.ascontiguousarray(images[..., rows[:, None], columns])


def feature_maps(run: Run, image: np.ndarray) -> dict[str, np.ndarray]:
    """What the layers make of one image: (channels, h, w) behind each activation and residual block."""
    maps: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[[Module, Any, Any], None]:
        return lambda layer, arguments, output: maps.update({name: output.data[0]})

    model: Any = run.model
    handles = [
        layer.register_forward_hook(keep(f"{type(layer).__name__} {name}"))
        for name, layer in model.features.named_children()
        if isinstance(layer, (ReLU, Residual))
    ]
    try:
        run.predict(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return maps


def draw_convolutions(run: Run) -> None:
    """The pictures of a classifier, and: filters before and after, feature maps, and the shifted images."""
    draw_classifier(run)
    model: Any = run.model
    untrained: Any = run.untrained()
    viz.filters(
        untrained.features[0].weight.data,
        model.features[0].weight.data,
        run.picture("filters.png"),
        title="What the first layer looks for",
    )
    images, labels = run.data.test
    probabilities = run.predict(images[:ASKED])
    right = probabilities.argmax(1) == labels[:ASKED]
    chosen = int(np.argmax(np.where(right, probabilities.max(1), 0)))
    maps = feature_maps(run, images[chosen])
    viz.feature_maps(
        images[chosen],
        list(maps.values()),
        run.picture("feature_maps.png"),
        names=list(maps),
        title=f"What the layers make of a picture: {run.data.names[int(labels[chosen])]}",
    )
    if "translation" in run.notes:
        shifts, accuracies = run.notes["translation"]
        chance, path = 1 / run.milestone.classes, run.picture("translation.png")
        viz.translation(shifts, accuracies, path, chance=chance, title="The image, shifted")


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
