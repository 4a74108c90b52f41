"""Module 10: datasets and batches."""

import numpy as np

from grading.checkpoints.checking import array
from grading.gates import require


def _loader(names, count=10, **how):
    x = np.arange(2 * count, dtype="f4").reshape(count, 2)
    return names("DataLoader")(names("TensorDataset")(x, np.arange(count)), **how)


def test_batches_have_their_size(names):
    sizes = [len(array(y)) for _, y in _loader(names, batch_size=4)]
    require(sizes == [4, 4, 2], f"10 examples in batches of 4: expected 4, 4 and 2, got {sizes}")


def test_each_example_comes_once(names):
    for shuffle in (False, True):
        seen = sorted(int(i) for _, y in _loader(names, batch_size=3, shuffle=shuffle) for i in array(y))
        require(seen == list(range(10)), f"shuffle={shuffle}: expected each of 0 to 9 once, got {seen}")


def test_inputs_and_labels_stay_together(names):
    for x, y in _loader(names, batch_size=3, shuffle=True):
        require((array(x)[:, 0] == 2 * array(y)).all(), "an input came with another's label")


def test_shuffling_changes_the_order_every_time(names):
    loader = _loader(names, 50, batch_size=50, shuffle=True)
    first, second = ([int(i) for _, y in loader for i in array(y)] for _ in range(2))
    require(first != list(range(50)), "shuffle=True: the order is that of the data")
    require(first != second, "shuffle=True: two epochs have the same order")


def test_it_knows_its_length(names):
    require(len(_loader(names, batch_size=4)) == 3, "len(DataLoader): expected 3 batches")
