"""What is watched after a deployment, and what makes a version return."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from answering import answering
from msgspec.structs import replace

from delivery.adapters import prometheus
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import bake, rollback, side_by_side, traffic, watched
from delivery.deploy.own_metrics import Answer
from delivery.deploy.side_by_side import Sides
from delivery.deploy.targets import state
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.state import Slot, State
from delivery.deploy.watched import Plan

SETTINGS = params.Canary(requests=500, max_error_rate=0.001, max_slower=1.5, slower_ms=2.0, score_psi=0.25)
BOUNDS = np.array([0.001, 0.01, 0.1, np.inf])
HALVES = np.array([0.5, 1.0, np.inf])
BLUE, GREEN = Slot("blue", 1, "1", "", since="monday"), Slot("green", 2, "2", "", since="tuesday")


def tally(requests: int = 0, errors: int = 0, refused: dict | None = None) -> Counts:
    return Counts(requests, errors, 0.0, np.zeros(4), BOUNDS, np.zeros(3), HALVES, refused or {})


def answered(number: float, ms: float = 5.0, low: float = 0.5) -> Counts:
    """Counts of so many answers with this latency, and this share of scores below one half."""
    times = np.eye(4)[int(np.searchsorted(BOUNDS, ms / 1e3))] * number
    scores = np.array([low, 1 - low, 0]) * number
    return Counts(int(number), 0, number * ms / 1e3, times, BOUNDS, scores, HALVES)


def test_a_count_since_a_moment_and_after_a_restart() -> None:
    before = replace(answered(100), errors=2, refused={"422": 10, "415": 1})
    since = replace(answered(300), errors=5, refused={"422": 30, "415": 1}).since(before)
    assert (since.requests, since.errors, since.predictions) == (200, 3, 200)
    assert since.refused == {"422": 20, "415": 0}
    service = replace(answered(40), requests=300, errors=5, refused={"422": 30}).since(before)
    assert (service.requests, service.errors, service.predictions) == (200, 3, 40), "the service counts from zero again"
    assert service.refused == {"422": 30}
    refusing = replace(answered(400), errors=5, refused={"422": 3}).since(before)
    assert (refusing.requests, refusing.refused) == (300, {"422": 3}), "and so it does here"
    proxy = replace(answered(300), requests=20, errors=1, refused={"422": 30, "415": 1}).since(before)
    assert (proxy.requests, proxy.errors, proxy.predictions) == (20, 1, 200), "the proxy counts from zero again"


@pytest.mark.parametrize(
    ("seen", "usual", "words"),
    [
        (tally(1000, 1), tally(1000, 0), ""),
        (tally(1000, 20), tally(1000, 0), "20 of 1000 requests failed, 0 of 1000 before"),
        (tally(1000, 20), tally(1000, 22), ""),
        (tally(1000, 0, {"422": 500}), tally(500), "500 of 1000 requests were answered 422, 0 of 500 before"),
        (tally(1000, 0, {"422": 500}), tally(500, 0, {"422": 250}), ""),
        (tally(1000, 0, {"422": 40}), tally(500), ""),
        (tally(90, 0, {"422": 45}), tally(500), ""),
        (tally(500, 0, {"422": 250}), tally(90), ""),
        (tally(0), tally(500), ""),
    ],
    ids=[
        "one error",
        "errors",
        "errors as before",
        "refusals",
        "refusals as before",
        "a few",
        "a person who tries it",
        "nobody asked before",
        "nobody asks",
    ],
)
def test_a_version_is_judged_by_errors_and_refusals(seen: Counts, usual: Counts, words: str) -> None:
    assert watched.judged(seen, usual, SETTINGS) == words


def test_without_a_deployment_there_is_nothing_to_watch(tmp_path) -> None:
    with pytest.raises(Failure, match="nothing was deployed to staging that is to be watched"):
        watched.read(tmp_path / "staging")


def plan(usual: Counts, life: Counts, begun: Counts | None = None, until: float = 1e12) -> Plan:
    return Plan("2", "tuesday", until, usual, life, begun or answered(0))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    watched.write(tmp_path, plan(answered(10), answered(20), tally(3, 1, {"422": 2})))
    read = watched.read(tmp_path)
    assert read.usual.bounds.tolist() == BOUNDS.tolist()
    assert (read.usual.predictions, read.life.predictions, read.begun.refused) == (10, 20, {"422": 2})


@pytest.mark.parametrize(
    ("seen", "usual", "life", "slower", "moved"),
    [
        (answered(600), answered(600), answered(0), 0, False),
        (answered(600, ms=50), answered(600), answered(0), 2, False),
        (answered(600, low=0.9), answered(600), answered(0), 0, True),
        (answered(600, ms=50, low=0.9), answered(5), answered(9000), 2, True),
        (answered(600, ms=50), answered(600, ms=50), answered(9000), 0, False),
    ],
    ids=["as before", "slow", "other scores", "few minutes ago", "slow in these minutes, at both"],
)
def test_latency_and_scores_are_compared_with_the_minutes_before_or_all_before(
    seen: Counts, usual: Counts, life: Counts, slower: int, moved: bool
) -> None:
    suspicion = watched.suspected(seen, plan(usual, life), SETTINGS)
    assert suspicion
    assert (len(suspicion.slower), bool(suspicion.moved)) == (slower, moved)


def test_too_few_requests_are_compared_with_nothing() -> None:
    assert watched.suspected(answered(499, ms=50), plan(answered(600), answered(600)), SETTINGS) is None
    assert watched.suspected(answered(600, ms=50), plan(answered(499), answered(0)), SETTINGS) is None


def sides(new_ms: float, old_ms: float, new: float, old: float) -> Sides:
    return Sides(np.full(50, new_ms), np.full(50, old_ms), np.full(50, new), np.full(50, old), 50)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            sides(50, 1, 0.9, 0.2),
            "50 recent requests, asked of both versions: mean 50.00 ms against 1.00 ms (max_slower 1.5); "
            "p95 50.00 ms against 1.00 ms (max_slower 1.5); the scores have moved, PSI 8.96 (score_psi 0.25)",
        ),
        (sides(1, 1, 0.2, 0.2), ""),
        (None, ""),
    ],
    ids=["worse", "the same", "too few answers"],
)
def test_a_suspicion_is_confirmed_by_the_same_requests(
    asked: Sides | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = host([])
    monkeypatch.setattr(side_by_side, "ask", lambda folder, new, old: asked)
    suspicion = watched.Suspicion(["mean"], "the scores have moved")
    assert watched.confirmed(suspicion, target, HALVES) == words
    target.state = State(serving=GREEN)
    assert watched.confirmed(suspicion, target, HALVES) == "", "nothing to ask"
    target.state = State(serving=GREEN, warm=BLUE)
    assert watched.confirmed(watched.Suspicion([], ""), target, HALVES) == "", "only what was suspected"


def host(looks: list[Counts]) -> Any:
    deploy = params.Deploy(canary=SETTINGS)
    counted = iter(looks)
    return SimpleNamespace(
        environment="staging", folder=Path("staging"), deploy=deploy, state=State(serving=GREEN, warm=BLUE),
        counted=lambda slot: next(counted),
    )  # fmt: skip


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reasons of rollbacks, which do nothing else here; and a clock that only sleep moves."""
    reasons: list[str] = []
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, time=lambda: 1000 + sum(slept), monotonic=lambda: 1000 + sum(slept))
    monkeypatch.setattr(bake, "time", clock)
    current = [State(serving=GREEN, warm=BLUE)]
    monkeypatch.setattr(state, "read", lambda folder: current[-1])

    def run(environment: str, to: str, reason: str) -> str:
        reasons.append(reason)
        current.append(State(serving=BLUE))
        return "rolled back"

    monkeypatch.setattr(rollback, "run", run)
    return reasons


def test_a_slower_version_returns_and_a_slower_hour_does_not(
    returned: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    answers = iter([sides(5, 5, 0.2, 0.2), sides(50, 5, 0.2, 0.2)])
    monkeypatch.setattr(side_by_side, "ask", lambda *_: next(answers))
    looks = [answered(600 + turn, ms=50) for turn in range(100)]
    assert bake.watch(plan(answered(600), answered(0)), host(looks)) == "rolled back"
    assert returned == [
        "within 10 minutes: 50 recent requests, asked of both versions: mean 50.00 ms against 5.00 ms (max_slower 1.5); "
        "p95 50.00 ms against 5.00 ms (max_slower 1.5)"
    ]
    printed = capsys.readouterr().out
    assert printed.count("not so when both versions are asked the same requests: mean 50.00 ms") == 1


def test_a_state_that_cannot_be_read_for_a_while_ends_no_watch(
    returned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, damaged = state.read, iter([True, True])

    def sometimes(folder: Path) -> State:
        if next(damaged, False):
            raise state.Damaged("state.json cannot be read")
        return read(folder)

    monkeypatch.setattr(state, "read", sometimes)
    assert bake.watch(plan(answered(600), answered(0), until=1100), host([answered(700)] * 100)).startswith(
        "version 2 was watched until"
    )
    assert returned == []


@pytest.mark.parametrize(("number", "words"), [(700, ""), (30, "; too few to compare latency and scores (30 of 500)")])
def test_a_good_version_is_watched_to_the_end(number: int, words: str, returned: list[str]) -> None:
    looks = [answered(number)] * 5
    told = bake.watch(plan(answered(700), answered(0), until=1010), host(looks))
    assert told == f"version 2 was watched until the end: {number} requests, 0 failed{words}"
    assert returned == []


BAD = [replace(answered(1000), errors=900)] * 1000
UNTIL = 1100.0  # a hundred seconds after the clock of `returned` begins


def rollbacks(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | str) -> list[float]:
    """The moments at which rollbacks are tried, the outcome of each in turn; the last one lasts."""
    tried: list[float] = []

    def run(environment: str, to: str, reason: str) -> str:
        tried.append(bake.time.time())
        outcome = outcomes[min(len(tried), len(outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        monkeypatch.setattr(state, "read", lambda folder: State(serving=BLUE))
        return outcome

    monkeypatch.setattr(rollback, "run", run)
    return tried


@pytest.mark.usefixtures("returned")
def test_a_rollback_that_fails_is_tried_again_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tried = rollbacks(monkeypatch, Failure("the proxy does not answer"), OSError("no space"), "rolled back")
    assert bake.watch(plan(answered(1000), answered(0), until=UNTIL), host(BAD)) == "rolled back"
    assert tried[0] == 1002
    assert 5 <= tried[1] - tried[0] < 8
    assert 10 <= tried[2] - tried[1] < 13
    assert capsys.readouterr().out.splitlines() == [
        "rollback 1 failed, and is tried again: the proxy does not answer",
        "rollback 2 failed, and is tried again: no space",
    ]


@pytest.mark.usefixtures("returned")
def test_a_rollback_is_tried_five_times_though_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = rollbacks(monkeypatch, Failure("the proxy does not answer"))
    with pytest.raises(Failure, match=r"^version 2 fails \(900 of .*\), and 5 rollbacks .*: the proxy does not answer"):
        bake.watch(plan(answered(1000), answered(0), until=1001), host(BAD))
    assert len(tried) == 5
    assert 75 <= tried[-1] - tried[0] < 90


@pytest.mark.usefixtures("returned")
def test_a_rollback_that_fails_is_tried_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = rollbacks(monkeypatch, Failure("the proxy does not answer"))
    with pytest.raises(Failure, match=r", and \d+ rollbacks did, the last one: the proxy does not answer"):
        bake.watch(plan(answered(1000), answered(0), until=1600), host(BAD))
    assert 1540 < tried[-1] < 1600
    assert len(tried) > 10


@pytest.mark.usefixtures("returned")
def test_a_rollback_that_clients_would_suffer_from_is_left_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Failure("version 1 refuses 50%; version 2 still serves staging")
    refused.__cause__ = traffic.Refused("version 1 refuses 50%")
    tried = rollbacks(monkeypatch, refused)
    with pytest.raises(Failure, match="version 1 refuses 50%; version 2 still serves staging"):
        bake.watch(plan(answered(1000), answered(0), until=UNTIL), host(BAD))
    assert len(tried) == 1


@pytest.mark.usefixtures("returned")
def test_a_rollback_waits_for_another_command_beyond_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = rollbacks(monkeypatch, *[state.Taken("it is being changed")] * 20, "rolled back")
    assert bake.watch(plan(answered(1000), answered(0), until=1005), host(BAD)) == "rolled back"
    assert len(tried) == 21


def test_a_look_that_fails_is_repeated(
    returned: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    target, failing = host(BAD), iter([True, True])

    def counted(_: Slot) -> Counts:
        if next(failing, False):
            raise ValueError("cut off")
        return BAD[0]

    target.counted = counted
    assert bake.watch(plan(answered(1000), answered(0), until=UNTIL), target) == "rolled back"
    assert len(returned) == 1
    assert capsys.readouterr().out == "a look failed: ValueError: cut off\n"


def test_a_version_that_could_not_be_seen_at_the_end_is_not_called_good(returned: list[str]) -> None:
    target = host([])

    def counted(_: Slot) -> Counts:
        raise ValueError("cut off")

    target.counted = counted
    with pytest.raises(Failure, match=r"the last look failed \(ValueError: cut off\)$"):
        bake.watch(plan(answered(1000), answered(0), until=UNTIL), target)
    assert returned == []


def test_what_a_killed_command_left_keeps_no_bad_version(
    returned: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A command that still runs goes first; it is over once nobody holds the lock. The first rollback ends only what it left."""
    states, held = [State(serving=GREEN, candidate=BLUE)], iter(["4711", "4711"])
    monkeypatch.setattr(state, "read", lambda folder: states[-1])
    monkeypatch.setattr(state, "holder", lambda folder: next(held, ""))

    def run(environment: str, to: str, reason: str) -> str:
        returned.append(reason)
        states.append(State(serving=BLUE) if states[-1].candidate is None else State(serving=GREEN, warm=BLUE))
        return f"rollback {len(returned)}"

    monkeypatch.setattr(rollback, "run", run)
    assert bake.watch(plan(answered(1000), answered(0), until=UNTIL), host(BAD)) == "rollback 2"
    assert bake.time.time() == 1000 + 4 * bake.TICK
    assert capsys.readouterr().out == "rollback 1\n"


WORSE = Answer(["metric bookings is 0.2, below its limit 0.5"])
UNKNOWN = Answer([], ["metric bookings is not known: http://metrics does not answer (refused)"])


def metrics(monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
    """What the team's own metrics say at each look; the last answer lasts."""
    left = list(answers)
    monkeypatch.setattr(watched, "metrics", lambda target, plan: lambda: left.pop(0) if len(left) > 1 else left[0])


def test_a_metric_of_ones_own_makes_a_version_return(returned: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    metrics(monkeypatch, Answer(), UNKNOWN, WORSE)
    assert bake.watch(plan(answered(0), answered(0)), host([answered(5)] * 100)) == "rolled back"
    assert returned == ["within 10 minutes: metric bookings is 0.2, below its limit 0.5"]


def test_a_metric_that_is_not_known_makes_the_watch_longer_and_is_reported(
    returned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics(monkeypatch, UNKNOWN)
    target, looks = host([answered(5)] * 10_000), bake.time
    with pytest.raises(
        Failure, match="^version 2 was watched until the end: 5 requests, .*; metric bookings is not known"
    ):
        bake.watch(plan(answered(0), answered(0), until=1010), target)
    assert looks.time() >= 1010 + SETTINGS.hold_seconds
    assert returned == []


def test_the_watch_ends_once_the_metric_is_known(returned: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    metrics(monkeypatch, UNKNOWN, UNKNOWN, Answer())
    told = bake.watch(plan(answered(0), answered(0), until=1010), host([answered(5)] * 100))
    assert told.startswith("version 2 was watched until the end: ")
    assert 1030 < bake.time.time() < 1060


def test_the_metrics_are_asked_about_the_version_and_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def value(address: str, query: str) -> float:
        asked.append(f"{address} {query}")
        return 1

    monkeypatch.setattr(prometheus, "value", value)
    target = host([])
    metric = params.Metric("$version $before $environment", 1)
    target.deploy = replace(target.deploy, prometheus="http://metrics", metrics={"bookings": metric})
    assert watched.metrics(target, plan(answered(0), answered(0)))() == Answer()
    assert asked == ["http://metrics 2 1 staging"]


class Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing it waits for the last answer


class Slotted(BaseHTTPRequestHandler):
    """A service whose server has the latency that it names, and a score for each row."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server: Any = self.server
        refused = any(row.get("new") for row in rows) and server.strict
        status, content = (
            (422, {"detail": "unknown field"}) if refused else (200, {"predictions": [server.score] * len(rows)})
        )
        body = json.dumps(content).encode()
        self.send_response(status)
        server.asked += 1
        self.send_header("server-timing", f"app;dur={server.ms * (9 if server.asked % 3 else 1):.3f}")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def services() -> Iterator[list[Any]]:
    """The new version, which is three times as slow, and the old one, which knows no field `new`."""
    servers: list[Any] = [Server(("127.0.0.1", 0), Slotted) for _ in range(2)]
    for server, ms, score, strict in zip(servers, (6, 2), (0.75, 0.25), (False, True), strict=True):
        server.ms, server.score, server.strict, server.asked = ms, score, strict, 0
    with answering(servers[0]), answering(servers[1]):
        yield servers


def asked(folder: Path, services: list[Any], rows: list[dict]) -> Sides | None:
    log = folder / "predictions" / "green"
    log.mkdir(parents=True, exist_ok=True)
    lines = [
        {"time": time.time(), "id": f"request-{n}", "version": "2", "rows": [row], "scores": [0.5]}
        for n, row in enumerate(rows)
    ]
    (log / "predictions-1.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    new, old = (replace(slot, port=server.server_port) for slot, server in zip((GREEN, BLUE), services, strict=True))
    return side_by_side.ask(folder, new, old)


def test_both_slots_are_asked_the_newest_requests_and_the_quickest_answer_counts(
    tmp_path: Path, services: list[Any]
) -> None:
    found = asked(tmp_path, services, [{"number": n} for n in range(40)])
    assert found
    assert found.new_ms.tolist() == [6.0] * 40
    assert found.old_ms.tolist() == [2.0] * 40
    assert side_by_side.slower(found, SETTINGS) == [
        "mean 6.00 ms against 2.00 ms (max_slower 1.5)", "p95 6.00 ms against 2.00 ms (max_slower 1.5)",
    ]  # fmt: skip
    assert side_by_side.moved(found, HALVES, SETTINGS).startswith("the scores have moved, PSI ")
    same = Sides(found.new_ms, found.new_ms, found.new_scores, found.new_scores, 40)
    assert side_by_side.slower(same, SETTINGS) == []
    assert side_by_side.moved(same, HALVES, SETTINGS) == ""


def test_one_client_that_repeats_a_request_says_nothing_about_the_scores(tmp_path: Path, services: list[Any]) -> None:
    found = asked(tmp_path, services, [{"number": n % 3} for n in range(60)])
    assert found
    assert (len(found.new_ms), found.distinct, len(found.new_scores)) == (60, 3, 3)
    assert side_by_side.moved(found, HALVES, SETTINGS) == ""
    assert side_by_side.slower(found, SETTINGS)


def test_requests_that_one_version_refuses_are_left_out(tmp_path: Path, services: list[Any]) -> None:
    found = asked(tmp_path, services, [{"number": n, "new": n % 3 == 0} for n in range(90)])
    assert found
    assert len(found.new_ms) == 60
    assert asked(tmp_path, services, [{"new": True}] * 50) is None
