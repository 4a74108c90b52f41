"""Pictures: learning curves, decision boundaries, hidden spaces, confusion matrices, worst mistakes, filters
and feature maps.

Every function draws on a matplotlib figure, saves it where a path is given, and returns it. `available()`
says whether matplotlib is installed; `plane_map`, `grey_images` and `colour_images` draw with characters and
need nothing.
"""

from tinytorch.viz.classes import confusion_matrix, mistakes, worst_mistakes
from tinytorch.viz.curves import learning_curves, scaling, translation
from tinytorch.viz.images import feature_maps, filters
from tinytorch.viz.plane import boundary_over_time, decision_boundary, hidden_space
from tinytorch.viz.style import available
from tinytorch.viz.terminal import colour_images, grey_images, plane_map

__all__ = [
    "available",
    "boundary_over_time",
    "colour_images",
    "confusion_matrix",
    "decision_boundary",
    "feature_maps",
    "filters",
    "grey_images",
    "hidden_space",
    "learning_curves",
    "mistakes",
    "plane_map",
    "scaling",
    "translation",
    "worst_mistakes",
]
