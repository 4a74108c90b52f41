"""Writing on: one token after the other, each drawn from what the model expects to follow."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.autograd.modes import no_grad

Tokens = np.ndarray


def generate(
    model: Any,
    prompt: Any,
    max_new_tokens: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | Collection[int] | None = None,
    seed: int | None = None,
    stream: Callable[[Any], object] | None = None,
    use_cache: bool = True,
    tokenizer: Any = None,
) -> Any:
    """Continue `prompt` by up to `max_new_tokens` tokens.

    prompt: token numbers, (t,) or (batch, t), t of 1 or more; a string where a `tokenizer` is given.
    temperature: logits are divided by it; 0 takes the likeliest token each time.
    top_k: only the k likeliest tokens. top_p: only the likeliest that together have this much probability
    (nucleus sampling; Holtzman et al., 2020). With both, top_k first.
    stop: a token, or several, after which a sequence ends; in a batch, one that has ended repeats it.
    seed: of the draws; None takes the library's generator, which `manual_seed` sets.
    stream: is called with each new token (in a batch, an array of them), or with the piece of text that it
    completes.
    use_cache: False reads all tokens again for every new one. The logits are the same.

    The model reads at most `block_size` tokens. When they are full it goes on with the last half of them,
    which a cache has to read anew because their places change; with or without it the text is the same.

    Returns the prompt with what follows, as int64 of the prompt's shape, or as a string. The model is left in
    the mode it was in, train or eval; it generates in eval.
    Cost of a token with a cache: about 2 · parameters FLOPs; without, that times the tokens before it.

    Raises ValueError for an empty prompt, and for numbers outside of their ranges; IndexError for a token
    that the model does not know.

    >>> import tinytorch as tt
    >>> from tinytorch.models import GPT, GPTConfig
    >>> _ = tt.manual_seed(0)
    >>> model = GPT(GPTConfig(vocab_size=10, block_size=8, n_layer=1, n_head=1, n_embd=8))
    >>> generate(model, [1, 2, 3], 4, seed=0).shape
    (7,)
    """
    text = isinstance(prompt, str)
    if text:
        if tokenizer is None:
            raise TypeError("generate: expected a tokenizer with a prompt that is a string, got none")
        prompt = tokenizer.encode(prompt)
    tokens = np.asarray(prompt, dtype=np.int64)
    single = tokens.ndim == 1
    tokens = tokens[None] if single else tokens
    if tokens.ndim != 2 or not tokens.shape[1]:
        raise ValueError(
            "generate: expected a prompt of shape (t,) or (batch, t) with t of 1 or more, "
            f"got {np.shape(prompt)}"
        )
    if max_new_tokens < 0:
        raise ValueError(f"generate: expected max_new_tokens of 0 or more, got {max_new_tokens}")
    choose = _Choice(temperature, top_k, top_p, seed)
    ends = np.atleast_1d([] if stop is None else np.asarray(stop, np.int64))
    show: Any = _Pieces(tokenizer, stream) if stream is not None and text else stream
    trained, reader = model.training, _Reader(model, len(tokens), use_cache)
    whole = np.empty((len(tokens), tokens.shape[1] + max_new_tokens), np.int64)
    whole[:, : tokens.shape[1]] = tokens
    ended = np.zeros(len(tokens), np.bool_)
    length = tokens.shape[1]
    model.eval()
    try:
        with no_grad():
            while length < whole.shape[1] and not ended.all():
                chosen = choose(reader.logits(whole[:, :length]))
                chosen = np.where(ended, whole[:, length - 1], chosen)
                whole[:, length] = chosen
                length += 1
                if ends.size:
                    ended |= np.isin(chosen, ends)
                if show is not None:
                    show(int(chosen[0]) if single else chosen)
    finally:
        model.train(trained)
    whole = whole[:, :length]
    if text:
        return tokenizer.decode(whole[0])
    return whole[0] if single else whole


class _Reader:
    """Gives the logits that follow a growing sequence; reads with a cache only what is new."""

    def __init__(self, model: Any, batch: int, use_cache: bool):
        self.model, self.context = model, model.config.block_size
        self.cache = model.new_cache(batch) if use_cache else None
        self.start = 0  # of the window that the model sees

    def logits(self, tokens: Tokens) -> np.ndarray:
        """Tokens (batch, t) -> (batch, vocab_size), of the token after the last."""
        length = tokens.shape[1]
        while length - self.start > self.context:
            self.start = length - max(1, self.context // 2)
            if self.cache is not None:
                self.cache.reset()
        seen = self.start + (0 if self.cache is None else self.cache.length)
        hidden = self.model.hidden(tokens[:, seen:], self.cache)
        return self.model.head(hidden[:, -1]).numpy()


class _Choice:
    """Draws a token from each row of logits."""

    def __init__(self, temperature: float, top_k: int | None, top_p: float | None, seed: int | None):
        if not temperature >= 0:
            raise ValueError(f"generate: expected a temperature of 0 or more, got {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"generate: expected top_k of 1 or more, got {top_k}")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"generate: expected top_p above 0 and up to 1, got {top_p}")
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.rng = random.default_generator.numpy() if seed is None else np.random.default_rng(seed)

    def __call__(self, logits: np.ndarray) -> Tokens:
        if self.temperature == 0:
            return logits.argmax(1)
        scaled = logits.astype(np.float64) / self.temperature
        scaled -= scaled.max(1, keepdims=True)
        if self.top_k is not None and self.top_k < scaled.shape[1]:
            least = np.partition(scaled, -self.top_k, axis=1)[:, -self.top_k, None]
            scaled[scaled < least] = -np.inf
        p = np.exp(scaled)
        p /= p.sum(1, keepdims=True)
        if self.top_p is not None:
            order = np.argsort(-p, axis=1)
            ranked = np.take_along_axis(p, order, 1)
            before = np.cumsum(ranked, 1) - ranked  # of the likelier ones; the first is always kept
            np.put_along_axis(p, order, np.where(before < self.top_p, ranked, 0), 1)
        sums = np.cumsum(p, 1)
        draw = self.rng.random((len(p), 1)) * sums[:, -1:]
        return (sums <= draw).sum(1)


class _Pieces:
    """Turns tokens into text as soon as it is whole: one token may end inside a character."""

    def __init__(self, tokenizer: Any, stream: Callable[[str], object]):
        self.tokenizer, self.stream = tokenizer, stream
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, token: int) -> None:
        if hasattr(self.tokenizer, "decode_bytes"):
            piece = self.decoder.decode(self.tokenizer.decode_bytes([token]))
        else:
            piece = self.tokenizer.decode([token])
        if piece:
            self.stream(piece)
