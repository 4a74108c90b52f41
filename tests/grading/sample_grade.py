"""A grade with everything in it that a report can show, for tests of outputs."""

from __future__ import annotations

from typing import Any

from grading.outputs.grade import GateGrade, Grade, MilestoneGrade, Submission

MARKS = {"pass": 0.85, "merit": 0.93, "distinction": 0.96}


def sample(
    name: str = "alice",
    message: str = "the gradient is off by 12 %",
    hint: str = "look at the bias",
    visibility: str = "visible",
) -> Grade:
    """One milestone met, one not; the words and the visibility of the gate that is not met can be chosen."""
    ran = GateGrade("ran", "Runs to its end", "passed", 2.0, 2.0)
    accuracy = GateGrade("accuracy", "Accuracy", "passed", 5.0, 5.0, "visible", 0.85, 0.9123, "share")
    gradients = GateGrade(
        "gradients", "Gradients", "failed", 0.0, 3.0, visibility, 0.01, None, "", message, hint
    )
    met = milestone(
        "xor", 2, "XOR, 1969", [ran, accuracy], value=0.99, mark="distinction",
        curves={"loss": [1.0, 0.1, 0.01]}, next="",
    )  # fmt: skip
    missed = milestone(
        "mlp", 3, "MLP revival, 1986: digits", [ran, gradients, accuracy], value=0.9123,
        curves={"loss": [2.0, None, 1.0]}, confusion=[[30, 2], [1, 31]], classes=["0", name],
        mistakes=[{"image": [[0.0, 1.0], [0.5, 0.2]], "expected": "0", "got": name}], text=[message],
        next=f"Gradients: {hint}",
    )  # fmt: skip
    return graded(name, [met, missed])


def rich(name: str = "a_students_framework") -> Grade:
    """Six milestones: met with and without distinction, missed, errored, not come to an end, skipped."""
    found = sample(name)
    digits = [str(i) for i in range(10)]
    counts = [
        [33 if i == j else (i * 7 + j * 3) % 11 // 8 * (1 + j % 4) for j in range(10)] for i in range(10)
    ]
    images = [[[((i + x) * (y + 2) % 9) / 8 for x in range(8)] for y in range(8)] for i in range(12)]
    mistakes = [
        {"image": image, "expected": str(i % 10), "got": str(i * 3 % 10)} for i, image in enumerate(images)
    ]
    ran = GateGrade("ran", "Runs to its end", "passed", 2.0, 2.0)
    cnn = milestone(
        "cnn", 4, "CNN revolution, 1998: digits",
        [
            ran,
            GateGrade("forward", "Forward pass", "passed", 2.0, 2.0, "visible", 1e-4, 1.7e-7),
            GateGrade("gradients", "Gradients", "failed", 0.0, 6.0, "visible", 0.01, None, "",
                      "the gradient of the weight of conv 1 is off by 50.1% of its length from the one "
                      "by hand; expected at most 1.0%",
                      "Check `Conv2d.backward` by finite differences, the last layer first."),
            GateGrade("accuracy", "Accuracy on test data", "failed", 3.2, 8.0, "visible", 0.85, 0.52,
                      "share", "an accuracy of 52.0 %; expected 85.0 %",
                      "If all gates above are met, look at initialisation."),
            GateGrade("used", "Convolutions do the work", "error", 0.0, 2.0, "visible", 0.6, None, "share",
                      "what it left cannot be judged: conv 1 has the shape (8, 9)", ""),
        ],
        value=0.52, curves={"loss": [2.3 * 0.97**i + 0.02 * (i % 3) for i in range(40)]}, confusion=counts,
        classes=digits, mistakes=mistakes, next="Gradients: Check `Conv2d.backward` by finite differences.",
    )  # fmt: skip
    gpt = milestone(
        "transformer", 5, "Transformer era, 2017: sentences",
        [
            ran,
            GateGrade("validation_loss", "Loss on unseen sentences", "passed", 8.0, 8.0, "visible", 1.1,
                      0.95, "nats"),
        ],
        value=0.95, mark="merit", curves={"loss": [3.2 * 0.7**i + 0.9 for i in range(12)]},
        text=["the girl sees a bird.\nevery cat sings quietly.\nthe dogs like the garden.", "x" * 400],
        next="The next mark, distinction, is at 0.9 nats.",
    )  # fmt: skip
    gpt.metric, gpt.unit, gpt.falls = "validation_loss", "nats", True
    gpt.marks = {"pass": 1.1, "merit": 1.0, "distinction": 0.9}
    nothing = "it left no before_0"
    systems = milestone(
        "systems", 6, "Systems age, 2024: smaller and faster",
        [
            GateGrade("ran", "Runs to its end", "failed", 0.0, 2.0, message="milestone 6 needs "
                      "`quantize_dynamic`: you brought your own Tensor, and ours cannot work with it.",
                      hint="Start with the last line of its output."),
            *(GateGrade(f"gate{i}", f"Gate {i}", "failed", 0.0, 2.0, message=nothing) for i in range(8)),
        ],
        value=None, next="Runs to its end: milestone 6 needs `quantize_dynamic`.",
    )  # fmt: skip
    skipped = milestone(
        "perceptron", 1, "Perceptron, 1957", [GateGrade("ran", "Runs to its end", "skipped", 0.0, 5.0)],
        value=None, next="", message="The data are not there.",
    )  # fmt: skip
    skipped.status = "skipped"
    found.milestones = [skipped, *found.milestones, cnn, gpt, systems]
    return found


def milestone(name: str, number: int, title: str, gates: list[GateGrade], **more: Any) -> MilestoneGrade:
    """A milestone with the sums of its gates."""
    status = "passed" if all(gate.status == "passed" for gate in gates) else "failed"
    usual: dict[str, Any] = {"mark": None, "marks": dict(MARKS), "seconds": 1.5, "peak_mib": 180.0}
    return MilestoneGrade(
        name, number, title, status, sum(gate.score for gate in gates), sum(gate.max_score for gate in gates),
        "accuracy", "share", False, gates=gates, **{**usual, **more},
    )  # fmt: skip


def graded(name: str, milestones: list[MilestoneGrade]) -> Grade:
    """A grade of these milestones."""
    return Grade(
        Submission(name, f"submissions/{name}", "ab" * 32, ["Linear", "ReLU"], ["SGD", "Tensor"]),
        "2026-11-26T12:00:00+00:00", 4.2, 7, "small", {"python": "3.11", "numpy": "2.4", "cpus": 2},
        {"namespaces": True, "network": "namespace", "user": "root of its own namespace", "notes": []},
        milestones,
    )  # fmt: skip
