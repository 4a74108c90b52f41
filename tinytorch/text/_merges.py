"""Byte-pair encoding on words: which pairs to join, and joining them.

All words lie end to end in one chain of symbols, and each pair of symbols has a list of the places where it
occurs. Joining a pair goes to these places only, so learning and applying any number of merges costs time
linear in the length of the words, apart from the heap that says which pair is next.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

Pair = tuple[int, int]
BYTES = 256  # symbols to begin with; merge number i makes symbol BYTES + i
_END = -1  # stands between two words
_GONE = -2  # was joined to the symbol before it


class _Chain:
    """The words, with `weights` that say how often each occurs.

    `counts[a, b]` is how often b follows a, each word counted with its weight, and `places[a, b]` where, in
    ascending order; of the places some may no longer hold the pair.
    """

    def __init__(self, words: Sequence[bytes], weights: Iterable[int]):
        self.symbols: list[int] = [_END]
        self.weights: list[int] = [0]
        for word, weight in zip(words, weights, strict=True):
            self.symbols += word
            self.symbols.append(_END)
            self.weights += [weight] * (len(word) + 1)
        n = len(self.symbols)
        self.next = list(range(1, n + 1))
        self.before = list(range(-1, n - 1))
        self.counts: dict[Pair, int] = {}
        self.places: dict[Pair, list[int]] = {}
        for place, pair in enumerate(itertools.pairwise(self.symbols)):
            if _END not in pair:
                self._add(pair, place, self.weights[place])

    def _add(self, pair: Pair, place: int, weight: int) -> bool:
        """Note the pair at this place; whether it is the first such pair."""
        if pair in self.counts:
            self.counts[pair] += weight
            self.places[pair].append(place)
            return False
        self.counts[pair], self.places[pair] = weight, [place]
        return True

    def join(self, pair: Pair, symbol: int) -> list[Pair]:
        """Make `symbol` of the pair, from left to right wherever it occurs; the pairs that arise."""
        first, second = pair
        symbols, following, before, counts = self.symbols, self.next, self.before, self.counts
        found = []
        for place in self.places.pop(pair):
            other = following[place]
            if symbols[place] != first or symbols[other] != second:
                continue
            left, right, weight = before[place], following[other], self.weights[place]
            symbols[place], symbols[other] = symbol, _GONE
            following[place], before[right] = right, place
            neighbour = symbols[left]
            if neighbour != _END:
                counts[neighbour, first] -= weight
                if self._add((neighbour, symbol), left, weight):
                    found.append((neighbour, symbol))
            neighbour = symbols[right]
            if neighbour != _END:
                counts[second, neighbour] -= weight
                if self._add((symbol, neighbour), place, weight):
                    found.append((symbol, neighbour))
        counts[pair] = 0
        return found

    def words(self) -> list[list[int]]:
        """The symbols of each word."""
        words: list[list[int]] = []
        for symbol in self.symbols:
            if symbol >= 0:
                words[-1].append(symbol)
            elif symbol == _END:
                words.append([])
        return words[:-1]


def learn(words: Sequence[bytes], weights: Iterable[int], most: int, least: int = 2) -> list[Pair]:
    """Up to `most` merges: each time the pair that occurs most often, at least `least` times.

    Of pairs that occur equally often the smallest is first, so the result does not depend on the order of the
    words. Counts of a pair that is known only fall: one that fell goes back into the heap when it comes up.
    """
    chain = _Chain(words, weights)
    heap = [(-count, pair) for pair, count in chain.counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < most:
        count, pair = heapq.heappop(heap)
        present = chain.counts[pair]
        if present < least:
            continue
        if present != -count:
            heapq.heappush(heap, (-present, pair))
            continue
        for found in chain.join(pair, BYTES + len(merges)):
            heapq.heappush(heap, (-chain.counts[found], found))
        merges.append(pair)
    return merges


def apply(words: Sequence[bytes], merges: Sequence[Pair], numbers: dict[Pair, int]) -> list[list[int]]:
    """The symbols of each word after all merges, in their order; `numbers[merges[i]]` is i."""
    chain = _Chain(words, [1] * len(words))
    heap = [numbers[pair] for pair in chain.counts if pair in numbers]
    heapq.heapify(heap)
    while heap:
        number = heapq.heappop(heap)
        for pair in chain.join(merges[number], BYTES + number):
            if pair in numbers:
                heapq.heappush(heap, numbers[pair])
    return chain.words()
