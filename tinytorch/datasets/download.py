"""One file from one URL: streamed, measured while it comes, refused at the first sign of trouble.

pooch names the temporary file, checks the hash and moves the file only when it is right; this module gives it
the downloader, which notices what pooch's own would accept until the end: a login page instead of the
file, a body that stops early, a line that drips.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

    from .registry import DownloadSettings, Resource

__all__ = ["MirrorFailed", "download"]

_CHUNK = 1 << 16


class MirrorFailed(Exception):
    """A mirror did not give the file.

    Attributes:
        answer: what it did, in words.
        may_pass: True when the same mirror may do better a moment later.
        speed: bytes per second, when the mirror works and is only slow.
    """

    def __init__(self, answer: str, *, may_pass: bool = False, speed: float | None = None) -> None:
        super().__init__(answer)
        self.answer = answer
        self.may_pass = may_pass
        self.speed = speed


def download(
    url: str, resource: Resource, staging: Path, settings: DownloadSettings, min_speed: float
) -> Path:
    """Download ``resource`` from ``url`` into the folder ``staging`` and check its hash.

    Returns the path of a file that is right, byte for byte. Raises :class:`MirrorFailed` for everything that
    is the mirror's or the line's fault, and lets ``OSError`` from the local disk through.
    """
    import pooch

    stream = _Stream(resource, settings, min_speed)
    logger: logging.Logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # pooch announces each file; the progress line below does that here
    try:
        path = pooch.retrieve(
            url,
            known_hash=f"sha256:{resource.sha256}",
            fname=resource.filename,
            path=staging,
            downloader=cast(Any, stream),
        )
    except ValueError as error:
        # Right length, wrong bytes: pooch has thrown the file away.
        raise MirrorFailed(
            f"{stream.summary}: expected sha256 {resource.sha256}, got {stream.digest.hexdigest()}"
        ) from error
    finally:
        logger.setLevel(level)
    return Path(path)


class _Stream:
    """The downloader that pooch calls."""

    def __init__(self, resource: Resource, settings: DownloadSettings, min_speed: float) -> None:
        self.resource = resource
        self.settings = settings
        self.min_speed = min_speed
        self.summary = "no answer"
        self.received = 0
        self.digest = hashlib.sha256()  # for the message; pooch takes its own from the file

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        import requests
        import urllib3

        limits = (self.settings.connect_timeout, self.settings.read_timeout)
        # The bytes as they are stored: some servers unpack .gz files for clients that accept gzip.
        headers = {"Accept-Encoding": "identity", "User-Agent": "tinytorch-datasets"}
        try:
            with requests.get(url, stream=True, timeout=limits, headers=headers) as response:
                self._check_head(response)
                self._receive(response, Path(output_file), url)
        except urllib3.exceptions.ProtocolError as error:  # what urllib3 says when a body stops early
            raise self._ended_early() from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise MirrorFailed(_in_words(error, self.settings), may_pass=True) from error

    def _check_head(self, response: requests.Response) -> None:
        """Refuse what the headers already show to be wrong."""
        status = response.status_code
        kind = response.headers.get("Content-Type", "no content type").split(";")[0]
        elsewhere = f" after a redirect to {response.url}" if response.history else ""
        self.summary = f"HTTP {status}{elsewhere}, {kind}"
        if status != 200:
            reason = f" {response.reason}" if response.reason else ""
            raise MirrorFailed(f"HTTP {status}{reason}{elsewhere}", may_pass=status >= 500 or status == 429)
        if kind in ("text/html", "application/xhtml+xml"):
            raise MirrorFailed(
                f"{self.summary}: a web page instead of the file (does this network ask you to log in first?)"
            )
        length = response.headers.get("Content-Length")
        if length is not None and length.isdigit() and int(length) != self.resource.size:
            raise MirrorFailed(
                f"{self.summary}: {int(length):,} bytes announced, expected {self.resource.size:,}"
            )

    def _receive(self, response: requests.Response, output: Path, url: str) -> None:
        """Write the body to ``output``, watching its length and its speed."""
        expected = self.resource.size
        self.received, self.digest = 0, hashlib.sha256()
        window_start, window_bytes = time.monotonic(), 0
        with output.open("wb") as file, _progress(self.resource, url) as advance:
            # read1 returns with what has come; read would wait for a full chunk and never notice a drip.
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                file.write(chunk)
                self.digest.update(chunk)
                self.received += len(chunk)
                window_bytes += len(chunk)
                advance(len(chunk))
                if self.received > expected:
                    raise MirrorFailed(f"{self.summary}: more than the {expected:,} bytes expected")
                elapsed = time.monotonic() - window_start
                if elapsed >= self.settings.window:
                    self._check_speed(window_bytes / elapsed, expected - self.received)
                    window_start, window_bytes = time.monotonic(), 0
        if self.received != expected:
            raise self._ended_early()
        self.summary += f", {expected:,} bytes"

    def _ended_early(self) -> MirrorFailed:
        return MirrorFailed(
            f"{self.summary}: the body ended after {self.received:,} of {self.resource.size:,} bytes",
            may_pass=True,
        )

    def _check_speed(self, speed: float, remaining: int) -> None:
        """Give up on a slow mirror, unless what remains takes no longer than one more window."""
        if speed < self.min_speed and remaining > speed * self.settings.window:
            raise MirrorFailed(
                f"too slow: {speed / 1e3:.1f} kB/s, the minimum is {self.min_speed / 1e3:.1f} kB/s",
                speed=speed,
            )


def _in_words(error: Exception, settings: DownloadSettings) -> str:
    """A network error as one short line."""
    import requests
    import urllib3

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {settings.connect_timeout:g} s"
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return f"no byte for {settings.read_timeout:g} s"
    cause: object = error
    for _ in range(4):  # requests wraps urllib3 wraps http.client wraps the socket's own error
        inner = getattr(cause, "reason", None) or next(iter(getattr(cause, "args", ())), None)
        if not isinstance(inner, Exception):
            break
        cause = inner
    text = str(cause).rpartition("): ")[2]  # without "HTTPSConnection(host=…): "
    return f"{type(cause).__name__}: {text[:160]}"


@contextlib.contextmanager
def _progress(resource: Resource, url: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, one line elsewhere, both on stderr."""
    what = f"{resource.filename} from {urlsplit(url).hostname}"
    if not sys.stderr.isatty():
        print(f"tinytorch: downloading {what} ({resource.size / 1e6:.1f} MB)", file=sys.stderr)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=resource.size)
        yield lambda count: bar.advance(task, count)
