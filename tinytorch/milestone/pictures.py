"""Pictures that several milestones share: what a classifier of images takes for what."""

from __future__ import annotations

from tinytorch import viz
from tinytorch.milestone.run import Run
from tinytorch.training import confusion_matrix


def worst_mistakes(run: Run) -> list[str]:
    """The three mistakes the model is surest of, in characters."""
    images, labels = run.data.test
    probabilities = run.predict(images)
    worst = viz.mistakes(labels, probabilities)[:3].tolist()
    names, answers, sure = run.data.names, probabilities.argmax(1).tolist(), probabilities.max(1)
    numbers = [i for i in worst if sure[i] == sure[i]]
    said = [f"{names[int(labels[i])]} read as {names[answers[i]]} ({sure[i]:.0%} sure)" for i in numbers]
    if lost := [str(names[int(labels[i])]) for i in worst if i not in numbers]:
        said.append(f"{', '.join(lost)}: the output is not a number")
    return [*viz.grey_images([images[i] for i in worst]), " · ".join(said) or "no mistakes at all"]


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
