"""Threefry-2x32 in Python integers, as the paper writes it."""

from __future__ import annotations

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
MASK = 0xFFFFFFFF


def threefry(counter: tuple[int, int], key: tuple[int, int], rounds: int = 20) -> tuple[int, int]:
    keys = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = (counter[0] + keys[0]) & MASK, (counter[1] + keys[1]) & MASK
    for i in range(rounds):
        turn = ROTATIONS[i % 8]
        x = (x + y) & MASK
        y = ((y << turn) | (y >> (32 - turn))) & MASK
        y ^= x
        if i % 4 == 3:
            j = i // 4 + 1
            x = (x + keys[j % 3]) & MASK
            y = (y + keys[(j + 1) % 3] + j) & MASK
    return x, y


def words(size: int, seed: int, offset: int) -> list[int]:
    """Blocks of 128 words: the first words of 64 counters, then their second words."""
    out: list[int] = []
    key = (seed & MASK, (seed >> 32) & MASK)
    while len(out) < size:
        first = (offset + len(out) // 128) * 64
        pairs = [threefry(((first + j) & MASK, (first + j) >> 32), key) for j in range(64)]
        out += [x for x, _ in pairs] + [y for _, y in pairs]
    return out[:size]
