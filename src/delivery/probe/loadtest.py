"""Verb `loadtest`: load a running service with locust and check limits; with two services, compare their latency."""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from delivery.core import params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params import LoadTest
from delivery.probe.client import Client

PATIENCE = 30  # seconds for the first answer; the load's own seconds count from there
SLICE = 0.5  # seconds, the shortest turn of a service in a comparison
Service = tuple[str, Path]  # its address, and the exported model whose examples are sent to it


class Group(Struct, frozen=True):
    """The requests to one service in one round, as the locustfile writes them."""

    service: int
    round: int
    failures: int
    times_ms: list[float]


class Recording(Struct, frozen=True):
    """A run of locust as the locustfile writes it: its duration, the number of each error, the requests."""

    seconds: float
    errors: dict[str, int]
    groups: list[Group]


class Load(Struct, frozen=True):
    """Measurements of one service under load: counts, rates, and quantiles of the latency in milliseconds."""

    requests: int
    failures: int
    rps: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: dict[str, int] = {}  # message to number of requests
    users: int = 0


class LoadComparison(Struct, frozen=True):
    """Measurements of two services that were loaded alternately."""

    candidate: Load
    champion: Load
    ratios: tuple[float, ...]  # of the p95, one for each round
    ratio: float  # their median
    broken: tuple[str, ...]  # limits that the candidate breaks


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "url", nargs="?", default="http://127.0.0.1:8000", help="address of the service (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=workspace.EXPORT,
        help="exported model that the service serves (default: artifacts/export)",
    )
    parser.add_argument(
        "--champion", metavar="URL", help="address of the champion's service, to compare p95 latency with"
    )
    parser.add_argument(
        "--champion-model", type=Path, help="exported model that the champion serves (default: --model)"
    )


def main(options: argparse.Namespace) -> None:
    """Load the service and print the measurements. Raise `Failure` if they break a limit."""
    settings = params.load().loadtest
    token = os.environ.get("SERVE_TOKEN")
    if options.champion:
        champion = (options.champion, options.champion_model or options.model)
        compared = compare((options.url, options.model), champion, settings, token)
        broken = list(compared.broken)
        print(
            f"loadtest: p95 is {compared.ratio:.2f} times the champion's, median of {len(compared.ratios)} rounds "
            f"(budget {settings.budget:g}); {summary(compared.candidate)}"
        )
    else:
        result = run(options.url, options.model, settings, token)
        broken = verdict(result, settings)
        print(f"loadtest: {summary(result)}")
    refuse(broken, options.url)


def run(url: str, model: Path, settings: LoadTest, token: str | None = None) -> Load:
    """Load one service and return the measurements.

    `model` is the exported folder whose examples are sent. Raise `Failure` if locust cannot run.
    """
    recording = _locust([(url, model)], settings, token, settings.seconds)
    measured = measure(recording.groups, recording.seconds)
    return replace(measured, errors=recording.errors, users=settings.users)


def compare(candidate: Service, champion: Service, settings: LoadTest, token: str | None = None) -> LoadComparison:
    """Load two services alternately and return both measurements and the ratio of their p95.

    The median over rounds decides, because a disturbance of the machine rarely hits most of them. Raise `Failure` if
    a round has no answers from one of the two.
    """
    slice_seconds = max(SLICE, settings.seconds / settings.rounds)
    rounds = settings.rounds + 1  # the first one warms up
    recording = _locust([candidate, champion], settings, token, 2 * slice_seconds * rounds + 1, slice_seconds)
    groups = [group for group in recording.groups if 0 < group.round < rounds]
    of_candidate, of_champion = ([group for group in groups if group.service == service] for service in (0, 1))
    ratios = tuple(
        measure([one], slice_seconds).p95_ms / measure([other], slice_seconds).p95_ms
        for one in of_candidate
        for other in of_champion
        if one.round == other.round
    )
    if len(ratios) < settings.rounds:
        raise Failure(f"only {len(ratios)} of {settings.rounds} rounds had answers from both; raise loadtest.seconds")
    seconds = slice_seconds * settings.rounds
    measured = measure(of_candidate, seconds)
    ratio = statistics.median(ratios)
    broken = []
    if ratio > settings.budget:
        broken.append(f"p95 is {ratio:.2f} times the champion's, the budget is {settings.budget:g}")
    if measured.error_rate > settings.max_error_rate:
        broken.append(f"{measured.error_rate:.2%} of the requests failed (max_error_rate {settings.max_error_rate:g})")
    return LoadComparison(measured, measure(of_champion, seconds), ratios, ratio, tuple(broken))


def measure(groups: Sequence[Group], seconds: float) -> Load:
    """Return counts, rates and quantiles over all groups. Raise `Failure` if they hold no request."""
    times = sorted(time for group in groups for time in group.times_ms)
    if not times:
        raise Failure("not one request was made; is the service running, and loadtest.seconds long enough?")
    failures = sum(group.failures for group in groups)
    quantiles = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return Load(
        requests=len(times),
        failures=failures,
        rps=len(times) / max(seconds, 1e-9),
        error_rate=failures / len(times),
        p50_ms=quantiles[49],
        p95_ms=quantiles[94],
        p99_ms=quantiles[98],
    )


def verdict(load: Load, settings: LoadTest) -> list[str]:
    """Return which limits are broken, with the figures; an empty list if none is."""
    broken = []
    if load.error_rate > settings.max_error_rate:
        first = next(iter(load.errors), "unknown")
        broken.append(
            f"{load.failures} of {load.requests} requests failed, the first with `{first}` "
            f"(max_error_rate {settings.max_error_rate:g})"
        )
    if load.p95_ms > settings.max_p95_ms:
        broken.append(f"p95 {load.p95_ms:.1f} ms is above max_p95_ms {settings.max_p95_ms:g}")
    if load.rps < settings.min_rps:
        broken.append(f"{load.rps:.0f} requests/s are below min_rps {settings.min_rps:g}")
    return broken


def refuse(broken: list[str], service: str = "the service") -> None:
    """Raise `Failure` if a limit is broken."""
    if broken:
        raise Failure(f"{service} fails the load test: {'; '.join(broken)}")


def summary(load: Load) -> str:
    """Return the measurements as one line."""
    return (
        f"{load.rps:.0f} requests/s, p50 {load.p50_ms:.1f} ms, p95 {load.p95_ms:.1f} ms, p99 {load.p99_ms:.1f} ms, "
        f"{load.failures} of {load.requests} failed"
    )


def _locust(
    services: list[Service], settings: LoadTest, token: str | None, seconds: float, slice_seconds: float = 3600
) -> Recording:
    """Run locust in a separate process and return its recording."""
    for url, model in services:
        if not (model / workspace.EXAMPLES).exists():
            raise Failure(f"{model}/{workspace.EXAMPLES} is missing; run `delivery export`, or name the model's folder")
        if (status := Client(url, token).ask("GET", "/health/ready").status) != 200:
            raise Failure(f"{url} is not ready ({status}); start it, or wait until it is")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "result.json")
        words = ["--headless", "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"]
        words += ["--users", str(settings.users), "--spawn-rate", str(settings.users)]
        words += ["--run-time", f"{ceil(seconds) + PATIENCE}s", "--host", services[0][0]]
        environment = {
            "LOAD_SERVICES": " ".join(url.rstrip("/") for url, _ in services),
            "LOAD_EXAMPLES": os.pathsep.join(str(model / workspace.EXAMPLES) for _, model in services),
            "LOAD_SLICE": str(slice_seconds),
            "LOAD_SECONDS": str(seconds),
            "LOAD_RESULT": str(out),
        } | ({"SERVE_TOKEN": token} if token else {})
        command = [sys.executable, "-m", "locust", "--locustfile", str(workspace.LOCUSTFILE), *words]
        completed = programs.run(command, env=environment)
        if completed.returncode or not out.exists():
            raise Failure(f"locust failed: {programs.last_line(completed)}")
        return msgspec.json.decode(out.read_bytes(), type=Recording)
