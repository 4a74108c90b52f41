"""Byte-pair encoding as it is written down: count all pairs again before each merge."""

from __future__ import annotations

import itertools
from collections import Counter


def join(symbols: list[int], pair: tuple[int, int], symbol: int) -> list[int]:
    """`symbol` for the pair wherever it occurs, from left to right."""
    joined, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            joined.append(symbol)
            i += 2
        else:
            joined.append(symbols[i])
            i += 1
    return joined


def learn(words: dict[bytes, int], most: int, least: int = 2) -> list[tuple[int, int]]:
    chains = [(list(word), weight) for word, weight in words.items()]
    merges = []
    while len(merges) < most:
        counts: Counter[tuple[int, int]] = Counter()
        for symbols, weight in chains:
            for pair in itertools.pairwise(symbols):
                counts[pair] += weight
        if not counts:
            break
        pair = min(counts, key=lambda p: (-counts[p], p))
        if counts[pair] < least:
            break
        chains = [(join(symbols, pair, 256 + len(merges)), weight) for symbols, weight in chains]
        merges.append(pair)
    return merges


def apply(word: bytes, merges: list[tuple[int, int]]) -> list[int]:
    symbols = list(word)
    for number, pair in enumerate(merges):
        symbols = join(symbols, pair, 256 + number)
    return symbols
