"""Spoils a service from within: Python imports this first wherever it is on PYTHONPATH.

FAULTS is JSON: version to what is wrong with it. `exit` (with these words), `hang`, `crash` (seconds after its start),
`dies` (when it is asked by a client of the proxy), `slow` (seconds per answer), `errors` (share of the answers),
`refuses` (share that is answered 422),
`scores` (what is added to each as the metrics see it), `shifts` (what is added to each of a copied request: of a shadow,
or side by side).
"""

import json
import os
import random
import sys
import threading
import time
from contextvars import ContextVar

words = sys.orig_argv
fault = {}
if "delivery.service" in words and "--version" in words:
    fault = json.loads(os.environ.get("FAULTS", "{}")).get(words[words.index("--version") + 1], {})
if "exit" in fault:
    print(f"error: {fault['exit']}", file=sys.stderr, flush=True)
    os._exit(1)
if "hang" in fault:
    time.sleep(600)
if "crash" in fault:
    threading.Timer(fault["crash"], os._exit, [1]).start()
if {"slow", "errors", "refuses", "dies", "scores", "shifts"} & set(fault):
    from delivery.service import app, predict
    from delivery.service.problems import Problem

    # Of the request that a task answers: whether a client of the proxy asks, and whether it is a copy.
    live: ContextVar[bool] = ContextVar("live")
    copy: ContextVar[bool] = ContextVar("copy")

    class Spoiled(predict.Predict):
        async def __call__(self, scope, receive, send):
            live.set(any(name == b"x-live" for name, _ in scope["headers"]))  # not the contract's own requests
            copy.set(any(name == b"x-request-id" and value != b"contract-1" for name, value in scope["headers"]))
            await super().__call__(scope, receive, send)

        async def _answer(self, body, request_id, start, client):
            if live.get() or copy.get():
                time.sleep(fault.get("slow", 0))
            if live.get():
                if "dies" in fault:
                    os._exit(1)
                if random.random() < fault.get("errors", 0):
                    raise RuntimeError("planted")
                if random.random() < fault.get("refuses", 0):
                    raise Problem(422, "planted")
            seconds, content, *rest = await super()._answer(body, request_id, start, client)
            if copy.get() and "shifts" in fault:
                given = json.loads(content)["predictions"]
                content = json.dumps({"predictions": [score + fault["shifts"] for score in given]}).encode()
            return seconds, content, *rest

    vars(app)["Predict"] = Spoiled
if "scores" in fault:
    from delivery.service import metrics

    add = metrics.Histogram.add

    def moved(self, values):
        add(self, [value + fault["scores"] for value in values] if self.bounds[-1:] == [1.0] else values)

    setattr(metrics.Histogram, "add", moved)  # noqa: B010  mypy knows no spoiling
