"""The training loop written out once, with metrics, callbacks and checkpoints."""

from tinytorch.training.callbacks import Callback, Checkpoint, EarlyStopping, PrintProgress
from tinytorch.training.checkpoint import load_checkpoint, restore_random, save_checkpoint
from tinytorch.training.gradients import without_gradient
from tinytorch.training.metrics import accuracy, confusion_matrix
from tinytorch.training.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "PrintProgress",
    "Trainer",
    "accuracy",
    "confusion_matrix",
    "load_checkpoint",
    "restore_random",
    "save_checkpoint",
    "without_gradient",
]
