"""The structs of reports/compatibility.json: how two versions differ for their clients, and what came of asking both."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from delivery.core.bounds import ROWS, Count, Name, Number, Text

Kind = Literal[
    "added", "removed", "renamed", "now required", "now optional", "type", "range", "values", "form",
    "unknown fields", "limit", "answer", "classes", "status", "header", "token", "endpoint",
]  # fmt: skip
Broken = Literal["clients", "rollback"]
Acceptor = Literal["params", "label"]


class Change(Struct, frozen=True):
    """One difference between an old document and a new one; it is compatible if it breaks nothing.

    `clients`: a request of an old client is refused, or it cannot read the answer. `rollback`: the same of a new client,
    once the old version serves again.
    """

    kind: Kind
    place: Name
    before: Name = ""
    now: Name = ""
    breaks: Annotated[tuple[Broken, ...], Meta(max_length=2)] = ()


class Refusal(Struct, frozen=True):
    """Why requests were refused, and how many of them."""

    reason: Name
    requests: Count


class Replay(Struct, frozen=True):
    """What came of asking requests of one version of another one.

    Of the accepted ones `compared` had a known answer, and `equal` of these got the same; `largest` is the largest
    difference of a score.
    """

    requests: Count
    accepted: Count
    compared: Count = 0
    equal: Count = 0
    largest: Number = 0.0
    refusals: Annotated[tuple[Refusal, ...], Meta(max_length=ROWS)] = ()


class VersionResult(Struct, frozen=True):
    """The candidate against one version, which serves environments or is what they would be rolled back to.

    `forward` are requests of that version asked of the candidate, `back` the candidate's asked of that version: of its own
    code, or of its document if `unstarted` says why its code did not run. `drawn_forward` and `drawn_back` are the same with
    rows drawn from a document, of which only those count that its own version accepts. A reason in `skipped` means that
    nothing was compared, one in `beyond` that nothing of it is judged.
    """

    version: Name
    serves: Annotated[tuple[Name, ...], Meta(max_length=ROWS)] = ()
    rollback_of: Annotated[tuple[Name, ...], Meta(max_length=ROWS)] = ()
    changes: Annotated[tuple[Change, ...], Meta(max_length=ROWS)] = ()
    forward: Replay | None = None
    back: Replay | None = None
    drawn_forward: Replay | None = None
    drawn_back: Replay | None = None
    unstarted: Text = ""
    skipped: Text = ""
    beyond: Text = ""

    def broken(self) -> tuple[Change, ...]:
        """Return the changes that break something."""
        return tuple(change for change in self.changes if change.breaks)

    def refused(self) -> bool:
        """Return whether requests of its clients were refused, whatever the documents say."""
        replays = (self.forward, self.back, self.drawn_forward, self.drawn_back)
        return any(asked is not None and asked.accepted < asked.requests for asked in replays)

    def judged(self) -> bool:
        """Return whether it was compared, and a break with it is one."""
        return not (self.skipped or self.beyond)


class CompatibilityResult(Struct, frozen=True):
    """The candidate against every version that clients may meet before or after it.

    `accepted` is the reason that params.yaml or a label gives for a break, `unaccepted` what a label lacks; `reason` says
    why there is no version to compare with, and `unread` that the registry could not be read.
    """

    versions: Annotated[tuple[VersionResult, ...], Meta(max_length=ROWS)] = ()
    accepted: Text = ""
    accepted_by: Acceptor = "params"
    unaccepted: Text = ""
    reason: Text = ""
    unread: Text = ""

    def broken(self) -> tuple[VersionResult, ...]:
        """Return the judged versions with which something breaks."""
        return tuple(each for each in self.versions if each.judged() and (each.broken() or each.refused()))
