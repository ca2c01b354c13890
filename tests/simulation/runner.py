"""A run of a workflow in this process: its jobs in order, each with a token of its own, its steps read from the YAML."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from harness import callers, expressions, gitserver, rules
from harness.hub import Event, Json, Repo, of_own
from harness.runner import Run

from delivery.__main__ import main
from simulation import actions
from simulation.steps import Killed, Steps

STATUS = re.compile(r"\b(success|failure|cancelled|always)\(\)")
# What a runner does not set.
PERSON = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
WORD = re.compile(r"\$\{?(\w+)\}?")


class Runner:
    """What carries out the runs of a repository; `steps` counts, and has the faults."""

    def __init__(self, steps: Steps, router) -> None:
        self.steps, self.router, self.hub = steps, router, steps.hub

    def run(self, _hub, repo: Repo, file: str, event: Event, _machine, run_id: int, _environments: dict[str, str],
            only: str = "") -> Run:  # fmt: skip
        """In place of `harness.runner.run`."""
        document = self.router._workflows(repo, event.sha)[file]
        contexts = self.router._contexts(repo, document, event, repo.runs[run_id])
        contexts["github"] |= {"token": "", "server_url": self.hub.url}
        contexts |= {"secrets": repo.secrets, "job": {"workflow_repository": repo.name}}
        place = self.steps.folder / "runs" / f"{run_id}{only}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "event.json").write_text(json.dumps(event.payload))
        log: list[str] = []
        if only:
            document = document | {"jobs": {only: document["jobs"][only]}}
        results = self.jobs(document, contexts, repo, event, place, log)
        shutil.rmtree(place)
        jobs = {name: result["result"] for name, result in results.items()}
        failed = "\n".join(log) if set(jobs.values()) & {"failure", "cancelled"} else ""
        return Run(run_id, document["name"], event.name, jobs, "", "\n".join(log), failed)

    def jobs(self, document: Json, contexts: Json, repo: Repo, event: Event, place: Path, log: list[str],
             caller: tuple[Json, str] | None = None) -> dict[str, Json]:  # fmt: skip
        """Each job with its result and outputs, those of a called workflow as `caller / job`."""
        results: dict[str, Json] = {}
        shown: dict[str, Json] = {}
        fork = event.name == "pull_request" and not of_own(event.payload["pull_request"], repo)
        for name in ordered(document["jobs"]):
            job = document["jobs"][name]
            before = [results[need]["result"] for need in needs(job)]
            held = contexts | {"needs": {need: results[need] for need in needs(job)}}
            if not decided(job.get("if", True), held, before):
                results[name] = shown[name] = {"result": "skipped", "outputs": {}}
                continue
            if "uses" in job:
                theirs = self.router._called(repo, event, job["uses"])
                given = {key: expressions.filled(text, held) for key, text in (job.get("with") or {}).items()}
                inner = held | {"inputs": callers.defaults(theirs) | given}
                found = self.jobs(theirs, inner, repo, event, place, log, (document, name))
                shown |= {f"{name} / {each}": result for each, result in found.items()}
                states = {result["result"] for result in found.values()}
                worst = next((state for state in ("failure", "cancelled") if state in states), "success")
                results[name] = {"result": worst, "outputs": {}}
                continue
            granted = self.granted(document, name, caller, fork=fork)
            results[name] = shown[name] = self.job(name, job, held, repo, event, place, granted, log)
        return shown

    def granted(self, document: Json, name: str, caller: tuple[Json, str] | None, *, fork: bool) -> Json:
        """The rights of a job's token, those of a called workflow within its caller's."""
        if caller:
            return callers.rights(*caller, document, name, fork=fork)
        return rules.rights(document, name, fork=fork)

    def job(self, name: str, job: Json, contexts: Json, repo: Repo, event: Event, place: Path, granted: Json,
            log: list[str]) -> Json:  # fmt: skip
        secret = self.hub.token("github-actions[bot]", repo.name, "job", granted)
        folder = place / name / repo.name.partition("/")[2]  # a runner's workspace has the repository's name
        folder.mkdir(parents=True)
        contexts = contexts | {"steps": {}, "github": contexts["github"] | {"token": secret, "workspace": str(folder)}}
        states: list[str] = []
        with self.steps.of_job(secret):
            for step in job["steps"]:
                self.step(step, job, contexts, repo, event, folder, states, log)
        outputs = {key: expressions.filled(text, contexts) for key, text in (job.get("outputs") or {}).items()}
        result = next((state for state in ("failure", "cancelled") if state in states), "success")
        return {"result": result, "outputs": outputs}

    def step(self, step: Json, job: Json, contexts: Json, repo: Repo, event: Event, folder: Path, states: list[str],
             log: list[str]) -> None:  # fmt: skip
        outcome = "skipped"
        if not self.steps.dead and decided(step.get("if", True), contexts, states):
            with variables(contexts, job, step, event, folder) as written:
                printed = io.StringIO()
                try:
                    with redirect_stdout(printed), redirect_stderr(printed):
                        code = self.carried_out(step, contexts, repo, event, folder)
                    outcome = "failure" if code else "success"
                except (Killed, KeyboardInterrupt, SystemExit) as end:
                    outcome = "cancelled" if self.steps.interrupted else "failure"
                    printed.write(f"error: {type(end).__name__}: {end}\n")
                except Exception:
                    outcome = "failure"
                    printed.write(traceback.format_exc())
                if self.steps.interrupted and outcome == "failure":
                    outcome = "cancelled"
            log.append(f"{step.get('run') or step.get('uses')}: {outcome}\n{printed.getvalue()}")
            contexts["steps"][step.get("id", "")] = {"outcome": outcome, "outputs": outputs(written)}
            allowed = expressions.filled(step.get("continue-on-error", False), contexts)
            states.append("success" if allowed is True else outcome)

    def carried_out(self, step: Json, contexts: Json, repo: Repo, event: Event, folder: Path) -> int:
        """The exit code of a step."""
        if "uses" in step:
            given = {key: expressions.filled(text, contexts) for key, text in (step.get("with") or {}).items()}
            name = step["uses"].partition("@")[0]
            return actions.carry_out(name, given, self.steps, repo, event, folder) or 0
        if step["run"].startswith("make check"):
            return 0  # style is no concern of a simulation
        words = shlex.split(step["run"]) if step["run"].startswith("delivery ") else []
        if words:
            return main([WORD.sub(lambda found: os.environ.get(found[1], ""), word) for word in words[1:]])
        done = subprocess.run(["bash", "-e", "-c", step["run"]], check=False, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        return done.returncode


def ordered(jobs: Json) -> list[str]:
    found: list[str] = []
    while len(found) < len(jobs):
        found += [name for name in jobs if name not in found and set(needs(jobs[name])) <= set(found)]
    return found


def needs(job: Json) -> list[str]:
    named = job.get("needs", [])
    return [named] if isinstance(named, str) else named


def decided(condition, contexts: Json, before: list[str]) -> bool:
    """A condition without a status function asks for success() as well.

    docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions
    """
    now = {
        "success": all(state == "success" for state in before if state != "skipped" or "steps" not in contexts),
        "failure": "failure" in before,
        "cancelled": "cancelled" in before,
    }
    kept = {name: expressions.FUNCTIONS[name] for name in now}
    expressions.FUNCTIONS.update({name: (lambda value=value: value) for name, value in now.items()})
    try:
        implied = now["success"] or bool(STATUS.search(str(condition)))
        return implied and expressions.true(condition, contexts)
    finally:
        expressions.FUNCTIONS.update(kept)


@contextmanager
def variables(contexts: Json, job: Json, step: Json, event: Event, folder: Path) -> Iterator[Path]:
    """What a step finds in its environment, and its folder; yields the file of its outputs."""
    github = contexts["github"]
    written = folder.parent / f"{folder.name}.output"
    written.write_text("")
    about = {
        "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": github["repository"], "GITHUB_RUN_ID": str(github["run_id"]),
        "GITHUB_EVENT_NAME": event.name, "GITHUB_EVENT_PATH": str(folder.parents[1] / "event.json"),
        "GITHUB_REF": event.ref, "GITHUB_REF_NAME": github["ref_name"], "GITHUB_SHA": event.sha,
        "GITHUB_ACTOR": event.actor, "GITHUB_SERVER_URL": github["server_url"], "GITHUB_OUTPUT": str(written),
        "GITHUB_API_URL": f"{github['server_url']}/api/v3", "GITHUB_STEP_SUMMARY": os.devnull, "HOME": str(folder),
    }  # fmt: skip
    own = {key: expressions.string(expressions.filled(text, contexts))
           for key, text in {**(job.get("env") or {}), **(step.get("env") or {})}.items()}  # fmt: skip
    before, at = dict(os.environ), Path.cwd()
    nobody = {name: text for name, text in gitserver.environment().items() if name not in PERSON}
    found = nobody | {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool"} | about | own
    become(found)
    os.chdir(folder)
    try:
        yield written
    finally:
        os.chdir(at)
        become(before)


def become(variables: dict[str, str]) -> None:
    """Make these all variables. Most are the same from step to step."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def outputs(written: Path) -> Json:
    """The outputs of a step, one line each or between delimiters."""
    found, lines = {}, written.read_text().splitlines()
    while lines:
        line = lines.pop(0)
        if match := re.fullmatch(r"([\w-]+)<<(.*)", line):
            end = lines.index(match[2])
            found[match[1]] = "\n".join(lines[:end])
            lines = lines[end + 1 :]
        else:
            name, _, text = line.partition("=")
            found[name] = text
    return found
