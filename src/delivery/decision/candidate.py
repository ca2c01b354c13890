"""Ask the release on disk as its clients do."""

import asyncio
import json
from collections.abc import MutableMapping, Sequence
from typing import Any

from delivery.compatibility.asking import Ask, Reply, Row, answered
from delivery.service.app import App


def in_process(app: App) -> Ask:
    """Return a way to ask the service as a client does, without a socket."""

    def ask(rows: Sequence[Row]) -> Reply:
        status, body = asyncio.run(_post(app, json.dumps(list(rows)).encode()))
        return answered(status, json.loads(body))

    return ask


async def _post(app: App, body: bytes) -> tuple[int, bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await app({"type": "http", "path": "/predict", "method": "POST", "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"]
