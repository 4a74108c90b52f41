"""Module 08: a loop that learns."""

import numpy as np

from grading.checkpoints.checking import array
from grading.gates import require


def _train(names, layers, x, y, loss, steps, lr):
    optimizer, curve = names("SGD")([p for layer in layers for p in layer.parameters()], lr=lr), []
    for _ in range(steps):
        out = names.tensor(x)
        for i, layer in enumerate(layers):
            out = layer(out) if i == len(layers) - 1 else names("ReLU")()(layer(out))
        value = loss(out, names.tensor(y))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        curve.append(float(array(value).reshape(())))
    return curve, array(out)


def test_it_finds_a_line(names, rng):
    x = rng.normal(size=(64, 2)).astype("f4")
    y = (x @ np.array([[2.0], [-3.0]]) + 1).astype("f4")
    layer = names("Linear")(2, 1)
    _train(names, [layer], x, y, names("MSELoss")(), 200, 0.1)
    found = [*array(layer.weight).ravel(), *array(layer.bias)]
    require(np.allclose(found, [2, -3, 1], atol=0.05), f"y = 2 a - 3 b + 1: expected 2, -3, 1, got {found}")


def test_the_loss_falls(names, rng):
    x, y = rng.normal(size=(60, 4)).astype("f4"), rng.integers(0, 3, 60)
    curve, _ = _train(
        names, [names("Linear")(4, 16), names("Linear")(16, 3)], x, y, names("CrossEntropyLoss")(), 80, 0.2
    )
    require(
        curve[-1] < 0.9 * curve[0],
        f"cross-entropy: expected it to fall, went from {curve[0]:.3f} to {curve[-1]:.3f}",
    )


def test_it_tells_clouds_apart(names, rng):
    y = np.arange(90) % 3
    x = (rng.normal(size=(90, 2)) * 0.4 + np.array([[0, 3], [3, 0], [-3, -2]])[y]).astype("f4")
    _, out = _train(
        names, [names("Linear")(2, 16), names("Linear")(16, 3)], x, y, names("CrossEntropyLoss")(), 150, 0.2
    )
    right = (out.argmax(1) == y).mean()
    require(right > 0.95, f"three clouds: expected 95 % of the points right, got {right:.0%}")
