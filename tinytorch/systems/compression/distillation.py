"""Knowledge distillation: a small model learns from the answers of a large one, not from the labels alone.

A teacher's probabilities say more than a label: that this 7 might be a 1, and is no 8. At a temperature above
1 the small probabilities, in which that stands, carry weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.nn import functional as F
from tinytorch.tensor import Tensor


class DistillationLoss(Module):
    """`alpha · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 - alpha) · CE(student, labels)`.

    T² makes the gradient of the first term, which falls with 1 / T², as large at every temperature as it is
    at 1. The divergence is a mean over the examples. The teacher's logits get no gradient.

    Shapes: logits (n, classes), or (..., classes) with labels (...), as a language model's.

    temperature: T, above 0. alpha: the weight of the teacher, from 0 (labels alone) to 1 (no labels needed).

    Raises ValueError for settings out of range, for logits of different shapes and for missing labels.
    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015.

    >>> import tinytorch as tt
    >>> student, teacher = tt.tensor([[2.0, 0.0]]), tt.tensor([[0.0, 2.0]])
    >>> DistillationLoss(temperature=1.0, alpha=1.0)(student, teacher)
    tensor(1.5232)
    >>> DistillationLoss(temperature=1.0, alpha=0.0)(student, teacher, tt.tensor([0]))
    tensor(0.1269)
    """

    def __init__(self, temperature: float = 4.0, alpha: float = 0.9):
        if not temperature > 0.0:
            raise ValueError(f"DistillationLoss: expected a temperature above 0, got {temperature}")
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"DistillationLoss: expected alpha from 0 to 1, got {alpha}")
        self.temperature, self.alpha = float(temperature), float(alpha)

    def forward(self, student_logits: Any, teacher_logits: Any, labels: Any | None = None) -> Any:
        """The loss, 0-d."""
        if student_logits.shape != teacher_logits.shape or student_logits.ndim < 2:
            raise ValueError(
                "DistillationLoss: expected logits (..., classes) of one shape, got "
                f"{student_logits.shape} of the student and {teacher_logits.shape} of the teacher"
            )
        if labels is None and self.alpha < 1.0:
            raise ValueError(
                f"DistillationLoss: expected labels for alpha={self.alpha:g}, got none. With alpha=1 the "
                "teacher alone decides."
            )
        classes = student_logits.shape[-1]
        student, teacher = (x.reshape(-1, classes) for x in (student_logits, teacher_logits.detach()))
        terms: list[Any] = []
        if self.alpha > 0.0:
            warm = [F.log_softmax(logits * (1.0 / self.temperature), 1) for logits in (student, teacher)]
            soft = F.kl_div(*warm, reduction="batchmean", log_target=True)
            terms.append(soft * (self.alpha * self.temperature**2))
        if labels is not None and self.alpha < 1.0:
            terms.append(F.cross_entropy(student, labels.reshape(-1)) * (1.0 - self.alpha))
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def extra_repr(self) -> str:
        """The settings."""
        return f"temperature={self.temperature:g}, alpha={self.alpha:g}"


def feature_loss(student: Any, teacher: Any, projection: Callable[[Any], Any] | None = None) -> Any:
    """Mean squared difference of what a layer of each model made; the teacher's gets no gradient.

    projection: a layer that brings the student's features into the teacher's shape (a `Linear`, or a `Conv2d`
    with windows of 1 × 1); train it with the student, and drop it afterwards.

    Raises ValueError for features of different shapes.
    Source: A. Romero et al., "FitNets: hints for thin deep nets", 2015.
    """
    student = student if projection is None else projection(student)
    if student.shape != teacher.shape:
        raise ValueError(
            f"feature_loss: expected features of one shape, got {student.shape} of the student and "
            f"{teacher.shape} of the teacher. Give a projection from the one to the other."
        )
    return F.mse_loss(student, teacher.detach())


@contextmanager
def captured(model: Module, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Inside the block, a dict that every call of `model` fills with the outputs of the modules in `names`.

    Raises AttributeError for a name that is no module.

    >>> import tinytorch as tt
    >>> model = tt.models.MLP(4, (3,), 2)
    >>> with captured(model, ["hidden"]) as outputs:
    ...     _ = model(tt.zeros(1, 4))
    >>> outputs["hidden"].shape
    (1, 3)
    """
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Callable[[Module, tuple, Any], None]:
        return lambda module, arguments, output: outputs.__setitem__(name, output)

    modules = {name: model.get_submodule(name) for name in names}
    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def distill(
    student: Module,
    teacher: Module,
    loader: Iterable[Any],
    optimizer: Any,
    *,
    epochs: int,
    loss: DistillationLoss | None = None,
    schedule: Any = None,
    prepare: Callable[[Any], Any] | None = None,
    features: Mapping[str, str] | None = None,
    projections: Mapping[str, Callable[[Any], Any]] | None = None,
    feature_weight: float = 1.0,
    after_step: Callable[[], Any] | None = None,
) -> list[float]:
    """Train `student` on the batches of `loader` and the teacher's answers. Returns each epoch's mean loss.

    The teacher answers in evaluation mode and without a graph, to the very inputs the student sees; nothing
    of it changes. The student is left in training mode.

    loader: pairs of inputs and labels, gone through `epochs` times. optimizer: of the student's parameters
    (and the projections'). schedule: stepped with it. loss: `DistillationLoss()` by default. prepare: called
    on the inputs first. after_step: called behind each step, such as the `apply` of a `Pruner`.
    features: names of the student's modules, with those of the teacher whose output they shall match, as
    `feature_loss` times `feature_weight`; projections: by the student's names.

    Raises ValueError for an empty loader and for projections without features.
    Cost: beside the training the forward pass of the teacher.
    """
    loss, features, projections = loss or DistillationLoss(), features or {}, projections or {}
    if unknown := set(projections) - set(features):
        raise ValueError(f"distill: projections for {sorted(unknown)}, which are not among the features")
    was_training = [module for module in teacher.modules() if module.training]
    student.train()
    teacher.eval()
    history: list[float] = []
    try:
        with captured(student, features) as own, captured(teacher, features.values()) as shown:
            for _ in range(epochs):
                losses: list[float] = []
                for inputs, labels in loader:
                    inputs = inputs if prepare is None else prepare(inputs)
                    with no_grad():
                        answers = teacher(inputs)
                    value: Tensor = loss(student(inputs), answers, labels)
                    for name, of_teacher in features.items():
                        hint = feature_loss(own[name], shown[of_teacher], projections.get(name))
                        value = value + hint * feature_weight
                    optimizer.zero_grad()
                    value.backward()
                    optimizer.step()
                    if schedule is not None:
                        schedule.step()
                    if after_step is not None:
                        after_step()
                    losses.append(value.item())
                if not losses:
                    raise ValueError("distill: the loader gave no batches in this epoch")
                history.append(sum(losses) / len(losses))
    finally:
        for module in was_training:
            module.training = True
    return history
