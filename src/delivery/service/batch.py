"""Rows of several requests scored in one call.

At 64 connections most of a lone row's time goes into fetching the trees into the processor's caches again.
Nobody waits for company: a batch is what one turn of the event loop brings.
"""

import asyncio
from typing import Any

from delivery.model.runtime import Model

Scored = tuple[Any, bytes]  # the score (of several classes a list) and the encoded row


class Batch:
    """`score` on the event loop's thread; the future is done one turn later."""

    def __init__(self, model: Model):
        self.model = model
        self.waiting: list[tuple[tuple, asyncio.Future[Scored]]] = []

    def score(self, row: tuple) -> asyncio.Future[Scored]:
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
            if not future.done():  # it is when its request was cancelled
                future.set_result(result)

    def _results(self, rows: list[tuple]) -> list[Scored]:
        if len(rows) == 1:
            return [self.model.one(rows[0])]
        scores, inputs = self.model.many(rows)
        width = len(inputs) // len(rows)
        parts = [inputs[start : start + width] for start in range(0, len(inputs), width)]
        return list(zip(scores.tolist(), parts, strict=True))
