"""03 Modules: Module, Parameter and Sequential: who owns which parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

FOUND = "A Module looks for Parameters in its attributes, and asks the Modules among them for theirs."


def parts(lib: Names) -> tuple[Any, Any, Any]:
    """Two modules with a parameter each, and one that holds both."""

    class Scale(lib.Module):
        def __init__(self, factor: float):
            super().__init__()
            self.factor = lib.Parameter(lib.tensor([factor]))

        def forward(self, x: Any) -> Any:
            return x * self.factor

    class Shift(lib.Module):
        def __init__(self, by: float):
            super().__init__()
            self.by = lib.Parameter(lib.tensor([by]))

        def forward(self, x: Any) -> Any:
            return x + self.by

    class Both(lib.Module):
        def __init__(self, factor: float, by: float):
            super().__init__()
            self.scale, self.shift = Scale(factor), Shift(by)
            self.seen = 0
            self.constant = lib.tensor([7.0])

        def forward(self, x: Any) -> Any:
            return self.shift(self.scale(x))

    return Scale, Shift, Both


def values(parameters: Any) -> list[float]:
    return [float(numbers(parameter).item()) for parameter in parameters]


def test_a_call_runs_forward(lib: Names):
    scale, _, _ = parts(lib)
    close("Scale(2)(x)", scale(2.0)(lib.tensor([3.0])), [6.0], "Module.__call__ hands on to forward.")


def test_a_parameter_is_found(lib: Names):
    scale, _, _ = parts(lib)
    got = values(scale(2.0).parameters())
    holds(got == [2.0], f"parameters of Scale(2): expected the one of value 2, got {got}", FOUND)


def test_parameters_of_modules_inside_are_found(lib: Names):
    _, _, both = parts(lib)
    got = values(lib.Sequential(both(2.0, 3.0)).parameters())
    holds(got == [2.0, 3.0], f"parameters two levels down: expected [2.0, 3.0], got {got}", FOUND)


def test_other_attributes_are_no_parameters(lib: Names):
    _, _, both = parts(lib)
    got = values(both(2.0, 3.0).parameters())
    holds(7.0 not in got, f"parameters beside a plain Tensor: expected [2.0, 3.0], got {got}",
          "Only a Parameter is trained.")  # fmt: skip


def test_a_shared_module_counts_once(lib: Names):
    scale, _, _ = parts(lib)
    shared = scale(2.0)
    got = values(lib.Sequential(shared, shared).parameters())
    holds(got == [2.0], f"parameters of a module that is used twice: expected [2.0], got {got}",
          "Twice in the list, an optimiser would step it twice.")  # fmt: skip


def test_sequential_runs_in_order(lib: Names):
    scale, shift, _ = parts(lib)
    found = lib.Sequential(scale(2.0), shift(1.0))(lib.tensor([3.0]))
    close("Sequential(times 2, plus 1)(3)", found, [7.0], "The first layer's output is the second's input.")


def test_sequential_has_the_parameters_of_all(lib: Names):
    scale, shift, _ = parts(lib)
    got = values(lib.Sequential(scale(2.0), shift(1.0), scale(4.0)).parameters())
    holds(got == [2.0, 1.0, 4.0], f"its parameters: expected [2.0, 1.0, 4.0], got {got}", FOUND)


def test_training_and_evaluation_reach_everything_inside(lib: Names):
    _, _, both = parts(lib)
    inner = both(2.0, 3.0)
    outer = lib.Sequential(inner)
    for switch, expected in (("eval", False), ("train", True)):
        getattr(outer, switch)()
        got = [module.training for module in (outer, inner, inner.scale)]
        holds(got == [expected] * 3, f"`training` after .{switch}(), from the outside in: expected "
              f"{[expected] * 3}, got {got}", "Dropout deep inside has to know.")  # fmt: skip


def test_a_state_has_dotted_names_and_can_be_given_back(lib: Names):
    _, _, both = parts(lib)
    first, second = both(2.0, 3.0), both(5.0, 6.0)
    names = sorted(first.state_dict())
    holds(names == ["scale.factor", "shift.by"], "state_dict: expected the names ['scale.factor', "
          f"'shift.by'], got {names}", "Join the names on the way down with dots.")  # fmt: skip
    second.load_state_dict(first.state_dict())
    got = np.array(values(second.parameters()))
    close("parameters after load_state_dict", got, [2.0, 3.0], "Copy by name, into the parameters it has.")
