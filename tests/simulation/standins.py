"""What is replaced while a simulation runs, each by something with the same interface."""

import argparse
import contextlib
import datetime
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from harness import gitserver, router

from delivery.adapters import dvc, git_tags
from delivery.ci import suite
from delivery.compatibility.results import CompatibilityResult, Replay
from delivery.core import documents, files, params, programs, retries, waiting, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from delivery.decision import compare, gate, report
from delivery.deploy import bake, canary, drill, rehearse
from delivery.deploy.targets import host, loopback, observed, priority, proxy, rehearsal, slots, state, tokens
from delivery.deploy.targets.counts import Counts
from delivery.probe import contract
from delivery.registry import release, running
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult, GateResult
from simulation import answers, pipeline, registry, yamls
from simulation.periods import Source
from simulation.runner import Runner
from simulation.steps import Steps

SERVED = Path("src/problem/features.py")  # stands for all code in a bundle
original_process = gitserver.process
original_environment = gitserver.environment


@contextlib.contextmanager
def started(model: Path, version: str = "", code: Path | None = None, *, guarded: bool = True) -> Iterator[str]:
    """In place of `running.process`: a service that nobody asks."""
    yield "http://127.0.0.1:0"


def compared(settings, base=None) -> ComparisonResult:
    """In place of `compare.run`."""
    result = ComparisonResult(None, None, "the simulation does not compare", None)
    documents.write(workspace.COMPARISON, result)
    return result


def judged(settings, labelled=None) -> GateResult:
    """In place of `gate.run`: its absolute minimums."""
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    documents.read(workspace.EXPORT / workspace.MANIFEST, Manifest, "run")
    rules = gate.floors(evaluation.metrics, settings.gate)
    result = GateResult(gate.worst(rules), files.digest(workspace.EXPORT), None, tuple(rules))
    documents.write(workspace.GATE, result)
    documents.write(workspace.COMPATIBILITY, CompatibilityResult(reason="the simulation has no clients"))
    return result


def reported() -> str:
    """In place of `report.run`."""
    files.write(workspace.REPORT, "A page.\n")
    return "A page.\n"


def bundle(exported: Path, to: Path) -> None:
    """In place of `release.collect`: one file of code, the settings and the document."""
    files.write(to / SERVED, SERVED.read_bytes())
    files.write(to / release.SETTINGS, release.settings_text(params.serving()))
    files.write_json(to / release.DOCUMENT, {})


def process(folder: Path | str, words: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In place of `gitserver.process`."""
    found = answers.answer(words, Path(folder), variables)
    if found is not None:
        return subprocess.CompletedProcess(words, found[0], found[1], "")
    return original_process(folder, words, variables)


class Standins:
    """The patches of one simulation."""

    def __init__(self, steps: Steps, runner: Runner) -> None:
        self.steps, self.runner, self.source = steps, runner, Source()

    def rehearsed(self, model: Path, version: str, image: str, *, load: bool = True, code: Path | None = None) -> None:
        """In place of `rehearse.run`."""
        self.steps.edge("rehearse")
        if files.digest(model) in self.steps.hosts.refuses:
            raise Failure("the service failed the load test: 3 % errors; see reports/load.json")

    def counted(self) -> Callable[[host.Host, state.Slot], Counts]:
        """In place of `Host.counted`."""

        def call(target: host.Host, slot: state.Slot) -> Counts:
            self.steps.edge("counts")
            return self.steps.hosts.counted(target.folder, slot)

        return call

    def environment(self) -> dict[str, str]:
        moment = self.steps.now.isoformat()
        found = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        return original_environment() | found | {"XDG_CONFIG_HOME": str(self.steps.folder / "config")}

    def seen(self, what: str, real):
        """Something done to a host is a step, and without effect once its job has ended."""

        def call(*words, **named):
            self.steps.edge(what)
            return real(*words, **named)

        return call

    @contextlib.contextmanager
    def put(self) -> Iterator[None]:
        steps, hosts, seen = self.steps, self.steps.hosts, self.seen
        clock = SimpleNamespace(monotonic=steps.seconds, sleep=steps.sleep)
        replaced: list = [
            *yamls.REPLACED,
            *registry.REPLACED,
            *self.source.replaced(),
            (argparse, "_", str),  # it would look for translations of every option of every verb
            (programs, "run", steps.program), (urllib.request, "urlopen", steps.urlopen), (retries, "sleep", steps.sleep),
            (time, "sleep", steps.sleep), (waiting, "time", clock),
            (router, "run", self.runner.run), (gitserver, "environment", self.environment),
            (gitserver, "process", process),
            (dvc, "run", pipeline.run), (dvc, "again", pipeline.again), (compare, "run", compared), (gate, "run", judged),
            (report, "run", reported), (report, "graph", lambda: None), (report, "plots", tuple), (report, "released", str),
            (suite, "run", lambda _: 0), (release, "collect", bundle), (rehearse, "run", self.rehearsed),
            (git_tags, "PATIENCE", 600.0), (git_tags, "PUSHING", 600.0), (git_tags, "AGE", 1e9),  # a busy machine is no fault
            (running, "process", started), (rehearsal, "engine", lambda: False),  (drill, "replay", lambda *_: Replay(1, 1)),
            (bake, "begin", lambda _: ""), (canary, "time", clock), (host, "time", clock),
            (host, "HOME", steps.folder / "hosts"), (host.Host, "counted", self.counted()),
            (host.Host, "owe", seen("owe", host.Host.owe)), (state, "write", seen("state.json", state.write)),
            (priority, "nice", lambda *_: None), (loopback, "free_port", hosts.free_port), (tokens, "_asks", lambda _: False),
            (slots, "start", seen("start", hosts.start)), (slots, "stop", seen("stop", hosts.stop)),
            (slots, "ready", hosts.ready), (proxy, "apply", seen("proxy", hosts.apply)), (proxy, "running", hosts.running),
            (proxy, "stop", seen("stop the proxy", hosts.halt)), (proxy, "drained", hosts.drained),
            (observed, "slot", hosts.slot), (observed, "answering", hosts.answering),
            (observed, "listening", hosts.listening), (contract, "refuse", seen("contract", hosts.contract)),
        ]  # fmt: skip
        now = steps.clock()
        for name, module in list(sys.modules.items()):
            if name.startswith("delivery.") and getattr(module, "datetime", None) is datetime.datetime:
                replaced.append((module, "datetime", now))
        with contextlib.ExitStack() as stack:
            stack.enter_context(answers.alone())
            for owner, name, value in replaced:
                stack.enter_context(mock.patch.object(owner, name, value))
            yield
