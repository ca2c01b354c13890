"""Verb `run`: run the whole loop on this machine, from raw data to a drift verdict."""

import argparse
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delivery.adapters import dvc, large_files, store
from delivery.core import documents, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import fetch, tables
from delivery.decision import compare, gate, report
from delivery.drift import agenda, check
from delivery.probe import contract, loadtest
from delivery.registry import register, running, transitions
from delivery.render import markdown
from delivery.stats.evaluation import Evaluation

UP_TO_DATE = "Data and pipelines are up to date."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--base", metavar="REV", help="revision to compare with, as for `compare`")


def main(options: argparse.Namespace) -> int:
    """Run every step and print a summary. Raise `Failure` at the first step that fails, also if the gate fails."""
    settings = params.load()
    seconds: dict[str, float] = {}
    facts: dict[str, str] = {}
    with step("data", seconds):
        facts["data"] = data(settings)
    with step("pipeline", seconds):
        facts["pipeline"] = pipeline()
    with step("report", seconds):
        compare.run(settings.compare, options.base)
        decision = gate.run(settings)
        verdict = markdown.terminal_text(report.run()).splitlines()[0]
        facts |= {"verdict": verdict, "metrics": metrics(), "report": str(workspace.REPORT)}
        print(f"report: {verdict}")
    if decision.verdict == "fail":
        print(markdown.terminal_text(workspace.GATE_PAGE.read_text()))
        summary(facts, seconds)
        raise Failure(f"the gate failed, so nothing was registered or served; {workspace.REPORT} says why")
    with step("register", seconds):
        version, facts["version"] = registered()
    with step("staging", seconds):
        facts |= staging(settings, version)
    with step("drift", seconds):
        taken = agenda.take(settings, fresh=False)
        if taken.result:
            check.conclude(taken.result, taken.withdrawal)
        result = taken.result or check.nothing(settings.fetch.until)
        facts["drift"] = f"{result.period}: {'retrain' if result.retrain else 'no retraining'}; {result.why}"
    summary(facts, seconds)
    return 0


@contextmanager
def step(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Print the name of a step, and record how long it takes."""
    print(f"\n== {name}", flush=True)
    start = time.monotonic()
    yield
    seconds[name] = time.monotonic() - start


def data(settings: Params) -> str:
    """Pull the store, get data/ from it or from the source, and return which data there are."""
    print(store.pull())
    if workspace.DVC_REMOTE.is_dir() and not workspace.ARTIFACTS.is_dir():
        for name in dvc.remove_corrupt():
            print(f"store: the object {name} was corrupted; it is removed, and made and pushed again if it is needed")
        streamed("pull", "--quiet", "--allow-missing", check=False)
    until = settings.fetch.until
    try:
        tables.read(until)
    except Failure:
        print(fetch.into(workspace.DATA, until))
    return f"periods up to {until}"


def pipeline() -> str:
    """Run the pipeline and return whether anything was computed. Raise `Failure` if the store cannot hold the data."""
    large_files.refuse_before_training(lambda: streamed("repro", "prepare"))
    if UP_TO_DATE in streamed("repro"):
        return "nothing had to be recomputed"
    return "reproduced; see dvc.lock for its inputs"


def streamed(*words: str, check: bool = True) -> str:
    """Run DVC, print each line as it comes, and return them. Raise `Failure` if it fails; the stage has printed why."""
    lines = []
    with subprocess.Popen(
        dvc.command(*words),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dvc.path_first(),
        preexec_fn=programs.with_parent(),  # noqa: PLW1509  one call into the kernel
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if check and running.returncode:
        raise Failure(f"`dvc {words[0]}` stopped; fix what the line above says and run it again")
    return "".join(lines)


def metrics() -> str:
    """Return the metrics with their intervals in one line."""
    metrics = documents.read(workspace.METRICS, Evaluation, "evaluate").metrics
    return ", ".join(f"{name} {metric.value:.4f} {markdown.interval(metric)}" for name, metric in metrics.items())


def registered() -> tuple[str, str]:
    """Register the model, and return its version and a sentence about it.

    Register nothing if there are uncommitted changes; the version is empty then.
    """
    try:
        outcome = register.run()
    except register.Uncommitted as reason:
        print(f"register: {reason}")
        return "", f"not registered: {reason}"
    streamed("push", "--quiet")
    store.commit(f"Results of version {outcome.version}")
    text = f"{outcome.version} ({'new' if outcome.new else 'known already'})"
    print(f"register: version {text}")
    return outcome.version, text


def staging(settings: Params, version: str) -> dict[str, str]:
    """Check contract and load of a service on this machine, then move `staging` to the version; return the results."""
    with running.process(workspace.EXPORT, version) as url:
        print(f"staging: serving on {url}")
        contract.refuse(url, workspace.EXPORT, version or None)
        load = loadtest.run(url, workspace.EXPORT, settings.loadtest)
    documents.write(workspace.LOAD, load)
    print(f"loadtest: {loadtest.summary(load)}")
    loadtest.refuse(loadtest.verdict(load, settings.loadtest))
    if version:
        point(version)
    service = "stopped after the tests; `make serve` starts it on http://127.0.0.1:8000"
    return {"service": service, "load": loadtest.summary(load)}


def point(version: str) -> None:
    """Move `staging` to the version and commit that to the store."""
    if transitions.ensure("staging", version, "run"):
        store.commit(f"Version {version} to staging")


def summary(facts: dict[str, Any], seconds: dict[str, float]) -> None:
    """Print the results of the steps and how long each took."""
    print("\n== summary")
    for name in ("verdict", "metrics", "data", "pipeline", "version", "service", "load", "drift", "report"):
        if name in facts:
            print(f"{name:9} {facts[name]}")
    spent = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    print(f"seconds   {spent}; {sum(seconds.values()):.1f} in all")
