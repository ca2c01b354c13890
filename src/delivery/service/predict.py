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
from delivery.service import tolerance
from delivery.service.access import Tokens
from delivery.service.batch import Batch
from delivery.service.log import Event
from delivery.service.problems import CONTENT_TYPE, Problem, invalid, shortened
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
    unknown_fields: tolerance.UnknownFields = "refuse"
    body_seconds: float = 10.0  # to receive the whole body
    max_waiting: int = 128  # requests whose body is still on its way
    max_turn: float = 0.5  # seconds of scoring arrays that may queue up before new requests get 503


class Predict:
    """The ASGI endpoint, created once and called for every request on the event loop's thread."""

    def __init__(self, model: Model, version: str, limits: Limits, tokens: Tokens, recorder: Recorder):
        self.model, self.limits, self.recorder = model, limits, recorder
        self.batch, self.tokens = Batch(model), tokens or None
        self.decode, self.tolerant = _decoder(Request, limits), None
        if limits.unknown_fields != "refuse":
            self.tolerant = _decoder(tolerance.reader(Request, limits.unknown_fields), limits)
            if not Request.__struct_config__.forbid_unknown_fields:  # it would ignore them without saying so
                self.decode = self.tolerant
        self.fields, self.warned = tolerance.known(Request), set[str]()
        self.version = (b"x-model-version", version.encode())
        self.prefix, self.serial = secrets.token_hex(6).encode(), count()
        self.under_way: Collection[object] = ()  # the server's running requests; set by the server
        self.waiting = 0
        self.turn: float | None = None  # seconds spent in this turn of the event loop
        self.draining = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request: predictions, or a problem that says why there are none."""
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given if given and PLAIN_ID.fullmatch(given) else self.new_id()
        client = ""
        try:
            client = self._client(scope["method"], headers)
            self._admit(headers)
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = await self._rest(message["body"], receive) if message.get("more_body") else message["body"]
            seconds, content, ignored = await self._answer(body, request_id, start, client)
        except Problem as problem:
            if problem.unread and not await self._discard(receive):
                problem.headers = problem.headers | CLOSE
            await self._refuse(send, problem, request_id, client)
        except Exception:
            logger.exception("prediction failed", extra={"request_id": request_id.decode()})
            text = "the prediction failed; the service's log has the reason under this request id"
            await self._refuse(send, Problem(500, text), request_id, client)
        else:
            extra = [(b"server-timing", b"app;dur=%.3f" % (seconds * 1e3))]
            if ignored and self.limits.unknown_fields == "warn":
                extra.append((b"x-ignored-fields", tolerance.header(ignored)))
                self._warn(ignored, client)
            await self._send(send, 200, JSON, request_id, extra, content)

    def _client(self, method: str, headers: dict[bytes, bytes]) -> str:
        """Return the name of the request's token, if it has one. Raise `Problem` if the request is not allowed."""
        if method != "POST":
            raise Problem(
                405, f"{method} is not for /predict; POST a row or an array of rows", {"allow": "POST"}, unread=True
            )
        client = self.tokens.client(headers.get(b"authorization")) if self.tokens else ""
        if client is None:
            raise Problem(401, "a bearer token is needed: `Authorization: Bearer <token>`", NO_TOKEN, unread=True)
        return client

    def _admit(self, headers: dict[bytes, bytes]) -> None:
        """Raise `Problem` for a request that can be rejected before its body is read."""
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

    async def _answer(
        self, body: bytes, request_id: bytes, start: float, client: str
    ) -> tuple[float, bytes, list[str]]:
        """Return the seconds since `start`, the response's body and the fields that were ignored.

        Raise `Problem` for an invalid body.
        """
        try:
            request, ignored = self._read(body)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"the body is not JSON: {error}") from None
        if not isinstance(request, list):
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
        self.recorder.add(Event(start, seconds, request_id, body, answer, rows, scores, inputs, client, ignored))
        return seconds, content, ignored

    def _read(self, body: bytes) -> tuple[Any, list[str]]:
        """Return the request and the fields that are ignored. Only a body with such fields is decoded more than once."""
        try:
            request = self.decode(body)
        except msgspec.ValidationError:
            if self.tolerant is None:
                raise
        else:
            if self.decode is not self.tolerant:
                return request, []
        return self.tolerant(body), tolerance.unknown(body, self.fields)

    def _warn(self, names: list[str], client: str) -> None:
        """Log each unknown field the first time that it comes, for a bounded number of fields."""
        for name in sorted(set(names) - self.warned):
            if len(self.warned) < tolerance.NAMES:
                self.warned.add(name)
                logger.warning(
                    "field %s of a request is unknown and ignored%s", shortened(name), client and f" ({client})"
                )

    async def _refuse(self, send: Send, problem: Problem, request_id: bytes, client: str) -> None:
        self.recorder.metrics.refused[problem.status] += 1
        if client:
            self.recorder.metrics.clients[client, problem.status] += 1
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


def _decoder(kind: Any, limits: Limits) -> Callable[[bytes], Any]:
    """Return what decodes a row or an array of rows."""
    batch = Annotated[list[kind], Meta(min_length=1, max_length=limits.max_rows)]
    return msgspec.json.Decoder(kind | batch).decode
