"""Module 03: parameters, and containers of layers."""

from grading.checkpoints.checking import array, near
from grading.gates import require


def test_a_layer_gives_its_parameters(names):
    found = list(names("Linear")(3, 2).parameters())
    require(len(found) == 2, f"Linear(3, 2).parameters(): expected weight and bias, got {len(found)}")


def test_a_parameter_wants_a_gradient(names):
    require(
        all(p.requires_grad for p in names("Linear")(3, 2).parameters()),
        "a parameter needs requires_grad=True",
    )


def test_a_sequence_calls_its_layers_in_order(names, rng):
    first, second, relu = names("Linear")(3, 4), names("Linear")(4, 2), names("ReLU")()
    x = names.tensor(rng.normal(size=(5, 3)).astype("f4"))
    near(names("Sequential")(first, relu, second)(x), array(second(relu(first(x)))), "Sequential(...)(x)")


def test_a_sequence_gives_all_parameters(names):
    model = names("Sequential")(names("Linear")(3, 4), names("ReLU")(), names("Linear")(4, 2))
    require(
        sum(array(p).size for p in model.parameters()) == 26, "Sequential.parameters(): expected 26 numbers"
    )
