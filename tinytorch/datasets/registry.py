"""Where the data lives, and how a file gets there: present and right, downloaded, or an error that says all.

A file is handed out only when its hash is the recorded one. A download goes to a staging folder beside its
target, is hashed there, and takes its place by one atomic rename, so a killed run leaves the cache as it was.
Nothing in this module makes data up.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Attempt",
    "DatasetUnavailable",
    "DownloadSettings",
    "Missing",
    "Resource",
    "data_dir",
    "fetch",
    "fetch_all",
    "file_digest",
    "offline_requested",
]

# A staging folder that nobody wrote to for this long belongs to a run that was killed.
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Resource:
    """One original file: its place in the data folder, its SHA-256, its size, and its mirrors in order.

    Args:
        path: place below the data folder, with forward slashes, such as ``mnist/t10k-labels-idx1-ubyte.gz``.
        sha256: 64 hexadecimal digits.
        size: bytes.
        urls: mirrors, the preferred one first.
    """

    path: str
    sha256: str
    size: int
    urls: tuple[str, ...]

    @property
    def filename(self) -> str:
        """The last part of ``path``."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class DownloadSettings:
    """When to give up on a mirror. The defaults are for people; tests make them short.

    Args:
        min_speed: bytes per second below which the next mirror is tried. When every mirror is dead or slow,
            the fastest slow one is tried once more without a minimum: a thin line is not an error.
        window: seconds over which the speed is measured.
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds without a single byte.
        retries: further attempts at one mirror after a failure that may pass (broken line, HTTP 5xx).
        backoff: seconds before the first retry; doubles with each one.
    """

    min_speed: float = 256e3
    window: float = 8.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    retries: int = 1
    backoff: float = 1.0


@dataclass(frozen=True)
class Attempt:
    """One URL and what it answered, in words."""

    url: str
    answer: str


@dataclass(frozen=True)
class Missing:
    """A file that cannot be had: what lies in its place, and what was tried."""

    resource: Resource
    found: str
    attempts: tuple[Attempt, ...] = ()
    not_tried: str = ""


class DatasetUnavailable(RuntimeError):
    """A dataset file is neither in the data folder nor to be had from any mirror.

    The message names each file, its hash, what was found in its place, the URLs with what each one answered,
    the folder to put the file into, and what to do. Milestone scripts print it and exit with code 3.

    Attributes:
        root: the data folder that was searched.
        missing: one record per file.
        note: what else was found out, or "".
    """

    def __init__(self, root: Path, missing: Sequence[Missing], note: str = "") -> None:
        self.root = root
        self.missing = tuple(missing)
        self.note = note
        super().__init__(_explain(root, self.missing, note))


def _explain(root: Path, missing: Sequence[Missing], note: str) -> str:
    lines = []
    for entry in missing:
        resource = entry.resource
        target = root / resource.path
        lines += [
            f"{resource.filename} is not available.",
            f"  expected  {target}",
            f"            {resource.size:,} bytes, sha256 {resource.sha256}",
            f"  got       {entry.found}",
        ]
        if entry.attempts:
            for number, (attempt, times) in enumerate(Counter(entry.attempts).items()):
                lines += [
                    f"  {'tried' if number == 0 else '':<9} {attempt.url}",
                    f"              {attempt.answer}{f' ({times} times)' if times > 1 else ''}",
                ]
        else:
            lines.append(f"  tried     nothing: {entry.not_tried}")
            lines += [
                f"  {'source' if number == 0 else '':<9} {url}" for number, url in enumerate(resource.urls)
            ]
    if note:
        lines.append(note)
    folders = sorted({str((root / entry.resource.path).parent) for entry in missing})
    first = missing[0].resource.path
    lines += [
        "what to do:",
        f"  - put the original file into {' and '.join(folders)} (from any of the URLs above), or",
        f"  - point TINYTORCH_DATA_DIR at a folder that holds {first}, or",
    ]
    if any("TINYTORCH_OFFLINE" in entry.not_tried for entry in missing):
        lines.append("  - unset TINYTORCH_OFFLINE and run again with a network.")
    else:
        lines.append("  - run again when the network is back; what was downloaded whole is kept.")
    return "\n".join(lines)


def data_dir(root: str | os.PathLike[str] | None = None) -> Path:
    """The data folder: ``root``, else ``TINYTORCH_DATA_DIR``, else the user's cache folder.

    >>> data_dir("somewhere").name
    'somewhere'
    """
    chosen = root if root is not None else os.environ.get("TINYTORCH_DATA_DIR") or None
    if chosen is not None:
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("tinytorch"))


def offline_requested() -> bool:
    """Whether ``TINYTORCH_OFFLINE`` forbids downloads (any value but empty, 0, false, no and off)."""
    return os.environ.get("TINYTORCH_OFFLINE", "").strip().lower() not in {"", "0", "false", "no", "off"}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits (about 1 ms per MB or less)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    resource: Resource,
    root: str | os.PathLike[str] | None = None,
    *,
    offline: bool | None = None,
    settings: DownloadSettings | None = None,
) -> Path:
    """The path of a file whose hash is right, downloading it when it is missing or wrong.

    Args:
        resource: the file.
        root: data folder; see :func:`data_dir`.
        offline: True forbids the network; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits; None means the defaults.

    Raises:
        DatasetUnavailable: no right file is there and none could be downloaded.

    A wrong file is never deleted: once the right one has arrived, it is renamed to
    ``<name>.wrong-<first digits of its hash>``, and a line on stderr says so.
    """
    folder = data_dir(root)
    target = folder / resource.path
    found = _wrong_with(target, resource)
    if found is None:
        return target
    if offline_requested() if offline is None else offline:
        reason = "TINYTORCH_OFFLINE is set" if offline_requested() else "offline=True was asked for"
        raise DatasetUnavailable(folder, [Missing(resource, found, not_tried=reason)])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _staging(target.parent) as staging:
            attempts, arrived = _from_mirrors(resource, staging, settings or DownloadSettings())
            if arrived is not None:
                _put_in_place(arrived, target, resource)
                return target
    except OSError as error:
        reason = f"{target.parent} cannot be written to ({error.strerror or error})"
        raise DatasetUnavailable(folder, [Missing(resource, found, not_tried=reason)]) from error
    raise DatasetUnavailable(folder, [Missing(resource, found, attempts)])


def fetch_all(
    resources: Sequence[Resource],
    root: str | os.PathLike[str] | None = None,
    *,
    offline: bool | None = None,
    settings: DownloadSettings | None = None,
) -> list[Path]:
    """:func:`fetch` for several files; one error names all that are missing.

    After the first file that no mirror gives, the network is left alone: the others are only looked for.
    """
    paths: list[Path] = []
    missing: list[Missing] = []
    for resource in resources:
        try:
            paths.append(fetch(resource, root, offline=True if missing else offline, settings=settings))
        except DatasetUnavailable as error:
            entry = error.missing[0]
            if missing and not offline and not offline_requested():
                reason = f"the mirrors had failed for {missing[0].resource.filename}"
                entry = Missing(entry.resource, entry.found, not_tried=reason)
            missing.append(entry)
    if missing:
        raise DatasetUnavailable(data_dir(root), missing)
    return paths


def _wrong_with(target: Path, resource: Resource) -> str | None:
    """None when the right file is there, else what is there instead."""
    try:
        digest = file_digest(target)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:
        return f"unreadable: {error.strerror or error}"
    if digest == resource.sha256:
        return None
    return f"{target.stat().st_size:,} bytes, sha256 {digest} (left as it is)"


def _from_mirrors(
    resource: Resource, staging: Path, settings: DownloadSettings
) -> tuple[tuple[Attempt, ...], Path | None]:
    """Try the mirrors in order, then the fastest of the slow ones with patience."""
    from .download import MirrorFailed, download

    attempts: list[Attempt] = []
    slow: list[tuple[float, str]] = []

    def attempt(url: str, min_speed: float) -> Path | None:
        for number in range(settings.retries + 1):
            try:
                return download(url, resource, staging, settings, min_speed)
            except MirrorFailed as failure:
                attempts.append(Attempt(url, failure.answer))
                if failure.speed is not None:
                    slow.append((failure.speed, url))
                if not failure.may_pass:
                    return None
            if number < settings.retries:
                time.sleep(settings.backoff * 2**number)
        return None

    for url in resource.urls:
        arrived = attempt(url, settings.min_speed)
        if arrived is not None:
            return tuple(attempts), arrived
    for _, url in sorted(slow, reverse=True):
        arrived = attempt(url, 0.0)
        if arrived is not None:
            return tuple(attempts), arrived
    return tuple(attempts), None


def _put_in_place(arrived: Path, target: Path, resource: Resource) -> None:
    """Rename the checked file over its target, after moving a wrong one aside."""
    if target.is_file():
        digest = file_digest(target)
        if digest == resource.sha256:  # another process was faster
            return
        aside = target.with_name(f"{target.name}.wrong-{digest[:8]}")
        target.replace(aside)
        print(
            f"tinytorch: {target} had the wrong hash; it is now {aside.name}, "
            "and the right file takes its place",
            file=sys.stderr,
        )
    with arrived.open("rb+") as file:
        os.fsync(file.fileno())  # the bytes before the name, should the machine lose power
    arrived.replace(target)


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder of this run's own, on the same file system as the target; gone afterwards."""
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed runs left behind. A live download keeps touching its file."""
    now = time.time()
    for staging in folder.glob(".partial-*"):
        with contextlib.suppress(OSError):  # another process may sweep at the same time
            touched = max(path.stat().st_mtime for path in [staging, *staging.iterdir()])
            if now - touched > _STALE_SECONDS:
                shutil.rmtree(staging, ignore_errors=True)
