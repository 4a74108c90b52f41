"""Module 15: parameters, FLOPs, time."""

from grading.gates import require


def test_parameters_are_counted(names):
    found = names("profile")(names("MLP")(64, (32,), 10), (64,), repeats=0).params
    require(found == 64 * 32 + 32 + 32 * 10 + 10, f"parameters of 64-32-10: expected 2,410, got {found:,}")


def test_flops_are_two_for_each_multiplication(names):
    found = names("estimate_flops")(names("MLP")(64, (32,), 10), (64,))
    products = 2 * (64 * 32 + 32 * 10)
    require(
        products <= found <= 1.1 * products,
        f"FLOPs of 64-32-10: expected {products:,} and biases, got {found:,}",
    )


def test_time_is_measured(names):
    found = names("profile")(names("MLP")(64, (32,), 10), (64,), repeats=3)
    require(found.seconds > 0, "profile(...).seconds: expected time, got none")
