"""Numbers as people read them."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def measured(value: float | None, unit: str) -> str:
    """A value with its unit; a share in percent."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.2f} %"
    text = f"{value:.2g}" if abs(value) < 0.01 else f"{value:.4g}"
    return f"{text} {unit}" if unit else text


def clean(text: str, most: int = 4000) -> str:
    """Without what no format can hold, and not endless."""
    text = UNPRINTABLE.sub("\ufffd", text)
    return text if len(text) <= most else text[: most - 1] + "…"
