"""Pictures that several milestones share: what a classifier of images takes for what."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tinytorch import viz
from tinytorch.milestone.report import Report
from tinytorch.milestone.run import Run
from tinytorch.milestone.telling import INDENT
from tinytorch.training import confusion_matrix

GAP = 3  # characters between two images


def worst_mistakes(run: Run) -> list[str]:
    """The three mistakes the model is surest of, or as many as there is room for, in characters."""
    images, labels = run.data.test
    probabilities = run.predict(images)
    console = run.watcher.console if isinstance(run.watcher, Report) else Console()
    colour = images.ndim == 4 and images.shape[1] == 3 and _shows_photographs(console)
    draw = viz.colour_images if colour else viz.grey_images
    wide = Text.from_ansi(draw([images[0]])[0]).cell_len
    room = max(1, (console.width - INDENT + GAP) // (wide + GAP))
    worst = viz.mistakes(labels, probabilities)[: min(3, room)].tolist()
    names, answers, sure = run.data.names, probabilities.argmax(1).tolist(), probabilities.max(1)
    numbers = [i for i in worst if sure[i] == sure[i]]
    said = [_beneath([f"{names[int(labels[i])]} read as {names[answers[i]]}" for i in numbers], wide)]
    said.append(_beneath([f"{sure[i]:.0%} sure" for i in numbers], wide))
    if lost := [str(names[int(labels[i])]) for i in worst if i not in numbers]:
        said.append(f"{', '.join(lost)}: the output is not a number")
    lines = [*draw([images[i] for i in worst], gap=GAP), *filter(None, said)]
    return lines or ["no mistakes at all"]


def _beneath(texts: list[str], wide: int) -> str:
    """A line that has each text beneath its image."""
    return (" " * GAP).join(text.ljust(wide) for text in texts).rstrip()


def _shows_photographs(console: Console) -> bool:
    """Whether there is a terminal with enough colours, and nobody has asked for none."""
    return console.is_terminal and not console.no_color and console.color_system in ("truecolor", "256")


def draw_classifier(run: Run) -> None:
    """The confusion matrix, the worst mistakes and, after training, the learning curves."""
    images, labels = run.data.test
    names, probabilities = run.data.names, run.predict(images)
    viz.confusion_matrix(
        confusion_matrix(probabilities, labels, len(names)), names, run.picture("confusion.png")
    )
    viz.worst_mistakes(images, labels, probabilities, names, run.picture("mistakes.png"))
    if run.history:
        marks, title = run.milestone.marks, f"{run.milestone.title}, learned"
        viz.learning_curves(run.history, run.picture("learning_curves.png"), marks=marks, title=title)
