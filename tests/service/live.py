"""Real services on the loopback address, and the application called without a server."""

import json
import os
import resource
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sample import ROOT

from delivery.service.app import App

JSON = {"content-type": "application/json"}


class Service(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def command(model: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "delivery", "serve", "--model", str(model), "--port", "0", "--drain", "0", *words]


@contextmanager
def serving(
    model: Path, *words: str, file_bytes: int = 0, folder: Path = ROOT, **environment: str
) -> Iterator[Service]:
    """A service in a process of its own, in a folder with its params.yaml.

    `file_bytes` is the largest file that it may write, 0 for any.
    """

    def limit() -> None:
        if file_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    process = subprocess.Popen(
        command(model, *words),
        cwd=folder,
        env=os.environ | environment | ({"PYTHONDONTWRITEBYTECODE": "1"} if file_bytes else {}),  # Python cuts them off
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509  no thread of ours runs between fork and exec
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert " on http://" in first, process.communicate()[1]
        yield Service(next(word for word in first.split() if word.startswith("http://")), process)
    finally:
        process.kill()
        process.communicate()


def memory(service: Service) -> float:
    """Resident megabytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def configured(folder: Path, **serve: Any) -> Path:
    """The folder, with a copy of params.yaml in it whose section `serve` is this."""
    text = (ROOT / "params.yaml").read_text()
    assert "\nserve:" not in text
    (folder / "params.yaml").write_text(f"{text}\nserve: {json.dumps(serve)}\n")
    return folder


def ask(url: str, body: Any = None, **headers: str) -> Answer:
    """GET without a body, POST with one; a body that is not bytes is sent as JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, content, JSON | given if content is not None else given)
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return Answer(
            response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
        )


def response(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One response, read to its end: its head and its body may come one after the other."""
    with line.makefile("rb") as file:
        return read_response(file)


def read_response(file: Any) -> tuple[int, dict[str, str], bytes]:
    status = int(file.readline().split()[1])
    headers = {}
    while text := file.readline().decode().strip():
        name, value = text.split(": ", 1)
        headers[name] = value
    return status, headers, file.read(int(headers["content-length"]))


async def call(
    app: App, body: Any = b"", method: str = "POST", parts: Callable[[], Any] | None = None, **headers: str
) -> Answer:
    """POST /predict without a server; `parts` is an ASGI receive of its own."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/predict", "method": method, "headers": raw}
    await app(scope, parts or receive, send)
    start, end = sent
    return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, end["body"])
