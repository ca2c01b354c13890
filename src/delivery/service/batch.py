"""Score the rows of several requests in one call.

At 64 connections, most of the time for a single row goes into loading the trees into the processor's caches again.
No request waits for a batch to fill: a batch holds the rows that arrive in one turn of the event loop.
"""

import asyncio
from typing import Any

from delivery.model.runtime import Model

Row = tuple[Any, ...]
Scored = tuple[Any, bytes]  # the score (a list with more than two classes) and the encoded row


class Batch:
    """Collect rows and score them together. Use it on the event loop's thread only."""

    def __init__(self, model: Model):
        self.model = model
        self.waiting: list[tuple[Row, asyncio.Future[Scored]]] = []

    def score(self, row: Row) -> asyncio.Future[Scored]:
        """Return a future of the row's score, which is done one turn of the event loop later."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.call_soon(self._score)
        future = loop.create_future()
        self.waiting.append((row, future))
        return future

    def _score(self) -> None:
        waiting, self.waiting = self.waiting, []
        try:
            results = self._results([row for row, _ in waiting])
        except Exception as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(waiting, results, strict=True):
            if not future.done():  # a future is done if its request was cancelled
                future.set_result(result)

    def _results(self, rows: list[Row]) -> list[Scored]:
        if len(rows) == 1:
            return [self.model.one(rows[0])]
        scores, inputs = self.model.many(rows)
        width = len(inputs) // len(rows)
        parts = [inputs[start : start + width] for start in range(0, len(inputs), width)]
        return list(zip(scores.tolist(), parts, strict=True))
