"""Numbers as people read them, and words that every format can hold."""

from __future__ import annotations

import re

# Control characters, which a terminal would obey; what turns the direction of writing; what no XML may hold.
UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    r"\ud800-\udfff\ufffe\uffff]"
)


def measured(value: float | None, unit: str) -> str:
    """A value with its unit; a share in percent."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{round(100 * value, 2):g} %"
    text = f"{value:.2g}" if abs(value) < 0.01 else f"{value:.4g}"
    return f"{text} {unit}" if unit else text


def clean(text: str, most: int = 4000) -> str:
    """Without what no format can hold, and not endless."""
    text = UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))
    return text if len(text) <= most else text[: most - 1] + "…"
