"""What must hold of canaries and drills: clients get one version in the end, not one that fails, and the one a drill has proven."""

import re

from harness.queues import Entry
from harness.runner import Run

from delivery.deploy.targets.host import OWED
from delivery.registry.version import drilled, pick
from simulation.invariants import ENVIRONMENTS, Watch, concerns
from simulation.violation import Violation

PRODUCTION = "production"
UNHINDERED = ("overtaken", "cancelled")  # what ends a run, and lets it undo what it began
PROVEN = re.compile(r"✅ `(\w+)` can be rolled back to version (\d+)")


class Deliveries:
    """What drills have proven, and what clients got at the end of the last run."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.proven: dict[str, tuple[str, str]] = {}  # by environment: the version to roll back to, and from
        self.last: dict[str, str] = {}

    def after(self, entry: Entry, run: Run, fault: str) -> None:
        """Raise `Violation` if a rule is broken."""
        environment, calm = concerns(entry), not fault and not self.watch.busy
        before, self.last = self.last, {name: self.watch.serves(name) for name in {*ENVIRONMENTS, *self.proven}}
        if environment == PRODUCTION and not fault.startswith("killed"):
            self.one_answers(run, fault)
        inputs = entry.event.payload.get("inputs", {})
        if inputs.get("canary") and not self.watch.busy:
            self.judged(before.get(PRODUCTION, ""), self.last[PRODUCTION])
        if entry.file == "rollback.yml" and calm and not inputs["to"]:
            self.kept(environment, before.get(environment, ""), run)
        self.proven = {name: proof for name, proof in self.proven.items() if proof[1] == self.watch.serves(name)}
        if entry.file == "drill.yml" and calm:
            self.drilled(run)

    def judged(self, before: str, now: str) -> None:
        """Raise `Violation` if a canary has let a version by that fails what clients ask, which the one before did not."""
        if before and now and now != before and self.fails(now) and not self.fails(before):
            raise Violation("no canary lets a failing version by", f"version {now} serves, and fails what clients ask")

    def fails(self, number: str) -> bool:
        return pick(self.watch.known, number).digest in self.watch.steps.hosts.failing

    def one_answers(self, run: Run, fault: str) -> None:
        """Raise `Violation` if a run leaves a share of traffic with a second version.

        Where something has kept it from undoing that, such as a full disk, `status` has to tell.
        """
        home = self.watch.steps.folder / "hosts" / self.watch.repo.name.partition("/")[2] / PRODUCTION
        shares = self.watch.steps.hosts.shares(home.resolve())
        undone = run.conclusion == "success" or fault.startswith(UNHINDERED) or not fault
        if len(shares) > 1 and (undone or not self.watch.status(PRODUCTION)):
            raise Violation(
                "a canary ends with its run", f"{run.workflow} leaves the traffic of production at {shares}"
            )

    def kept(self, environment: str, before: str, run: Run) -> None:
        """Raise `Violation` if a rollback does not get to the version that a drill has proven."""
        number, left = self.proven.get(environment, ("", ""))
        if number and left == before and run.conclusion != "cancelled" and self.watch.serves(environment) != number:
            text = f"{environment} is not at version {number}\n{run.failed[-1500:]}"
            raise Violation("a rollback that a drill has proven succeeds", text)

    def drilled(self, run: Run) -> None:
        """Keep what a drill has proven. Raise `Violation` if it is not on record."""
        self.proven = {}
        for environment, number in PROVEN.findall(run.log):
            home = self.watch.steps.folder / "hosts" / self.watch.repo.name.partition("/")[2] / environment
            if not (home / OWED).exists():  # else the next rollback is taken for a killed one that is repeated
                self.proven[environment] = (number, self.watch.serves(environment))
            done = drilled(pick(self.watch.known, number), environment)
            if done is None or done.failure:
                raise Violation("a drill is on record", f"version {number} says {done} of {environment}")
