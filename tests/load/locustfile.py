"""The load: known rows, mostly one at a time, every answer compared with the prediction it should be.

Run by `delivery loadtest`, or by hand:
LOAD_EXAMPLES=artifacts/export/examples.json locust -f tests/load/locustfile.py --host http://127.0.0.1:8000

With several services (LOAD_SERVICES by blanks, LOAD_EXAMPLES by os.pathsep) all users turn from one to the
next every LOAD_SLICE seconds, so that what else the machine does strikes all of them alike.
"""

import json
import os
import random
import time
from collections import defaultdict
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task

from delivery.probe.contract import close

BATCH = 20  # rows

SERVICES = os.environ.get("LOAD_SERVICES", "").split() or [""]  # "" is what --host says
FILES = [Path(path) for path in os.environ.get("LOAD_EXAMPLES", "artifacts/export/examples.json").split(os.pathsep)]
EXAMPLES = [json.loads(path.read_text()) for path in FILES]
TOLERANCES = [json.loads(path.with_name("manifest.json").read_text()).get("tolerance", 1e-6) for path in FILES]
SLICE = float(os.environ.get("LOAD_SLICE", "3600"))
SECONDS = float(os.environ.get("LOAD_SECONDS", "0"))  # from the first answer on; 0 leaves the end to locust
HEADERS = {"content-type": "application/json"}
if os.environ.get("SERVE_TOKEN"):
    HEADERS["authorization"] = f"Bearer {os.environ['SERVE_TOKEN']}"

# By (service, round): milliseconds of each request (locust itself rounds them to whole ones), and failures.
times: dict[tuple[int, int], list[float]] = defaultdict(list)
failures: dict[tuple[int, int], int] = defaultdict(int)
span = [0.0, 0.0]


class Caller(FastHttpUser):
    """Asks again as soon as it has its answer."""

    network_timeout = connection_timeout = 30.0

    @task(20)
    def one(self) -> None:
        self.ask(1)

    @task(1)
    def many(self) -> None:
        self.ask(BATCH)

    def ask(self, count: int) -> None:
        service, turn = whose()
        chosen = random.choices(EXAMPLES[service % len(EXAMPLES)], k=count)
        requests = [example["request"] for example in chosen]
        body = json.dumps(requests if count > 1 else requests[0])
        url = f"{SERVICES[service]}/predict"
        with self.client.post(
            url, data=body, headers=HEADERS, name=f"{service} {turn}", catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return
            content = json.loads(response.content)
            got = content.get("predictions") or [content.get("prediction")]
            expected = [example["prediction"] for example in chosen]
            tolerance = TOLERANCES[service % len(EXAMPLES)]
            if len(got) != len(expected) or not all(map(close, got, expected, [tolerance] * len(got))):
                response.failure("a prediction of another row, or a wrong one")


def whose() -> tuple[int, int]:
    """The service whose turn it is, and the round; every other round goes the other way about."""
    turn, place = divmod(int((time.perf_counter() - span[0]) / SLICE), len(SERVICES))
    return (place if turn % 2 else len(SERVICES) - 1 - place), turn


@events.request.add_listener
def remember(name: str, response_time: float, exception: object, **_: object) -> None:
    service, turn = name.split()
    times[int(service), int(turn)].append(response_time)
    failures[int(service), int(turn)] += exception is not None
    span[1] = time.perf_counter()


@events.test_start.add_listener
def start(environment, **_: object) -> None:
    span[:] = [time.perf_counter()] * 2
    events.request.add_listener(begin(environment))


def begin(environment):
    """Count the seconds from the first answer: on a busy machine locust may need longer than them to ask anything."""

    def first(response_time: float, **_: object) -> None:
        if SECONDS and not begun:
            begun.append(gevent.spawn_later(SECONDS, environment.runner.quit))
            span[0] = time.perf_counter() - response_time / 1000

    begun: list[object] = []
    return first


@events.quitting.add_listener
def write(environment, **_: object) -> None:
    """The exact times, for the verb."""
    if out := os.environ.get("LOAD_RESULT"):
        groups = [
            {"service": service, "round": turn, "failures": failures[service, turn], "times_ms": spent}
            for (service, turn), spent in sorted(times.items())
        ]
        errors = {str(error.error): error.occurrences for error in environment.stats.errors.values()}
        Path(out).write_text(json.dumps({"seconds": span[1] - span[0], "errors": errors, "groups": groups}))
