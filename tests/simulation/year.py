"""A seed as a list of actions, and their performance with every invariant checked after each run."""

import contextlib
import functools
import io
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from harness import rules
from harness.hub import Json, Repo
from harness.queues import Entry
from harness.router import Router
from harness.runner import Run

from delivery.__main__ import main
from simulation import ROOT, contributions, endings, losses, operations, owners, rulesets
from simulation.clones import checkout
from simulation.deliveries import Deliveries
from simulation.hosts import RATE
from simulation.invariants import ENVIRONMENTS, Watch, concerns
from simulation.liveness import Liveness
from simulation.steps import Steps
from simulation.violation import Violation
from simulation.world import Action, World

PEOPLE = ("ada", "bob", "eve")
GOOD = "1000003"  # a model that passes the gate
MEMORY, ROOM = Path("/dev/shm"), 1 << 30
SHARES = {
    "change": 8, "code": 2, "note": 2, "stale": 1, "revert": 2, "deploy": 7, "older": 2, "rollback": 4, "return": 1,
    "promote": 1, "again": 3, "drill": 1, "merge": 2, "close": 0.3, "propose": 4, "more": 2, "redo": 1, "land": 5,
    "abandon": 0.5, "correct": 2, **contributions.DRAWN,
    **losses.DRAWN, **operations.DRAWN,
}  # fmt: skip
BY_NUMBER = {"older": "deploy", "return": "rollback"}
FAULTS = (
    "killed", "killed", "killed", "cancelled", "cancelled", "overtaken", "overtaken", "overtaken", "api", "hiccup", "api down",
    "api limit", "limited", "full", "ahead", "behind",
)  # fmt: skip
LONGEST = dict.fromkeys(
    ("change", "code", "promote", "revert", "merge"), 110
)  # steps of a promotion; others are shorter


def plan(seed: int, weeks: int) -> list[Action]:
    """What happens in these weeks: three to five actions in each, every fourth with a fault."""
    chance = random.Random(seed)
    made = [owners.drawn(Action("plan", "owner"), chance), rulesets.drawn(Action("rules", "owner"), chance)]
    for week in range(weeks):
        arrives = str(int(chance.random() < 0.9))
        made.append(Action("monday", "clock", arrives, fault=_fault(chance, 40)))
        if week % 4 == 2:
            made.append(Action("batch", "clock", fault=_fault(chance, 20)))
        made += [_action(chance) for _ in range(chance.randint(3, 5))]
    return made


def _fault(chance: random.Random, most: int) -> tuple[str, int] | None:
    return (chance.choice(FAULTS), chance.randint(1, most)) if chance.random() < 0.3 else None


def _action(chance: random.Random) -> Action:
    (what,) = chance.choices(list(SHARES), list(SHARES.values()))
    who = chance.choice(PEOPLE)
    environment = chance.choice(("production", "production", "staging"))
    fault = _fault(chance, LONGEST.get(what, 60))
    number = str(chance.randint(1, 9))
    made = Action(what, who, fault=fault)
    if what in ("change", "stale", "code", "note"):
        return made._replace(value=str(chance.randint(1, 10**6)))
    if what in contributions.DRAW:
        return contributions.DRAW[what](made, chance)
    if what == "deploy":
        return made._replace(value="staging", environment="production")
    if what == "rollback":
        return made._replace(environment=environment)
    if what in BY_NUMBER:
        return made._replace(what=BY_NUMBER[what], value=number, environment=environment)
    return made._replace(value=number) if what in ("revert", "again", "abandon", "correct") else made


@functools.cache
def documents() -> dict[str, Json]:
    """The workflow files by their names."""
    return {path.name: rules.load(path.read_text()) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}


class History(NamedTuple):
    """What has happened, a line for each action and run, and the rule that did not hold, if any."""

    lines: list[str]
    violation: Violation | None


class Watched(Router):
    """A router whose every run is watched."""

    watch: Watch
    live: Liveness
    deliveries: Deliveries
    lines: list[str]
    steps: Steps
    at_work: list[Entry]
    stopped: list[Entry]  # that a person has cancelled at work

    def _workflows(self, repo: Repo, ref: str) -> dict[str, Json]:
        """Nobody changes .github here, so it is read once."""
        return documents()

    def cancelled_at_work(self) -> bool:
        """Whether the innermost run was cancelled, by a later one of its group or by a person."""
        return self.at_work[-1].record["status"] == "completed" or self.at_work[-1] in self.stopped

    def _ended(self, entry: Entry, result: Run) -> Run:
        """A run that was cancelled at work has ended already."""
        return result if entry.record["status"] == "completed" else super()._ended(entry, result)

    def execute(self, entry: Entry) -> Run:
        struck = len(self.steps.fired)
        self.watch.busy.append(concerns(entry))
        self.at_work.append(entry)
        run = super().execute(entry)
        self.at_work.pop()
        self.watch.busy.pop()
        fault = "; ".join(self.steps.fired[struck:])
        jobs = " ".join(f"{name}={state}" for name, state in run.jobs.items() if state != "skipped")
        self.lines.append(f"    {run.workflow} by {entry.event.actor}: {jobs}" + (f" [{fault}]" if fault else ""))
        if self.steps.lost and not losses.replaced(self.watch.repo, self.steps.lost):
            self.watch.told(run, fault)
            return run
        self.steps.lost = ""
        before = self.watch.last.get(owners.REVIEWED, "")
        self.watch.after(entry, run, fault)
        owners.refuse(self.watch.repo, entry, before, self.watch.last.get(owners.REVIEWED, ""))
        self.live.after(entry, run, fault)
        self.deliveries.after(entry, run, fault)
        serving = " ".join(f"{name}={number}" for name, number in self.watch.last.items())
        self.lines[-1] += f" -> {serving}"
        return run


def perform(actions: list[Action]) -> History:
    """Let them happen in a new repository."""
    memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="year-", dir=MEMORY if memory else None)).resolve()
    chance = random.getstate()
    random.seed(0)  # of the times that a verb waits before it tries again, and so of the clock
    try:
        return _performed(actions, folder)
    finally:
        random.setstate(chance)
        shutil.rmtree(folder, ignore_errors=True)


def _performed(actions: list[Action], folder: Path) -> History:
    world = World(folder, Watched)
    router, pending, lines = world.router, list(actions), list[str]()
    router.lines, router.steps, router.at_work, router.stopped = lines, world.steps, [], []
    world.steps.cancelled = router.cancelled_at_work

    def next_one(*, aside: bool = False) -> None:
        action = pending.pop(0)
        lines.append(f"{'  meanwhile ' if aside else ''}{action}")
        if aside:
            world.act(action)
            router.settle()
        else:
            world.do(action)

    world.steps.between = lambda: next_one(aside=True) if pending else None
    with world.open():
        router.watch = Watch(
            world.steps, world.repo, world.proposals, lambda environment: asked(world, ["status", environment])[0] != 0,
            world.standins.source,
        )  # fmt: skip
        router.live, router.deliveries = Liveness(router.watch), Deliveries(router.watch)
        try:
            while pending and pending[0].what == "plan":
                next_one()
            world.do(Action("change", value="1000000"))
            while pending:
                next_one()
                stuck(world)
            still_delivers(world, router.watch)
        except Violation as violation:
            return History(lines, violation)
    return History(lines, None)


def stuck(world: World) -> None:
    """Raise `Violation` if a run waits although none is at work."""
    for each in world.router.queues.values():
        if owners.waits(each):
            raise Violation("nothing is stuck", f"{sorted(each.running)} are held")


def still_delivers(world: World, watch: Watch) -> None:
    """A good change, without a fault, gets to staging and to production, and every verb that reads finds all in order."""
    world.router.lines.append("at the end what is open is merged")
    world.steps.hosts.still(RATE)
    world.do(Action("restore"))
    world.do(Action("approve"))  # whatever still waits
    endings.merged(world)
    world.router.lines.append("and then a good change")
    for action in (
        Action("change", value=GOOD),
        Action("deploy", value="staging", environment="production"),
        Action("approve"),
    ):
        world.do(action)
    ran = [run for run in world.router.runs if run.workflow in ("promote", "deploy")][-2:]
    ends = [(run.workflow, run.conclusion) for run in ran]
    if ends != [("promote", "success"), ("deploy", "success")]:
        failed = "\n".join(run.failed[-1500:] for run in ran)
        raise Violation("a good change is delivered", f"{ends}\n{failed}")
    code, printed = asked(world, ["status"], ["audit"], ["history"])
    if code:
        raise Violation("the records are in order at the end", printed[-1500:])
    for environment in ENVIRONMENTS:
        watch.deployments(environment)
    for _ in range(2):  # schedules, in which whatever is open has to be looked at
        world.do(Action("monday", "clock", "0"))
    while left := watch.unscored():
        world.do(Action("batch", "clock"))
        if watch.unscored() == left:
            break
    if left:
        raise Violation("each period is scored", f"{', '.join(left)} is not, however often the clock starts it")


def asked(world: World, *verbs: list[str]) -> tuple[int, str]:
    """What a person gets who asks verbs in a new clone: the worst exit code, and the words."""
    folder = world.folder / "asked" / "demo"
    folder.mkdir(parents=True)
    printed = io.StringIO()
    with world.steps.aside(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        checkout(world.repo, folder, world.repo.sha("main"))
        os.chdir(folder)
        main(["store", "pull"])
        code = max(main(words) for words in verbs)
    shutil.rmtree(folder.parent)
    return code, printed.getvalue()
