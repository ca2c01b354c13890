"""A repository, its people, and what they do: each action with everything that it sets off."""

import datetime
import os
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import yaml
from harness import gitserver
from harness.gitserver import git, refs
from harness.hub import Event, Json, Token
from harness.router import Router
from harness.runner import Machine
from harness.world import NAME, promoted_to

from delivery.core import workspace
from simulation import ROOT, contributions, people, pipeline, rulesets
from simulation.periods import data_file
from simulation.runner import Runner
from simulation.standins import SERVED, Standins
from simulation.steps import Steps

ON = (
    "promote.yml",
    "deploy.yml",
    "rollback.yml",
    "drill.yml",
    "drift.yml",
    "batch.yml",
    "ci.yml",
    "comment.yml",
    "refresh.yml",
    "command.yml",
)  # the workflows that are simulated so far
OFF = tuple(path.name for path in (ROOT / ".github" / "workflows").glob("*.yml") if path.name not in ON)


SOON, LATER, WEEK = datetime.timedelta(minutes=10), datetime.timedelta(hours=30), datetime.timedelta(days=7)


class Action(NamedTuple):
    """What somebody does, and the fault that falls on a step of what follows: its kind, and the number of the step."""

    what: str
    who: str = "ada"
    value: str = ""
    environment: str = ""
    fault: tuple[str, int] | None = None

    def __str__(self) -> str:
        fault = f" [{self.fault[0]} at step {self.fault[1]}]" if self.fault else ""
        return f"{self.who}: {self.what} {self.value} {self.environment}".rstrip() + fault


class World:
    """A repository in which `do` lets things happen."""

    def __init__(self, folder: Path, router: type[Router] = Router) -> None:
        self.folder = folder
        self.hub = people.Remembering(folder)
        self.hub.url = "http://hub"
        self.steps = Steps(self.hub, folder)
        self.router = router(self.hub, Machine(Path(), Path(), Path(), {}), disabled=OFF)
        self.router.needs = promoted_to
        self.standins = Standins(self.steps, Runner(self.steps, self.router))
        self.pending: list[Action] = []
        self.direct: Json | None = None  # the pull request in the place of a push that a ruleset refuses
        self.week = self.steps.now  # of the last Monday
        self.started: list[Event] = []  # of runs that can be started again
        self.work = folder / "work"

    @contextmanager
    def open(self):
        with self.standins.put(), self.steps.aside():
            found = gitserver.environment()  # nothing of the person or the workflow that runs this
            os.environ.clear()
            os.environ.update(found)
            if not self.hub.repos:
                self._create()
            yield self

    def _create(self) -> None:
        self.repo = self.hub.repository(NAME)
        (self.repo.path / "hooks" / "pre-receive").unlink()
        git(self.repo.path, "config", "transfer.unpackLimit", "1")  # few files, which clones copy
        git(self.folder, "clone", "--quiet", self.repo.path, self.work)
        shutil.copytree(ROOT / ".github", self.work / ".github")
        shutil.copytree(ROOT / ".dvc", self.work / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
        (self.work / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
        (self.work / "reports").mkdir()
        (self.work / workspace.REQUIREMENTS).mkdir()
        (self.work / workspace.REQUIREMENTS / "dev.txt").write_text("numpy==2.0\n")  # something to scan
        for name in (".gitignore", "reports/validate.json"):
            shutil.copy(ROOT / name, self.work / name)
        (self.work / SERVED).parent.mkdir(parents=True)
        (self.work / SERVED).write_text("FEATURES = ()\n")
        (self.work / workspace.DVC_YAML).write_text(
            yaml.safe_dump({"stages": {name: {"cmd": name} for name in pipeline.STAGES}})
        )
        settings = yaml.safe_load((ROOT / workspace.PARAMS).read_text())
        (self.work / workspace.DATA_FILE).write_text(data_file(settings["fetch"]["until"]))
        settings["deploy"] = {
            "environments": {"production": {"target": "process"}}, "watch_seconds": 0, "bake_minutes": 0,
            "canary": {"requests": 50, "seconds": 60.0, "hold_seconds": 60.0},
        }  # fmt: skip
        (self.work / workspace.PARAMS).write_text(yaml.safe_dump(settings, sort_keys=False))
        (self.work / "README.md").write_text("0\n")

    # What people do

    def do(self, action: Action) -> None:
        """Let it happen, with all that follows."""
        self.steps.fault, self.steps.count = action.fault, 0
        before = contributions.Before(self)
        pull = self.act(action)
        self.router.settle()
        if self.direct:  # whoever wanted to push to main presses the button, or somebody else who looks at it
            people.press(
                self, self.direct, action._replace(who="eve" if action.who == "ada" else "ada", environment="squash")
            )
            self.direct = None
            self.router.settle()
        self.steps.fault = None
        self.hub.faults.clear()
        before.judge(action, pull)
        self.steps.now += SOON if zlib.crc32(str(action).encode()) % 3 == 0 else LATER

    def act(self, action: Action) -> Json | None:
        """Let it begin; return the pull request that it is about, if it is about one."""
        if action.what in contributions.ACTS:
            return contributions.ACTS[action.what](self, action)
        getattr(self, f"_{action.what}")(action)
        return None

    def _change(self, action: Action) -> None:
        """A change of the model, with its results."""
        self.dial(action.value)
        self.in_work(pipeline.repro)
        self._push(action)

    def _stale(self, action: Action) -> None:
        """A change of the model without its results."""
        self.dial(action.value)
        self._push(action)

    def _code(self, action: Action) -> None:
        """A change of the code that serves."""
        (self.work / SERVED).write_text(f"FEATURES = ()  # {action.value}\n")
        self._push(action)

    def _note(self, action: Action) -> None:
        (self.work / "README.md").write_text(f"{action.value}\n")
        self._push(action)

    def _revert(self, action: Action) -> None:
        """Take back one of the last commits, if that is possible without a conflict."""
        commits = git(self.work, "rev-list", "--first-parent", "HEAD").splitlines()
        at = int(action.value)
        if at + 1 >= len(commits):
            return
        git(self.work, "revert", "--no-edit", commits[at], check=False)
        if git(self.work, "status", "--porcelain", "--untracked-files=no"):
            git(self.work, "revert", "--abort", check=False)
            return
        self._push(action)

    def _deploy(self, action: Action) -> None:
        self.press("deploy.yml", action, version=action.value, environment=action.environment)

    def _rollback(self, action: Action) -> None:
        self.press("rollback.yml", action, environment=action.environment, to=action.value)

    def _drill(self, action: Action) -> None:
        self.press("drill.yml", action)

    def _monday(self, action: Action) -> None:
        """A week after the last one a period arrives, or is late; the clock starts the weekly check."""
        if not self.steps.count:  # no run is at work
            self.steps.now = self.week = max(self.week + WEEK, self.steps.now)
        self.standins.source.arrived += int(action.value)
        self._clock("drift.yml")

    def _correct(self, action: Action) -> None:
        """The source corrects rows of a period."""
        known = self.standins.source.periods()
        self.standins.source.corrected[known[int(action.value) % len(known)]] += 1

    def _batch(self, action: Action) -> None:
        self._clock("batch.yml")

    def _clock(self, file: str) -> None:
        ref, sha = "refs/heads/main", self.repo.sha("main")
        payload = {"schedule": "", "workflow": file, "repository": self.hub.about(self.repo)}
        event = Event("schedule", self.repo.name, ref, sha, payload, "github-actions[bot]")
        self.started.append(event)
        self.hub.events.append(event)

    def proposals(self) -> list[int]:
        """The numbers of the retraining pull requests that are open."""
        pulls = [pull for pull in self.repo.pulls.values() if pull["state"] == "open"]
        return [pull["number"] for pull in pulls if pull["head"]["ref"].startswith("retrain/")]

    def _merge(self, action: Action) -> None:
        """Merge the retraining pull request, unless it conflicts; without a ruleset whatever its checks say."""
        for number in self.proposals():
            pull = self.repo.pulls[number]
            if rulesets.by_pull_request(self.repo, "main"):
                people.press(self, pull, action._replace(environment="merge"))
                continue
            pull["head"]["sha"] = self.repo.sha(pull["head"]["ref"])
            if tree := self.hub.merged(self.repo, pull):
                parents = ["-p", self.repo.sha("main"), "-p", pull["head"]["sha"]]
                merged = git(self.repo.path, "commit-tree", tree, *parents, "-m", f"Merge pull request #{number}")
                git(self.repo.path, "update-ref", f"refs/pull/{number}/merge", merged)
                known = len(self.hub.events)
                self.hub.merge(self.repo, number, action.who)
                self.started += self.hub.events[known:]
                git(self.work, "pull", "--quiet", "--ff-only", "origin", "main")

    def _close(self, action: Action) -> None:
        for number in self.proposals():
            self.repo.pulls[number]["state"] = "closed"

    def _promote(self, action: Action) -> None:
        self.press("promote.yml", action)

    def _again(self, action: Action) -> None:
        """Start an old run again, with the commit that it had."""
        if self.started:
            old = self.started[int(action.value) % len(self.started)]
            self.hub.events.append(replace(old, actor=action.who))

    def press(self, file: str, action: Action, **inputs: str) -> None:
        """Start a workflow by its button."""
        ref = "refs/heads/main"
        payload = {"inputs": inputs, "ref": ref, "workflow": file, "repository": self.hub.about(self.repo)}
        event = Event("workflow_dispatch", self.repo.name, ref, self.repo.sha(ref), payload, action.who)
        self.started.append(event)
        self.hub.events.append(event)

    def dial(self, value: str, setting: str = "l2_regularization") -> None:
        settings = yaml.safe_load((self.work / workspace.PARAMS).read_text())
        settings["train"][setting] = float(value)
        (self.work / workspace.PARAMS).write_text(yaml.safe_dump(settings, sort_keys=False))

    def in_work(self, call) -> None:
        at = Path.cwd()
        os.chdir(self.work)
        try:
            call()
        finally:
            os.chdir(at)

    def _push(self, action: Action) -> None:
        if rulesets.by_pull_request(self.repo, "main"):
            return self._instead(action)
        self.steps.edge("a push")
        git(self.work, "add", "--all")
        if git(self.work, "status", "--porcelain"):
            git(self.work, "commit", "--quiet", "--message", str(action))
        before = refs(self.repo.path)
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        known = len(self.hub.events)
        self.hub.pushed(self.repo, before, Token(action.who, self.repo.name, "person"))
        self.started += self.hub.events[known:]
        return None

    def _instead(self, action: Action) -> None:
        """The push is refused (GH013), so its commits become a pull request."""
        branch = f"{people.BRANCH}{self.hub.number()}"
        git(self.work, "checkout", "--quiet", "-b", branch)
        people.send(self, branch, action)
        git(self.work, "checkout", "--quiet", "-B", "main", "origin/main")
        request = {"head": branch, "base": "main", "title": str(action)}
        self.direct = people.told(self, lambda: self.hub.open_pull(self.repo, request, people.person(self, action)))
