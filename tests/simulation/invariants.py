"""What must hold after each run, asked of what people and clients see: services, the store, Deployments, the runs' words."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from harness.gitserver import git
from harness.hub import Json
from harness.queues import Entry
from harness.runner import Run

from delivery.adapters.batch_records import ABOUT, PREDICTIONS, Scored
from delivery.core.params import Batch
from delivery.drift.policy import JUDGED
from delivery.registry.version import Event, Version, aliased, events, from_tags, pick, rolled_back
from simulation import people
from simulation.periods import Source
from simulation.steps import Steps
from simulation.violation import MINIMUM, Violation

ENVIRONMENTS = ("production", "staging")
CAUSES = (
    "error: ",
    "❌",
    "of this commit are not what its code, params and data give",
)  # an error, a rule of the gate, results that are stale
RECORD, LIMIT = (ABOUT, PREDICTIONS), Batch().max_periods
DESCRIPTION = re.compile(r"version (\d+)$")


def concerns(entry: Entry) -> str:
    """The environment that a run may move; empty if none."""
    inputs = entry.event.payload.get("inputs", {})
    return {"promote.yml": "staging"}.get(entry.file, inputs.get("environment", ""))


class Watch:
    """What was seen so far of one repository."""

    def __init__(self, steps: Steps, repo, proposals, status, source: Source) -> None:
        self.steps, self.repo, self.proposals, self.status, self.source = steps, repo, proposals, status, source
        self.records: dict[str, str] = {}  # what batches have left in the store: the blob of each file
        self.abouts: list[Scored] = []
        self.checks: list[str] = []  # lines of the log of drift decisions
        self.content: Json = {}
        self.known: list[Version] = []
        self.releases: dict[str, str] = {}
        self.moves: set[tuple[str, str, str]] = set()
        self.left: dict[str, set[str]] = defaultdict(set)  # versions that an environment was rolled back from
        self.busy: list[str] = []  # environments of the runs at work
        self.marked: dict[str, set[str]] = defaultdict(set)  # versions that say so
        self.last: dict[str, str] = {}  # what has served at the end of the last run

    def look(self) -> None:
        """Read the registry of the branch `store`."""
        text = git(self.repo.path, "show", "store:mlflow/mlflow.db", check=False)
        if not text:
            return
        self.content = json.loads(text)
        names = self.content["aliases"].items()
        self.known = [
            from_tags(number, entry["tags"], [name for name, other in names if other == number], run=entry["run"])
            for number, entry in self.content["versions"].items()
        ]

    def serves(self, environment: str) -> str:
        """The version that clients of an environment get; of a rehearsed one what its alias says."""
        home = self.steps.folder / "hosts" / self.repo.name.partition("/")[2] / environment
        lasting = home.exists() or environment == "production"
        return self.steps.hosts.answers(home.resolve()) if lasting else self.alias(environment)

    def alias(self, environment: str) -> str:
        version = aliased(self.known, environment)
        return version.number if version else ""

    def after(self, entry: Entry, run: Run, fault: str) -> None:
        """Check everything. `fault` names what has struck the run, if anything has."""
        self.look()
        new = self.nothing_lost()
        for environment in ENVIRONMENTS:
            if environment in self.busy:
                continue  # a run that was overtaken is still changing it
            now, before = self.serves(environment), self.last.get(environment, "")
            self.last[environment] = now  # of a run that was overtaken by another: since the other's end
            if now != before:
                self.moved(environment, before, now, entry.file)
            self.marks(environment, before)
            if now:
                self.good(environment, now)
            for event in new:
                if (event.environment, event.outcome) == (environment, "failed"):
                    self.failed(event, now, before)
        self.decided()
        self.scored(run, fault)
        people.one_comment(self.repo)
        if run.workflow == "ci":
            people.own_results(self.repo)
        self.told(run, fault)
        concerned = concerns(entry)
        if concerned and not fault.startswith(("killed", "cancelled")):
            self.agree(concerned, run, fault)

    def nothing_lost(self) -> list[Event]:
        """Return the new events."""
        releases = {version.number: version.release for version in self.known}
        if lost := self.releases.items() - releases.items():
            raise Violation("nothing is lost", f"versions {sorted(number for number, _ in lost)} are gone or another")
        found = {(event.time, event.environment, event.version): event for event in events(self.known)}
        if gone := self.moves - found.keys():
            raise Violation("nothing is lost", f"history has no {min(gone)} any more")
        new = [event for key, event in found.items() if key not in self.moves]
        self.releases, self.moves = releases, set(found)
        return new

    def decided(self) -> None:
        """No decision is lost or made twice in two ways, and at most one proposal is open."""
        lines = git(self.repo.path, "show", "store:drift/log.jsonl", check=False).splitlines()
        if lines[: len(self.checks)] != self.checks:
            raise Violation("nothing is lost", f"{len(self.checks)} checks were on record; now there are {len(lines)}")
        self.checks = lines
        verdicts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in map(json.loads, lines):
            if entry["verdict"] in JUDGED:
                verdicts[entry["champion"], entry["month"]].add(entry["verdict"])
        if twice := [key for key, found in verdicts.items() if len(found) > 1]:
            raise Violation("a period is judged once", f"{twice[0]}: {verdicts[twice[0]]}")
        if len(opened := self.proposals()) > 1:
            raise Violation("at most one proposal is open", f"{opened}")

    def scored(self, run: Run, fault: str) -> None:
        """No record of a batch changes; a batch leaves no period unscored but for its limit, nor scores one twice."""
        listed = git(self.repo.path, "ls-tree", "-r", "store", "batch", check=False).splitlines()
        now = {path: blob for _, _, blob, path in map(str.split, listed)}
        if lost := self.records.items() - now.items():
            raise Violation("nothing is lost", f"the record {min(lost)[0]} is gone or another")
        new = sorted({str(Path(path).parent) for path in now.keys() - self.records.keys()})
        self.records = now
        if half := [folder for folder in new if any(f"{folder}/{name}" not in now for name in RECORD)]:
            raise Violation("a record is whole or absent", f"{half}")
        found = [git(self.repo.path, "show", f"store:{folder}/{ABOUT}") for folder in new]
        self.abouts += [msgspec.json.decode(text, type=Scored) for text in found]
        keys = Counter((about.month, about.version, about.inputs) for about in self.abouts)
        if twice := [key for key, number in keys.items() if number > 1]:
            raise Violation("each state of a period's rows is scored once", f"{twice}")
        whole = (run.workflow, run.conclusion, fault) == ("batch", "success", "") and not self.busy[:-1]
        if whole and len(new) < LIMIT and (left := self.unscored()):
            raise Violation("each period is scored", f"{', '.join(left)} is not\n{run.log[-2000:]}")

    def unscored(self) -> list[str]:
        """The periods whose rows, as they are now, the version that serves has not scored although it should have."""
        number = self.alias("production") or self.alias("staging")
        version, found = pick(self.known, number), []
        for period in self.source.periods():
            own = [about for about in self.abouts if (about.month, about.version) == (period, number)]
            first = min((datetime.fromisoformat(about.scored) for about in own), default=self.steps.now)
            rows = hashlib.sha256(self.source.rows(period).encode()).hexdigest()
            recent = self.steps.now - first < timedelta(days=Batch().reopen_days - 1)
            if period > version.data_until and recent and rows not in {about.inputs for about in own}:
                found.append(period)
        return found

    def failed(self, event: Event, now: str, before: str) -> None:
        """A deployment that is recorded as failed has not moved the environment."""
        if event.version == now != before:
            text = f"version {now} serves {event.environment}, history says that it failed: {event.reason}"
            raise Violation("what failed does not serve", text)

    def moved(self, environment: str, old: str, new: str, file: str) -> None:
        if file == "rollback.yml" and old:
            self.left[environment].add(old)  # what clients had, also of a deployment that was killed after its switch
        elif file == "promote.yml" and new in self.left[environment]:
            raise Violation("never back by itself", f"promote brings version {new} back to {environment}")
        elif file not in ("promote.yml", "deploy.yml", "rollback.yml"):
            raise Violation("only deliveries deliver", f"{file} moves {environment} from {old} to {new}")
        self.left[environment].discard(new)

    def marks(self, environment: str, before: str) -> None:
        """Only versions that clients had are marked as left."""
        marked = {version.number for version in self.known if rolled_back(version, environment)}
        if strangers := marked - self.marked[environment] - self.left[environment] - {before}:
            raise Violation("only what clients had is marked as left", f"{sorted(strangers)} in {environment}")
        self.marked[environment] = marked

    def good(self, environment: str, number: str) -> None:
        """What serves has passed every gate, and keeps its contract."""
        version = pick(self.known, number) if number in self.releases else None
        if version is None:
            raise Violation("what serves is registered", f"version {number} serves {environment}")
        auc = self.content["runs"][version.run]["metrics"]["auc"]
        if version.gate not in ("pass", "warn") or auc < MINIMUM:
            raise Violation("what serves passed the gate", f"version {number} in {environment}: {version.gate}, {auc}")
        if version.digest in self.steps.hosts.refuses:
            raise Violation("what serves keeps its contract", f"version {number} in {environment}")

    def told(self, run: Run, fault: str) -> None:
        if run.conclusion == "failure" and not fault and not any(sign in run.failed for sign in CAUSES):
            raise Violation("a red run names its cause", f"{run.workflow} {run.jobs}\n{run.failed[-2000:]}")
        if "Traceback" in run.failed:
            raise Violation("a red run names its cause", f"{run.workflow}:\n{run.failed[-3000:]}")

    def agree(self, environment: str, run: Run, fault: str) -> None:
        """Services, alias, audit and Deployments name one version, or `status` says that they do not."""
        serving, alias = self.serves(environment), self.alias(environment)
        moves = [
            event for event in events(self.known) if (event.environment, event.outcome) == (environment, "succeeded")
        ]
        audited = moves[-1].version if moves else ""
        if run.conclusion != "success":
            if serving != alias and not self.status(environment):
                text = f"{serving or 'nothing'} serves {environment}, the alias says {alias or 'nothing'}"
                raise Violation("status tells", f"{text}, and `delivery status` finds no trouble")
            return
        if not serving == alias == audited:
            text = f"{serving} serves {environment}, the alias says {alias}, the audit {audited}"
            raise Violation("records agree with what serves", text)
        if serving and (note := rolled_back(pick(self.known, serving), environment)):
            raise Violation("records agree with what serves", f"{serving} serves {environment} and is left: {note}")
        for number in self.left[environment]:
            if run.workflow == "rollback" and not rolled_back(pick(self.known, number), environment):
                raise Violation("a version that was left is marked", f"version {number} of {environment} is not")
        if run.workflow in ("deploy", "rollback") and not fault.startswith("api"):
            self.deployments(environment)

    def deployments(self, environment: str) -> None:
        """The newest Deployment has succeeded and is of what serves; no older one is open."""
        made = [entry for entry in self.repo.deployments.values() if entry["environment"] == environment]
        states = [entry["statuses"][-1]["state"] if entry["statuses"] else "open" for entry in made]
        alias = self.alias(environment)
        named = DESCRIPTION.search(made[-1]["description"]) if made else None
        if made and (states[-1] != "success" or (named and named[1] != alias)):
            text = f"{made[-1]['description']} is {states[-1]}, version {alias} serves {environment}"
            raise Violation("Deployments agree with what serves", text)
        if left := {"open", "in_progress"} & set(states):
            raise Violation("each Deployment ends", f"{environment} has one that is {left.pop()}")
