"""Verb `loadtest`: locust against a running service, as a gate; with two services, as a ratio."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from math import ceil
from pathlib import Path
from typing import Any

from delivery.core import params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params import LoadTest
from delivery.probe.client import Client

SLICE = 0.5  # seconds, the shortest turn of a service in a comparison
Result = dict[str, Any]
Service = tuple[str, Path]  # its address, and the exported model whose examples it is asked


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000", help="address of the service")
    parser.add_argument("--model", type=Path, default=Path("artifacts/export"), help="the model it serves")
    parser.add_argument("--champion", metavar="URL", help="a second service: the first may not be slower than it")
    parser.add_argument("--champion-model", type=Path, help="the model that the champion serves (default: --model)")


def main(options: argparse.Namespace) -> None:
    settings = params.load().loadtest
    token = os.environ.get("SERVE_TOKEN")
    if options.champion:
        champion = (options.champion, options.champion_model or options.model)
        result = compare((options.url, options.model), champion, settings, token)
        broken = result["broken"]
        print(
            f"loadtest: p95 is {result['ratio']:.2f} times the champion's, median of {len(result['ratios'])} rounds "
            f"(budget {settings.budget:g}); {summary(result['candidate'])}"
        )
    else:
        result = run(options.url, options.model, settings, token)
        broken = verdict(result, settings)
        print(f"loadtest: {summary(result)}")
    refuse(broken, options.url)


def run(url: str, model: Path, settings: LoadTest, token: str | None = None) -> Result:
    """One service under load: requests, failures, errors, error_rate, rps, p50_ms, p95_ms, p99_ms, users.

    `model` is the exported folder whose examples are asked. Raises Failure when locust cannot run.
    """
    raw = _locust([(url, model)], settings, token, settings.seconds)
    return measure(raw["groups"], raw["seconds"]) | {"errors": raw["errors"], "users": settings.users}


def compare(candidate: Service, champion: Service, settings: LoadTest, token: str | None = None) -> Result:
    """Two services in turns: the median over the rounds of the ratio of p95 decides, so noise does not.

    Keys: candidate and champion as `run` gives them, ratios (one per round), ratio (their median), broken.
    """
    slice_seconds = max(SLICE, settings.seconds / settings.rounds)
    rounds = settings.rounds + 1  # the first one warms up
    raw = _locust([candidate, champion], settings, token, 2 * slice_seconds * rounds + 1, slice_seconds)
    groups = [group for group in raw["groups"] if 0 < group["round"] < rounds]
    ours, theirs = ([group for group in groups if group["service"] == service] for service in (0, 1))
    ratios = [
        measure([one], slice_seconds)["p95_ms"] / measure([other], slice_seconds)["p95_ms"]
        for one in ours
        for other in theirs
        if one["round"] == other["round"]
    ]
    if len(ratios) < settings.rounds:
        raise Failure(f"only {len(ratios)} of {settings.rounds} rounds had answers of both; raise loadtest.seconds")
    seconds = slice_seconds * settings.rounds
    result = {"candidate": measure(ours, seconds), "champion": measure(theirs, seconds)}
    ratio = statistics.median(ratios)
    broken = []
    if ratio > settings.budget:
        broken.append(f"p95 is {ratio:.2f} times the champion's, the budget is {settings.budget:g}")
    if (rate := result["candidate"]["error_rate"]) > settings.max_error_rate:
        broken.append(f"{rate:.2%} of the requests failed (max_error_rate {settings.max_error_rate:g})")
    return result | {"ratios": ratios, "ratio": ratio, "broken": broken}


def measure(groups: list[Result], seconds: float) -> Result:
    """Groups of requests as the locustfile wrote them, taken together: counts, rates, quantiles (ms)."""
    times = sorted(time for group in groups for time in group["times_ms"])
    if not times:
        raise Failure("not one request was made; is the service running, and loadtest.seconds long enough?")
    failures = sum(group["failures"] for group in groups)
    quantiles = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    rates = {"rps": len(times) / max(seconds, 1e-9), "error_rate": failures / len(times)}
    counts = {"requests": len(times), "failures": failures}
    return counts | rates | {"p50_ms": quantiles[49], "p95_ms": quantiles[94], "p99_ms": quantiles[98]}


def verdict(result: Result, settings: LoadTest) -> list[str]:
    """What is broken, with the figures; empty when all holds."""
    broken = []
    if result["error_rate"] > settings.max_error_rate:
        first = next(iter(result["errors"]), "unknown")
        broken.append(
            f"{result['failures']} of {result['requests']} requests failed, the first with `{first}` "
            f"(max_error_rate {settings.max_error_rate:g})"
        )
    if result["p95_ms"] > settings.max_p95_ms:
        broken.append(f"p95 {result['p95_ms']:.1f} ms is above max_p95_ms {settings.max_p95_ms:g}")
    if result["rps"] < settings.min_rps:
        broken.append(f"{result['rps']:.0f} requests/s are below min_rps {settings.min_rps:g}")
    return broken


def refuse(broken: list[str], service: str = "the service") -> None:
    """Raises Failure when something is broken."""
    if broken:
        raise Failure(f"{service} does not stand the load: {'; '.join(broken)}")


def summary(result: Result) -> str:
    return (
        f"{result['rps']:.0f} requests/s, p50 {result['p50_ms']:.1f} ms, p95 {result['p95_ms']:.1f} ms, "
        f"p99 {result['p99_ms']:.1f} ms, {result['failures']} of {result['requests']} failed"
    )


def _locust(
    services: list[Service], settings: LoadTest, token: str | None, seconds: float, slice_seconds: float = 3600
) -> Result:
    """Runs locust in a process of its own; what its file wrote: seconds, errors, groups."""
    for url, model in services:
        if not (model / "examples.json").exists():
            raise Failure(f"{model}/examples.json is missing; run `delivery export`, or name the model's folder")
        if (status := Client(url, token).ask("GET", "/health/ready").status) != 200:
            raise Failure(f"{url} is not ready ({status}); start it, or wait until it is")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "result.json")
        words = ["--headless", "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"]
        words += ["--users", str(settings.users), "--spawn-rate", str(settings.users)]
        words += ["--run-time", f"{ceil(seconds)}s", "--host", services[0][0]]
        environment = {
            "LOAD_SERVICES": " ".join(url.rstrip("/") for url, _ in services),
            "LOAD_EXAMPLES": os.pathsep.join(str(model / "examples.json") for _, model in services),
            "LOAD_SLICE": str(slice_seconds),
            "LOAD_RESULT": str(out),
        } | ({"SERVE_TOKEN": token} if token else {})
        command = [sys.executable, "-m", "locust", "--locustfile", str(workspace.LOCUSTFILE), *words]
        completed = programs.run(command, env=environment)
        if completed.returncode or not out.exists():
            raise Failure(f"locust failed: {programs.last_line(completed)}")
        return json.loads(out.read_text())
