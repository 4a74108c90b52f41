"""The mask is not applied after the steps of the fine-tuning."""

from tinytorch import systems


def prune_magnitude(model, amount):
    pruner = systems.prune_magnitude(model, amount)
    pruner.apply = lambda: None
    return pruner
