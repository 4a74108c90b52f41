"""What attention does on tasks with known answers: where it looks, and how far it carries."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import viz
from tinytorch.datasets.sequences import TASKS, TOKENS, Sequences, answers_right, make_sequences
from tinytorch.milestone import weights
from tinytorch.milestone.run import Run
from tinytorch.models import GPT, GPTConfig
from tinytorch.nn import Module

LETTERS = 10  # of the example whose attention is shown
LONGER = (4, 8, 12, 14, 16, 20, 24)  # letters of the sequences that are asked about, also longer than learned
ASKED = 200  # sequences of each length
SEED = 2017  # of what is asked here; no training run and no test set uses it


def recall_act_one(run: Run) -> None:
    """Act one in short: what the weights that ship for `vaswani_sequences.py` do on new sequences."""
    file = run.milestone.weights_file.with_name("vaswani_sequences.safetensors")
    model = GPT(GPTConfig(len(TOKENS), 64, n_layer=2, n_head=4, n_embd=64, positions="rotary"))
    weights.load(model, file, "python milestones/05_2017_transformer_era/vaswani_sequences.py --save-weights")
    shares = {task: right(model, make_sequences(task, ASKED, (4, 12), seed=SEED)) for task in TASKS}
    run.say(
        f"[bold]Act one[/]  attention on tasks whose answers are known, {ASKED} new sequences each: "
        + ", ".join(f"{task} {share:.1%}" for task, share in shares.items())
        + " right in every letter\n  (vaswani_sequences.py trained these weights, and shows more)"
    )
    run.show(reversal(model))
    run.say("\n[bold]Act two[/]  Shakespeare")


def show_reversal(run: Run) -> list[str]:
    """`reversal` by the run's model."""
    return reversal(run.model)


def reversal(model: Module) -> list[str]:
    """The head that reverses: where each letter of an answer looks, one row for each."""
    example = make_sequences("reverse", 1, (LETTERS, LETTERS), seed=SEED)
    maps, tokens = _maps(model, example)
    answer, question = slice(LETTERS + 1, 2 * LETTERS + 1), slice(1, LETTERS + 1)
    heads = maps[:, :, answer, question].reshape(-1, LETTERS, LETTERS)
    turned = np.trace(heads[:, ::-1], axis1=1, axis2=2) / LETTERS  # how much each looks where it should
    best = int(turned.argmax())
    written = [tokens[i + 1] for i in range(LETTERS + 1, 2 * LETTERS + 1)]
    lines = viz.attention_in_terminal(heads[best], written, tokens[question])
    said = f"{example.spell(0)}   row: the letter to be written; column: the letter it looks at"
    return [
        said,
        *lines,
        f"this head gives {turned[best]:.0%} of its attention to the letter that is to come",
    ]


def study_sequences(run: Run) -> dict[str, Any]:
    """The share that is exactly right for each task and length. Returns the same as facts."""
    found = {
        task: [right(run.model, make_sequences(task, ASKED, (n, n), seed=SEED + n)) for n in LONGER]
        for task in TASKS
    }
    longest = int((run.data.test[0] == TOKENS.index("=")).argmax(1).max()) - 1
    run.say(
        f"[bold]Longer than it has seen[/]  {ASKED} sequences each; it learned from up to {longest} letters"
    )
    run.say("  letters " + "".join(f"{n:>9}" for n in LONGER))
    for task, shares in found.items():
        run.say(f"  {task:<8}" + "".join(f"{100 * share:>7.1f} %" for share in shares))
    run.say("")
    return {"lengths": list(LONGER), "exact_by_length": found}


def right(model: Module, asked: Sequences) -> float:
    """The share of sequences whose answer is right in every letter."""
    with tt.no_grad():
        predicted = model(tt.tensor(asked.inputs)).numpy().argmax(2)
    return float(answers_right(predicted, asked.targets).mean())


def draw_sequences(run: Run) -> None:
    """Where each head looks in a reversal, and the learning curve."""
    maps, tokens = _maps(run.model, make_sequences("reverse", 1, (LETTERS, LETTERS), seed=SEED))
    viz.attention_maps(maps, tokens, run.picture("attention.png"), title="Reversal: where each head looks")
    if run.history:
        m = run.milestone
        viz.learning_curves(
            run.history, run.picture("learning_curves.png"), marks=m.marks, title=f"{m.title}, learned",
            metric=m.metric.name, metric_label="answers right in every letter, %",
        )  # fmt: skip


def _maps(model: Any, example: Sequences) -> tuple[np.ndarray, list[str]]:
    """Attention (layers, heads, t, t) on one example, and its tokens; what is padding is left out."""
    inputs = example.inputs[:, : 2 * LETTERS + 2]
    with tt.no_grad():
        maps = [share.numpy()[0] for share in model.attention_maps(tt.tensor(inputs))]
    return np.stack(maps), [TOKENS[token] for token in inputs[0]]
