"""Pictures: learning curves, decision boundaries, hidden spaces, confusion matrices, worst mistakes.

Every function draws on a matplotlib figure, saves it where a path is given, and returns it. `available()`
says whether matplotlib is installed; `plane_map` and `grey_images` draw with characters and need nothing.
"""

from tinytorch.viz.classes import confusion_matrix, mistakes, worst_mistakes
from tinytorch.viz.curves import learning_curves, scaling
from tinytorch.viz.plane import boundary_over_time, decision_boundary, hidden_space
from tinytorch.viz.style import available
from tinytorch.viz.terminal import grey_images, plane_map

__all__ = [
    "available",
    "boundary_over_time",
    "confusion_matrix",
    "decision_boundary",
    "grey_images",
    "hidden_space",
    "learning_curves",
    "mistakes",
    "plane_map",
    "scaling",
    "worst_mistakes",
]
