"""A mirror on the loopback that answers as real ones do on a bad day."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tinytorch.datasets import DownloadSettings, Resource

Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]


class Mirror:
    """Serves ``answers[path]``; counts the requests for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        self.stop = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.requests.append(self.path)
                answers = mirror.answers[self.path]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                try:
                    answer(self, mirror.stop)
                except (BrokenPipeError, ConnectionResetError):
                    return  # the client has given up, which is what many of these tests want

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        serve = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        serve.start()

    def url(self, path: str, *answers: Answer) -> str:
        """The URL of a path that gives these answers in turn, the last one for ever."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


class Answers:
    """The ways to answer."""

    @staticmethod
    def good(body: bytes, kind: str = "application/gzip", length: bool = True) -> Answer:
        def answer(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", kind)
            if length:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    @staticmethod
    def status(code: int) -> Answer:
        return lambda handler, stop: handler.send_error(code)

    @staticmethod
    def redirect(to: str) -> Answer:
        def answer(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return answer

    @staticmethod
    def portal() -> Answer:
        page = b"<html><body>Welcome to the hotel. Please log in.</body></html>"
        return Answers.good(page, "text/html; charset=utf-8")

    @staticmethod
    def truncated(body: bytes, sent: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[:sent])

        return answer

    @staticmethod
    def drip(body: bytes, bytes_per_second: float, pause_at: int | None = None) -> Answer:
        """A few bytes every 20 ms; from ``pause_at`` on, nothing."""

        def answer(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            step = max(1, int(bytes_per_second * 0.02))
            for start in range(0, len(body), step):
                if pause_at is not None and start >= pause_at:
                    stop.wait(20)
                if stop.is_set():
                    return
                handler.wfile.write(body[start : start + step])
                handler.wfile.flush()
                time.sleep(0.02)

        return answer


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def answers() -> type[Answers]:
    return Answers


@pytest.fixture
def body() -> bytes:
    """100 kB that do not compress."""
    return np.random.default_rng(0).bytes(100_000)


@pytest.fixture
def file_of() -> Callable[..., Resource]:
    """``file_of(body, *urls)``: the resource that such a file is."""

    def make(body: bytes, *urls: str, path: str = "set/file.gz") -> Resource:
        return Resource(path, hashlib.sha256(body).hexdigest(), len(body), urls)

    return make


@pytest.fixture
def fast() -> DownloadSettings:
    """Time limits a hundred times shorter than the real ones."""
    return DownloadSettings(
        min_speed=50e3, window=0.2, connect_timeout=2.0, read_timeout=5.0, retries=1, backoff=0.01
    )


@pytest.fixture(autouse=True)
def _network_is_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYTORCH_OFFLINE", raising=False)
    for name in ("no_proxy", "NO_PROXY"):  # a proxy of the developer's must not see these requests
        monkeypatch.setenv(name, "127.0.0.1")
