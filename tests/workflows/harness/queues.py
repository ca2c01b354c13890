"""GitHub's concurrency groups: which runs go on, which wait, and which are cancelled by a later one.

docs.github.com: actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency. One simplification:
a run enters the groups of its jobs when it starts, and where one of its jobs is cancelled, all of it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import callers, expressions

Json = dict[str, Any]
MOST = 100  # that wait in a group with `queue: max`


@dataclass(frozen=True)
class Group:
    """A group as one run enters it."""

    name: str
    cancels: bool  # the run in progress
    most: int  # that may wait


@dataclass(eq=False)
class Entry:
    """A run from its start to its end. It is carried out once it is in all of its groups and its reviewers have approved."""

    file: str
    event: Any
    record: Json
    ahead: list[Group] = field(default_factory=list)  # still to be entered, in this order
    held: list[str] = field(default_factory=list)
    approvals: set[str] = field(default_factory=set)  # environments whose reviewers have to approve
    environments: dict[str, str] = field(default_factory=dict)  # by the id of the job
    free: list[str] = field(default_factory=list)  # jobs that wait for neither groups nor reviewers nor other jobs


def group(concurrency: Any, contexts: Json) -> Group:
    """`concurrency` as a workflow or job says it. Names are equal whatever their case."""
    about = concurrency if isinstance(concurrency, dict) else {"group": concurrency}
    cancels = expressions.filled(about.get("cancel-in-progress", False), contexts) is True
    queue = about.get("queue", "single")
    assert queue in ("single", "max"), queue
    assert not (cancels and queue == "max"), "GitHub takes `queue: max` only where nothing in progress is cancelled"
    name = expressions.string(expressions.filled(about["group"], contexts)).lower()
    return Group(name, cancels, MOST if queue == "max" else 1)


def jobs(document: Json, contexts: Json, called: Callable[[str], Json | None], *,
         skipped: bool = False) -> Iterator[tuple[str, Json, Json]]:  # fmt: skip
    """Each job by its id, those of called workflows instead of their callers, with its contexts.

    Without those that are skipped from the start: such a job does not enter its own group, though its run is in the
    workflow's.
    """
    for name, job in document["jobs"].items():
        if not skipped and not expressions.true(job.get("if", True), contexts):
            continue
        theirs = called(job["uses"]) if "uses" in job else None
        if "concurrency" in job or theirs is None:
            yield name, job, contexts
        if theirs:
            given = {name: expressions.filled(text, contexts) for name, text in (job.get("with") or {}).items()}
            yield from jobs(theirs, contexts | {"inputs": callers.defaults(theirs) | given}, called, skipped=skipped)


class Queues:
    """The groups of one repository, and the runs that are ready to be carried out, in order."""

    def __init__(self, cancelled: Callable[[Entry], object]) -> None:
        self.cancelled = cancelled  # is told of each run that ends so
        self.running: dict[str, Entry] = {}  # by group
        self.waiting: dict[str, list[Entry]] = {}
        self.ready: list[Entry] = []
        self.held_back: list[Entry] = []  # for their reviewers, in the groups that they have entered

    def start(self, entry: Entry) -> None:
        """Enter the next group, or wait for it; with all of them the run is ready."""
        while entry.ahead:
            first = entry.ahead[0]
            if first.cancels:
                self._cancel_all(first.name)
            if first.name in self.running:
                return self._wait(entry, first)
            self._take(entry)
        (self.held_back if entry.approvals else self.ready).append(entry)
        entry.record["status"] = "waiting" if entry.approvals else "queued"
        return None

    def approve(self, environment: str) -> None:
        """The reviewers of an environment let the runs go on that wait for them."""
        for entry in list(self.held_back):
            entry.approvals.discard(environment)
            if not entry.approvals:
                self.held_back.remove(entry)
                self.ready.append(entry)
                entry.record["status"] = "queued"

    def end(self, entry: Entry) -> None:
        """Leave all groups; each goes to whoever has waited longest."""
        held, entry.held = entry.held, []  # a run that was cancelled at work has left them already
        for name in held:
            del self.running[name]
        for name in held:
            if name not in self.running and self.waiting.get(name):
                following = self.waiting[name].pop(0)
                self._take(following)
                self.start(following)

    def cancel(self, entry: Entry) -> None:
        for entries in [*self.waiting.values(), self.ready, self.held_back]:
            if entry in entries:
                entries.remove(entry)
        self.cancelled(entry)
        self.end(entry)

    def _take(self, entry: Entry) -> None:
        first = entry.ahead.pop(0)
        assert first.name not in self.running, f"a run would wait for itself: {first.name}"
        self.running[first.name] = entry
        entry.held.append(first.name)

    def _wait(self, entry: Entry, first: Group) -> None:
        """The older waiting one gives way; a full queue takes no more."""
        assert self.running[first.name] is not entry, f"a run waits for itself: {first.name}"
        entry.record["status"] = "pending"
        waiting = self.waiting.setdefault(first.name, [])
        if len(waiting) < first.most:
            waiting.append(entry)
        elif first.most == 1:
            self.cancel(waiting[0])
            waiting.append(entry)
        else:
            self.cancel(entry)

    def _cancel_all(self, name: str) -> None:
        """With `cancel-in-progress`: whoever waits, and then whoever runs."""
        for entry in list(self.waiting.get(name, [])):
            self.cancel(entry)
        if name in self.running:
            self.cancel(self.running[name])
