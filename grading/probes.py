"""What a trained language model has to show beside its loss: in what it writes, and inside.

What it writes comes from the saved weights by way of NumPy. The probes ask the library's model with these
weights in it, and hold it against the grader's own (`transformer.py`).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import tinytorch as tt
from grading import exams, gates, texts
from grading.exams import Exam
from grading.gates import require
from grading.reference import model_of
from grading.runs import Run
from grading.thresholds import PROBES, WRITING, Milestone
from tinytorch.datasets.grammar import accepts

# --- what it writes -------------------------------------------------------------------------------------


def sentences_are_new(run: Run, milestone: Milestone, exam: Exam) -> float:
    """Of the right sentences it writes, enough are not among those it learned from; returns the share."""
    written = exams.sentences(milestone.network, gates.weights(run, milestone), exam)
    learned = set(exam.text.splitlines())
    new = float(np.mean([sentence not in learned for sentence in written if accepts(sentence)] or [0]))
    require(
        new >= WRITING["new"],
        f"{milestone.name}: {new:.1%} of the right sentences that it writes are new; expected at least "
        f"{WRITING['new']:.0%}. Does it repeat what it has read?",
    )
    return new


def writes_words_of_its_own(run: Run, milestone: Milestone, exam: Exam) -> tuple[float, float]:
    """It writes words of the text that it learned from, and not the text itself; returns both shares."""
    written = exams.writing(milestone.network, gates.weights(run, milestone), exam)
    known = texts.known_words(written, exam.text, WRITING["letters"])
    copied = texts.copied(written, exam.text, WRITING["window"])
    require(
        known >= WRITING["known_words"],
        f"{milestone.name}: {known:.1%} of the words that it writes, of those with {WRITING['letters']} "
        f"letters or more, occur in the text; expected at least {WRITING['known_words']:.0%}. It wrote: "
        f"{written[0][:200]!r}",
    )
    require(
        copied <= WRITING["copied"],
        f"{milestone.name}: {copied:.1%} of all stretches of {WRITING['window']} characters that it writes "
        f"stand in the text; expected at most {WRITING['copied']:.0%}. Has it learned the text by heart?",
    )
    return known, copied


def better_than_counting_pairs(run: Run, milestone: Milestone, exam: Exam) -> float:
    """Its loss is well below that of a table of which character follows which; returns by how much."""
    table = texts.bigram_loss(
        texts.encoded(exam.text, exam.alphabet), np.append(exam.x.ravel(), exam.y[-1, -1]), len(exam.alphabet)
    )
    found = gates.value(run, milestone, exam)
    require(
        table - found >= WRITING["below_bigram"],
        f"{milestone.name}: its loss is {found:.4f} nats, that of a table of pairs {table:.4f}; expected at "
        f"least {WRITING['below_bigram']:g} less. Does it look further back than one character?",
    )
    return table - found


# --- inside ---------------------------------------------------------------------------------------------


def library(run: Run, milestone: Milestone) -> Any:
    """The library's model with the saved weights in it."""
    gates.weights(run, milestone)
    model: Any = model_of(milestone)
    model.load_state_dict(run.weights)
    return model.eval()


def _logits(model: Any, tokens: np.ndarray, cache: Any = None) -> np.ndarray:
    with tt.no_grad():
        return model(tt.tensor(tokens), *([] if cache is None else [cache])).numpy()


def logits_agree(run: Run, milestone: Milestone, exam: Exam) -> float:
    """The library's logits, and its maps of attention, are those of the grader; returns the distance."""
    model, weights = library(run, milestone), gates.weights(run, milestone)
    tokens = exam.x[: PROBES["contexts"]]
    with tt.no_grad():
        maps = [found.numpy() for found in model.attention_maps(tt.tensor(tokens))]
    by_hand = milestone.network.attention(weights, tokens)
    apart = {
        "logits": _apart(_logits(model, tokens), milestone.network.answer(weights, tokens, dtype=np.float64)),
        "attention maps": max(_apart(*pair) for pair in zip(maps, by_hand, strict=True)),
    }
    for what, found in apart.items():
        require(
            found <= PROBES["logits"],
            f"{milestone.name}: with the saved weights the library's {what} are up to {found:.2g} from those "
            f"by hand; expected at most {PROBES['logits']:g}. Are mask, scale, positions and softmax right?",
        )
    return apart["logits"]


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def future_is_hidden(run: Run, milestone: Milestone, exam: Exam) -> None:
    """A changed token changes nothing that was said before it, and something of what is said from it on."""
    tokens, t = exam.x[0], exam.x.shape[1]
    changed = np.repeat(tokens[None], t, axis=0)  # row i: token i is another
    changed[np.arange(t), np.arange(t)] = (tokens + 1) % milestone.network.vocabulary
    model = library(run, milestone)
    moved = np.abs(_logits(model, changed) - _logits(model, tokens[None])).max(-1)
    earlier = float(np.tril(moved, -1).max())
    require(
        earlier <= PROBES["earlier"],
        f"{milestone.name}: a changed token changes logits before it by {earlier:.2g}; expected at most "
        f"{PROBES['earlier']:g}. Is the causal mask on?",
    )
    later = float(np.triu(moved).max(1).min())
    require(
        later >= PROBES["later"],
        f"{milestone.name}: a changed token changes logits from it on by only {later:.2g}; expected at least "
        f"{PROBES['later']:g}. Does it look at what it reads?",
    )


def positions_matter(run: Run, milestone: Milestone, exam: Exam) -> None:
    """Two tokens that change places change the answer, and how much the first block looks at each."""
    tokens, t = exam.x[0], exam.x.shape[1]
    places = [i for i in range(t - 2) if tokens[i] != tokens[i + 1]]
    swapped = np.repeat(tokens[None], len(places), axis=0)
    rows = np.arange(len(places))
    for one, other in ((0, 1), (1, 0)):
        swapped[rows, np.add(places, one)] = tokens[np.add(places, other)]
    model = library(run, milestone)
    moved = float(np.abs(_logits(model, swapped) - _logits(model, tokens[None]))[:, -1].max())
    require(
        moved >= PROBES["later"],
        f"{milestone.name}: tokens that change places change the last logits by {moved:.2g}; expected at "
        f"least {PROBES['later']:g}. Does the model know where a token stands?",
    )
    with tt.no_grad():
        before, after = (model.attention_maps(tt.tensor(x))[0].numpy() for x in (tokens[None], swapped))
    placed = _apart(before[0, :, -1, places], after[rows, :, -1, np.add(places, 1)])
    require(
        placed >= PROBES["placed"],
        f"{milestone.name}: the first block looks at a token as much wherever it stands (to {placed:.2g}); "
        f"expected a difference of at least {PROBES['placed']:g}. Does the model know where a token stands?",
    )


def attention_is_not_uniform(run: Run, milestone: Milestone, exam: Exam) -> float:
    """Attention chooses: its entropy is well below that of a mean over the past; returns the share of it."""
    with tt.no_grad():
        maps = library(run, milestone).attention_maps(tt.tensor(exam.x[: PROBES["contexts"]]))
    p = np.stack([found.numpy() for found in maps]).astype(np.float64)[..., 1:, :]
    entropy = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)
    share = float((entropy / np.log(np.arange(2, p.shape[-1] + 1))).mean())
    require(
        share <= PROBES["uniform"],
        f"{milestone.name}: the entropy of its attention is {share:.1%} of that of a mean over the past; "
        f"expected at most {PROBES['uniform']:.0%}. Do queries and keys learn?",
    )
    return share


def cache_agrees(run: Run, milestone: Milestone, exam: Exam) -> float:
    """With a cache, token by token or in two parts, the logits are those of all at once; returns how far."""
    tokens, t = exam.x[: PROBES["contexts"]], exam.x.shape[1]
    model = library(run, milestone)
    whole, worst = _logits(model, tokens), 0.0
    for cuts in (range(t + 1), (0, t // 2, t), (0, *range(t // 2, t + 1))):
        cache = model.new_cache(len(tokens))
        parts = [_logits(model, tokens[:, i:j], cache) for i, j in itertools.pairwise(cuts)]
        apart = np.abs(np.concatenate(parts, axis=1) - whole).max((0, 2))
        worst = max(worst, float(apart.max()))
        require(
            worst <= PROBES["cached"],
            f"{milestone.name}: with a cache the logits at place {int(apart.argmax())} are {worst:.2g} from "
            f"those without; expected at most {PROBES['cached']:g}. Does the cache hold every token, the "
            "current one too?",
        )
    return worst


INSIDE = (logits_agree, future_is_hidden, positions_matter, attention_is_not_uniform, cache_agrees)
