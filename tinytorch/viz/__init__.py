"""Pictures: learning curves, decision boundaries, hidden spaces, confusion matrices, worst mistakes, filters,
feature maps, attention maps, what language models learn and cost, and what models cost for what they can do.

Every function draws on a matplotlib figure, saves it where a path is given, and returns it. `available()`
says whether matplotlib is installed; `plane_map`, `grey_images`, `colour_images` and `attention_in_terminal`
draw with characters and need nothing.
"""

from tinytorch.viz.attention import attention_maps
from tinytorch.viz.classes import confusion_matrix, mistakes, worst_mistakes
from tinytorch.viz.curves import learning_curves, scaling, translation
from tinytorch.viz.images import feature_maps, filters
from tinytorch.viz.language import attention_cost, generation_speed, language_curve
from tinytorch.viz.pareto import pareto
from tinytorch.viz.plane import boundary_over_time, decision_boundary, hidden_space
from tinytorch.viz.roofline import roofline
from tinytorch.viz.style import available
from tinytorch.viz.terminal import attention_in_terminal, colour_images, grey_images, plane_map

__all__ = [
    "attention_cost",
    "attention_in_terminal",
    "attention_maps",
    "available",
    "boundary_over_time",
    "colour_images",
    "confusion_matrix",
    "decision_boundary",
    "feature_maps",
    "filters",
    "generation_speed",
    "grey_images",
    "hidden_space",
    "language_curve",
    "learning_curves",
    "mistakes",
    "pareto",
    "plane_map",
    "roofline",
    "scaling",
    "translation",
    "worst_mistakes",
]
