"""Answer POST /predict: decode and validate rows, score them in one call, encode the answer."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from itertools import count
from math import isfinite
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from delivery.model.runtime import Model
from delivery.service.access import Tokens
from delivery.service.batch import Batch
from delivery.service.log import Event
from delivery.service.problems import CONTENT_TYPE, Problem, invalid
from delivery.service.recorder import Recorder
from problem import Request, row

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
logger = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode

JSON = b"application/json"
PLAIN_ID = re.compile(rb"[!#-\[\]-~]{1,128}")  # characters that need no escaping in a header or in JSON
NO_TOKEN = {"www-authenticate": "Bearer"}
CLOSE = {"connection": "close"}  # the unread rest of a body must not be taken for the next request
AGAIN = {"retry-after": "1"}
DISCARDED = 10  # times max_bytes to read at most of a rejected body


class Limits(Struct, frozen=True):
    """Limits of one request, and of all requests together."""

    max_rows: int = 1000
    max_bytes: int = 1_000_000
    body_seconds: float = 10.0  # to receive the whole body
    max_waiting: int = 128  # requests whose body is still on its way
    max_turn: float = 0.5  # seconds of scoring arrays that may queue up before new requests get 503


class Predict:
    """The ASGI endpoint, created once and called for every request on the event loop's thread."""

    def __init__(self, model: Model, version: str, limits: Limits, tokens: Tokens, recorder: Recorder):
        self.model, self.limits, self.recorder = model, limits, recorder
        self.batch, self.tokens = Batch(model), tokens or None
        batch = Annotated[list[Request], Meta(min_length=1, max_length=limits.max_rows)]
        self.decode = msgspec.json.Decoder(Request | batch).decode
        self.version = (b"x-model-version", version.encode())
        self.prefix, self.serial = secrets.token_hex(6).encode(), count()
        self.under_way: Collection[object] = ()  # the server's running requests; set by the server
        self.waiting = 0
        self.turn: float | None = None  # seconds spent in this turn of the event loop
        self.draining = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given if given and PLAIN_ID.fullmatch(given) else self.new_id()
        try:
            self._admit(scope["method"], headers)
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = await self._rest(message["body"], receive) if message.get("more_body") else message["body"]
            seconds, content = await self._answer(body, request_id, start)
        except Problem as problem:
            if problem.unread and not await self._discard(receive):
                problem.headers = problem.headers | CLOSE
            await self._refuse(send, problem, request_id)
        except Exception:
            logger.exception("prediction failed", extra={"request_id": request_id.decode()})
            text = "the prediction failed; the service's log has the reason under this request id"
            await self._refuse(send, Problem(500, text), request_id)
        else:
            timing = (b"server-timing", b"app;dur=%.3f" % (seconds * 1e3))
            await self._send(send, 200, JSON, request_id, [timing], content)

    def _admit(self, method: str, headers: dict[bytes, bytes]) -> None:
        """Raise `Problem` for a request that can be rejected before its body is read."""
        if method != "POST":
            raise Problem(
                405, f"{method} is not for /predict; POST a row or an array of rows", {"allow": "POST"}, unread=True
            )
        if self.tokens and not self.tokens.allow(headers.get(b"authorization")):
            raise Problem(401, "a bearer token is needed: `Authorization: Bearer <token>`", NO_TOKEN, unread=True)
        kind = headers.get(b"content-type", JSON)
        if kind != JSON and kind.partition(b";")[0].strip().lower() != JSON:
            raise Problem(415, "the content type must be application/json", unread=True)
        if int(headers.get(b"content-length", 0)) > self.limits.max_bytes:
            raise self._too_large()
        # Arrays are scored on the event loop, so that requests queue up as tasks of one turn of it. Reject those that
        # would wait too long; the first of a turn is always accepted.
        if self.turn is None:
            self.turn = 0.0
            asyncio.get_running_loop().call_soon(self._next_turn)
        elif self.turn > self.limits.max_turn:
            raise Problem(503, "too many requests are waiting; come back later", AGAIN, unread=True)

    def _next_turn(self) -> None:
        self.turn = None

    async def _rest(self, body: bytes, receive: Receive) -> bytes:
        """Return the whole of a body that arrives in parts. Raise `Problem` over the limits of size, time and number."""
        if self.waiting >= self.limits.max_waiting:
            raise Problem(503, "too many slow requests; come back later", AGAIN | CLOSE)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                parts, size, more = [body], len(body), True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the connection was closed before the body was complete", CLOSE)
                    part, more = message.get("body", b""), message.get("more_body", False)
                    size += len(part)
                    parts.append(part)
                    if size > self.limits.max_bytes:
                        raise self._too_large()
                return b"".join(parts)
        except TimeoutError:
            text = f"the body did not arrive within {self.limits.body_seconds:g} s"
            raise Problem(408, text, CLOSE) from None
        finally:
            self.waiting -= 1

    async def _discard(self, receive: Receive) -> bool:
        """Read the rest of a rejected body, so that the client gets the answer and no reset. Return whether it was read."""
        if self.waiting >= self.limits.max_waiting:
            return False
        self.waiting += 1
        size, more = 0, True
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while more and size <= DISCARDED * self.limits.max_bytes:
                    message = await receive()
                    size += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
        return not more

    async def _answer(self, body: bytes, request_id: bytes, start: float) -> tuple[float, bytes]:
        """Return the seconds since `start` and the response's body. Raise `Problem` for an invalid body."""
        try:
            request = self.decode(body)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"the body is not JSON: {error}") from None
        if type(request) is Request:
            rows = [row(request)]
            alone = len(self.under_way) == 1
            score, inputs = self.model.one(rows[0]) if alone else await self.batch.score(rows[0])
            scores, finite = [score], isfinite(score if type(score) is float else sum(score))
            answer = encode(scores)
            content = b'{"prediction":%b}' % answer[1:-1]
        else:
            rows = [row(one) for one in request]
            values, inputs = self.model.many(rows)
            scores, finite = values.tolist(), bool(np.isfinite(values).all())
            answer = encode(scores)
            content = b'{"predictions":%b}' % answer
            if self.turn is not None:
                self.turn += time.perf_counter() - start
        if not finite:
            raise ValueError("the model gave a score that is no number")
        seconds = time.perf_counter() - start
        self.recorder.add(Event(start, seconds, request_id, body, answer, rows, scores, inputs))
        return seconds, content

    async def _refuse(self, send: Send, problem: Problem, request_id: bytes) -> None:
        self.recorder.metrics.refused[problem.status] += 1
        extra = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        await self._send(send, problem.status, CONTENT_TYPE, request_id, extra, problem.body(request_id.decode()))

    async def _send(
        self, send: Send, status: int, kind: bytes, request_id: bytes, extra: Headers, content: bytes
    ) -> None:
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id),
            self.version,
            *extra,
        ]
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def new_id(self) -> bytes:
        """Return a new request id."""
        return b"%b-%x" % (self.prefix, next(self.serial))

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.limits.max_bytes} bytes; send fewer rows", unread=True)
