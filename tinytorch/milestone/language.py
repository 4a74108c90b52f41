"""What the language models of milestone 5 share: text as examples, the loss, samples in the terminal."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.milestone.milestone import Examples
from tinytorch.milestone.run import EVALUATION_BATCH, Run
from tinytorch.nn import functional as F
from tinytorch.text import generate

SAMPLE = 240  # characters that are shown of a sample
TEMPERATURE = 0.8


# --- text as examples -----------------------------------------------------------------------------------


def examples(tokens: np.ndarray, context: int) -> Examples:
    """All of a text, cut into contexts, (n, context), and the token after each token: two views of it."""
    n = (len(tokens) - 1) // context
    inputs, following = tokens[: n * context], tokens[1 : n * context + 1]
    return inputs.reshape(n, context), following.reshape(n, context)


def made_up(count: int, context: int, vocabulary: int) -> Examples:
    """`count` contexts of tokens that follow each other in the order of their numbers."""
    return examples(np.arange(count * context + 1) % vocabulary, context)


def next_token_loss(logits: tt.Tensor, following: tt.Tensor) -> tt.Tensor:
    """Mean cross-entropy of logits (b, t, vocabulary) and the tokens that follow, (b, t), in nats a token."""
    return F.cross_entropy(logits.flatten(0, 1), following.flatten())


def loss_per_character(run: Run, inputs: np.ndarray, following: np.ndarray) -> float:
    """Nats per character of the text in `following`, whatever the tokens are."""
    model, total = run.model, 0.0
    step = max(1, EVALUATION_BATCH * 64 // inputs.shape[1])
    for i in range(0, len(inputs), step):
        x, y = (part[i : i + step].astype(np.int64) for part in (inputs, following))
        total += next_token_loss(model(tt.tensor(x)), tt.tensor(y)).item() * y.size
    tokenizer = run.data.extra["tokenizer"]
    return total / len(tokenizer.decode(following.ravel().astype(np.int64)))


def next_token(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Probabilities of the token after each context, (n, vocabulary)."""
    hidden = model.hidden(tt.tensor(inputs.astype(np.int64)))
    return tt.softmax(model.head(hidden[:, -1]), dim=1).numpy()


# --- samples --------------------------------------------------------------------------------------------


def write(run: Run, count: int, **how: Any) -> str:
    """`count` tokens of the model's own after the prompt, or after a line break."""
    prompt = run.options.get("prompt", "\n")
    told = {"temperature": TEMPERATURE, "seed": run.seed, "tokenizer": run.data.extra["tokenizer"], **how}
    return generate(run.model, prompt, count, **told)


def write_lines(run: Run, count: int) -> list[str]:
    """`count` lines of the model's own, each from the line break before it to the one behind it."""
    tokenizer = run.data.extra["tokenizer"]
    (end,), context = tokenizer.encode("\n"), run.model.config.block_size
    texts = generate(
        run.model, np.full((count, 1), end), context - 1, stop=end, seed=run.seed, temperature=TEMPERATURE
    )
    return [tokenizer.decode(text[1:]).partition("\n")[0] for text in texts]


def sample(run: Run) -> list[str]:
    """Some lines that the model writes now."""
    text = write(run, SAMPLE).strip("\n")
    return [f"│ {part}" for line in text.splitlines() for part in textwrap.wrap(line, 90) or [""]]


def converse(run: Run) -> None:
    """Let the person at the terminal begin, and the model go on, until an empty line."""
    tokenizer = run.data.extra["tokenizer"]
    run.say("[bold]Your turn[/]  begin a line, and the model writes on; an empty line ends it")
    while True:
        try:
            begun = input("> ")
        except (EOFError, KeyboardInterrupt):
            begun = ""
        if not begun:
            return
        try:
            tokenizer.encode(begun)
        except ValueError as error:
            run.say(f"[yellow]{error}[/]")
            continue
        print(begun, end="")
        generate(
            run.model, begun, SAMPLE, temperature=TEMPERATURE, tokenizer=tokenizer,
            stream=lambda piece: print(piece, end="", flush=True),
        )  # fmt: skip
        print()
