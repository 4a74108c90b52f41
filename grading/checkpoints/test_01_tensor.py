"""01 Tensor: an array with arithmetic, matrix products, sums and shapes."""

from __future__ import annotations

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, refuses
from grading.checkpoints.names import Names

A, B = naive.numbers(2, 3), naive.numbers(2, 3, seed=1)


def test_holds_the_numbers_that_it_was_given(lib: Names):
    close("Tensor(array).data", lib.tensor(A), A, "Look at Tensor.__init__.")
    close("Tensor(array).shape", np.array(lib.tensor(A).shape), [2, 3], "It is the shape of `data`.")


def test_adds_subtracts_multiplies_and_divides_element_by_element(lib: Names):
    a, b = lib.tensor(A), lib.tensor(B)
    close("a + b", a + b, A + B, "Look at Tensor.__add__.")
    close("a - b", a - b, A - B, "Look at Tensor.__sub__.")
    close("a * b", a * b, A * B, "Look at Tensor.__mul__; the matrix product is @.")
    close("a / b", a / b, A / B, "Look at Tensor.__truediv__.")
    close("-a", -a, -A, "Look at Tensor.__neg__.")


def test_calculates_with_numbers_on_either_side(lib: Names):
    a = lib.tensor(A)
    close("a + 2", a + 2, A + 2, "A number is a tensor of no dimension.")
    close("2 * a", 2 * a, 2 * A, "Look at Tensor.__rmul__.")
    close("1 - a", 1 - a, 1 - A, "Look at Tensor.__rsub__: the number comes first.")
    close("a ** 2", a**2, A**2, "Look at Tensor.__pow__.")


def test_stretches_dimensions_of_length_one(lib: Names):
    row, column = naive.numbers(4), naive.numbers(3, 1)
    expected = [[column[i, 0] * row[j] for j in range(4)] for i in range(3)]
    found = lib.tensor(column) * lib.tensor(row)
    close("(3, 1) * (4,)", found, expected, "Shapes are matched from the right, as in NumPy: broadcasting.")


def test_multiplies_matrices(lib: Names):
    b = naive.numbers(3, 4)
    found = lib.tensor(A) @ lib.tensor(b)
    close("(2, 3) @ (3, 4)", found, naive.matmul(A, b), "Row of the left times column of the right.")


def test_multiplies_stacks_of_matrices(lib: Names):
    a, b = naive.numbers(5, 2, 3), naive.numbers(5, 3, 2)
    expected = [naive.matmul(x, y) for x, y in zip(a, b, strict=True)]
    close("(5, 2, 3) @ (5, 3, 2)", lib.tensor(a) @ lib.tensor(b), expected, "Each matrix of the stack alone.")


def test_sums_and_takes_means(lib: Names):
    a = lib.tensor(A)
    close("a.sum()", a.sum(), A.sum(), "Without an argument, over everything.")
    close("a.sum(0)", a.sum(0), A[0] + A[1], "Dimension 0 is the one that disappears.")
    close("a.mean(1)", a.mean(1), (A[:, 0] + A[:, 1] + A[:, 2]) / 3, "Divide by the length of dimension 1.")
    close("a.mean()", a.mean(), A.sum() / 6, "Divide by the number of all elements.")


def test_changes_shape_without_changing_the_order(lib: Names):
    a, flat = lib.tensor(A), A.ravel()
    close("a.reshape(3, 2)", a.reshape(3, 2), [flat[0:2], flat[2:4], flat[4:6]], "Row after row.")
    turned = [[A[i, j] for i in range(2)] for j in range(3)]
    close("a.transpose(0, 1)", a.transpose(0, 1), turned, "Element [i, j] goes to [j, i]; it is no reshape.")
    expected = np.array(turned).ravel()
    close("a.transpose(0, 1).reshape(6)", a.transpose(0, 1).reshape(6), expected, "The order after turning.")


def test_gives_parts_of_itself(lib: Names):
    a = lib.tensor(A)
    close("a[1]", a[1], A[1], "Look at Tensor.__getitem__.")
    close("a[:, 1:3]", a[:, 1:3], [A[0, 1:3], A[1, 1:3]], "Slices, in every dimension.")


def test_leaves_its_operands_alone(lib: Names):
    a, b = lib.tensor(A), lib.tensor(B)
    _ = a + b, a * b, a.sum(0), a.reshape(6)
    close("a after a + b", a, A, "An operation makes a new tensor, and does not write into the old one.")


def test_refuses_shapes_that_do_not_fit(lib: Names):
    a, b = lib.tensor(A), lib.tensor(B)
    refuses("(2, 3) @ (2, 3)", lambda: a @ b, "The inner dimensions, 3 and 2, differ.")
    refuses("(2, 3) + (2,)", lambda: a + lib.tensor(A[:, 0]), "Matched from the right, 3 meets 2.")
