"""What clients sent in the last hour against what a version accepts that is about to get their requests."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from answering import answering

from delivery.core.errors import Failure
from delivery.deploy import recent, traffic
from delivery.deploy.targets import state
from delivery.deploy.targets.state import Slot, State
from delivery.service import openapi
from delivery.service.predict import Limits

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "time", SimpleNamespace(time=lambda: NOW))


def document(strict: bool = True) -> dict[str, Any]:
    """The document of a version whose request has one field, `x`."""
    request = msgspec.defstruct("Request", [("x", int)], forbid_unknown_fields=strict)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi, "Request", request)
        return openapi.with_predict({"paths": {}}, Limits(max_rows=10), guarded=False)


@contextmanager
def candidate(content: Any) -> Iterator[int]:
    """The port of a service that shows this document; without one, of a service that has none."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with answering(server):
        yield server.server_port


def line(age: float = 60.0, **fields: Any) -> str:
    rows = [{"x": 1} | fields]
    return json.dumps({"time": NOW - age, "id": "a", "version": "2", "rows": rows, "scores": [0.5]}) + "\n"


def log(folder: Path, *lines: str, slot: str = "blue", number: int = 1) -> None:
    path = folder / "predictions" / slot / f"predictions-{number}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def environment(folder: Path, port: int) -> None:
    """Version 2 serves from the slot blue, version 1 is about to."""
    state.write(folder, State(serving=Slot("blue", 1, "2", ""), candidate=Slot("green", port, "1", "")))


def checked(folder: Path, content: Any, most: float = 0.0, *, anyway: bool = False) -> str:
    with candidate(content) as port:
        environment(folder, port)
        return traffic.refuse(folder, most, anyway=anyway)


def test_requests_with_a_field_that_the_version_refuses_stop_it_and_are_counted(folder: Path) -> None:
    log(folder, *[line(), line(gate_number=7)] * 50)
    said = r"^version 1 refuses 50% of the last 100 requests: gate_number is unknown \(50%\); .*--anyway"
    with pytest.raises(Failure, match=said):
        checked(folder, document())
    assert checked(folder, document(strict=False)) == "version 1 accepts 100 of the last 100 requests"


def test_a_person_may_want_it_anyway(folder: Path) -> None:
    log(folder, line(gate_number=7))
    said = "version 1 refuses 100% of the last 1 requests: gate_number is unknown (100%); you want it anyway"
    assert checked(folder, document(), anyway=True) == said


def test_a_share_within_the_limit_is_let_through_and_one_above_it_is_not(folder: Path) -> None:
    log(folder, *[line()] * 99, line(gate_number=7))
    assert checked(folder, document(), most=0.01) == "version 1 accepts 99 of the last 100 requests"
    with pytest.raises(Failure, match="refuses 1% of the last 100"):
        checked(folder, document(), most=0.009)


def test_only_the_last_hour_of_what_serves_counts(folder: Path) -> None:
    log(folder, line(age=3601.0, gate_number=7), line(age=3599.0), "{broken\n")
    log(folder, line(gate_number=7), slot="green")
    assert checked(folder, document()) == "version 1 accepts 1 of the last 1 requests"


def test_of_many_requests_the_newest_are_checked(folder: Path) -> None:
    log(folder, *[line(gate_number=7)] * 10, *[line()] * traffic.REQUESTS)
    assert checked(folder, document()) == "version 1 accepts 1,000 of the last 1,000 requests"


def test_a_rollback_checks_fewer_because_it_must_not_wait(folder: Path) -> None:
    log(folder, *[line(gate_number=7)] * 10, *[line()] * traffic.HURRY)
    with candidate(document()) as port:
        environment(folder, port)
        said = traffic.refuse(folder, 0.0, count=traffic.HURRY)
    assert said == "version 1 accepts 200 of the last 200 requests"


@pytest.mark.parametrize("content", [None, {"paths": {}}])
def test_a_version_that_shows_no_document_is_not_stopped_by_that(content: Any, folder: Path) -> None:
    log(folder, line())
    assert checked(folder, content) == ""


def test_where_nothing_was_asked_there_is_nothing_to_check(folder: Path) -> None:
    assert checked(folder, document()) == ""
    log(folder, line(age=9999.0))
    assert checked(folder, document()) == ""


def test_an_environment_without_a_folder_or_without_a_version_before_is_not_checked(folder: Path) -> None:
    assert traffic.refuse(None, 0.0) == ""
    state.write(folder, State(candidate=Slot("green", 1, "1", "")))
    assert traffic.refuse(folder, 0.0) == ""


def test_a_containers_log_is_read_where_it_is_and_may_be_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Slot("blue", 1, "2", "", image="name@sha256:1")
    shown = SimpleNamespace(stdout=line().encode())
    monkeypatch.setattr(traffic.subprocess, "run", lambda command, **_: shown if "exec" in command else None)
    assert [each.rows for each in traffic.newest(folder, serving)] == [[{"x": 1}]]

    def slow(*words: object, **_: object) -> None:
        raise traffic.subprocess.TimeoutExpired("docker", 5)

    monkeypatch.setattr(traffic.subprocess, "run", slow)
    assert traffic.newest(folder, serving) == []


def test_the_newest_lines_are_complete_and_of_the_newest_files(folder: Path) -> None:
    for number, text in enumerate(("aaaa\nbbbb\n", "cccc\ndddd\n", "eeee\nhalf"), start=1):
        log(folder, text, number=number)
        path = folder / "predictions" / "blue" / f"predictions-{number}.jsonl"
        os.utime(path, (NOW + number, NOW + number))
    logs = folder / "predictions" / "blue"
    assert recent.recent(logs) == b"aaaa\nbbbb\ncccc\ndddd\neeee\n"
    assert recent.recent(logs, 12) == b"dddd\neeee\n"
    assert recent.recent(logs, 2) == b""
    assert recent.recent(folder / "nowhere") == b""


def test_a_thousand_requests_are_checked_quickly(folder: Path) -> None:
    """A rollback waits for it."""
    log(folder, *[line()] * traffic.REQUESTS)
    begun = time.process_time()  # what others use of the machine does not count
    checked(folder, document())
    assert time.process_time() - begun < 2
