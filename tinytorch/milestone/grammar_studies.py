"""What is asked of a model that learned a grammar: are its sentences right, and are they its own?"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from tinytorch import viz
from tinytorch.datasets.grammar import accepts, explain
from tinytorch.milestone.language import write_lines
from tinytorch.milestone.language_studies import maps_of
from tinytorch.milestone.run import Run

SHOWN = 6  # sentences in the terminal
ASKED = 500  # sentences that are judged
DISTANT = "the dogs that the child near the river sees run"  # and not "runs"


def show_sentences(run: Run) -> list[str]:
    """Some sentences that the model writes, and where those that are wrong go wrong."""
    lines = []
    for sentence in write_lines(run, SHOWN):
        wrong = explain(sentence)
        lines.append(f"{'✗' if wrong else '✓'} {sentence}")
        if wrong:
            lines.append(f"    {wrong}")
    return lines


def study_grammar(run: Run) -> dict[str, Any]:
    """How many of the sentences that are right are new, and what models that count words reach. Returns the
    same as facts."""
    known = run.data.extra["known"]
    right = [sentence for sentence in write_lines(run, ASKED) if accepts(sentence)]
    new = sum(sentence not in known for sentence in right) / max(1, len(right))
    counted = {n: _share_accepted(_ngrams(sorted(known), n, ASKED)) for n in (2, 3, 4)}
    run.say(
        f"[bold]Its own sentences[/]  {new:.1%} of those that are right were not among the "
        f"{len(known):,} that it learned from"
    )
    run.say(
        "[bold]Models that count[/]  of sentences by a model that knows which word follows the last "
        + ", ".join(f"{n - 1}: {share:.1%}" for n, share in counted.items())
        + " are right\n"
    )
    return {"new": new, "accepted_of_ngrams": {str(n): share for n, share in counted.items()}}


def draw_grammar(run: Run) -> None:
    """Where each head looks in a sentence whose verb agrees with a word far before it; the learning curve."""
    maps, tokens = maps_of(run, f"\n{DISTANT}")
    viz.attention_maps(
        maps, tokens, run.picture("attention.png"), title="Where each head looks, layer by layer"
    )
    if run.history:
        m = run.milestone
        viz.learning_curves(
            run.history, run.picture("learning_curves.png"), marks=m.marks, title=f"{m.title}, learned",
            metric=m.metric.name, metric_label="sentences of its own that are right",
        )  # fmt: skip


def _share_accepted(sentences: list[str]) -> float:
    return sum(map(accepts, sentences)) / len(sentences)


def _ngrams(corpus: list[str], n: int, count: int) -> list[str]:
    """`count` sentences, each word drawn from those that followed the same n - 1 words in the corpus."""
    following: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sentence in corpus:
        words = [""] * (n - 1) + [*sentence.removesuffix(".").split(), "."]
        for i in range(n - 1, len(words)):
            following[tuple(words[i - n + 1 : i])].append(words[i])
    draw, sentences = random.Random(0), []
    for _ in range(count):
        words = [""] * (n - 1)
        while words[-1] != ".":
            words.append(draw.choice(following[tuple(words[len(words) - n + 1 :])]))
        sentences.append(" ".join(words[n - 1 : -1]) + ".")
    return sentences
