"""Tiny Shakespeare: 1,115,394 characters of plays, 65 of them distinct.

Public-domain text, as distributed with A. Karpathy's char-rnn, 2015.
"""

from __future__ import annotations

from pathlib import Path

from .registry import DownloadSettings, Resource, fetch

__all__ = ["TINY_SHAKESPEARE_FILE", "tiny_shakespeare"]

TINY_SHAKESPEARE_FILE = Resource(
    "tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    1_115_394,
    (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "https://raw.githubusercontent.com/karpathy/ng-video-lecture/master/input.txt",
    ),
)
"""The one file."""


def tiny_shakespeare(
    root: str | Path | None = None, *, offline: bool | None = None, settings: DownloadSettings | None = None
) -> str:
    """The whole text, ASCII.

    Args:
        root: data folder; None means ``TINYTORCH_DATA_DIR``, else the user's cache folder.
        offline: True forbids the download; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits of the download.

    Raises:
        DatasetUnavailable: the file is neither there nor to be had.
    """
    path = fetch(TINY_SHAKESPEARE_FILE, root, offline=offline, settings=settings)
    return path.read_bytes().decode("ascii")
