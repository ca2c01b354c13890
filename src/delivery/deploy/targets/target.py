"""What a deployment asks of a place where an environment lasts. Each kind of place is a module of `targets/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType

from delivery.deploy.targets.counts import Counts

Judge = Callable[[Counts, Counts], str]
"""What is wrong with the requests that a version answered, next to those of the one before; empty if nothing is."""


class Release(Struct, frozen=True):
    """A version as something to run."""

    version: str
    model: str
    """Digest of the exported model."""
    image: str = ""
    """`name@digest`; empty: a process of this host."""
    commit: str = ""


class Report(Struct, frozen=True):
    """What a place says that it serves now."""

    address: str
    trouble: str
    """What is wrong and what to do; empty if nothing is."""
    warm: str = ""
    """Version that is kept warm."""
    answers: str = ""
    """Versions that answer clients now, as they were started; empty if none does, or where it is not asked."""
    serving: Struct | UnsetType | None = UNSET
    """The slot that serves, where a target has slots."""


class Target(Protocol):
    """An environment that lasts, while one command changes it.

    From `start` or `resume` on it has a candidate next to what serves. `finish` makes the change final; until then
    `undo` restores what served before. Every method raises `Failure` if the place refuses or does not answer.
    """

    environment: str
    removed: str
    """Version that a killed command had put in front of clients without being final, and that `settle` has removed."""

    @property
    def folder(self) -> Path | None:
        """Where the environment's own files are on this machine; None if it has none."""

    @property
    def address(self) -> str:
        """URL that clients use; empty if unknown."""

    @property
    def location(self) -> str:
        """Where the environment serves, in words that follow a verb: `at http://127.0.0.1:8000`."""

    def settle(self, pointed: Callable[[], str], *, rolled_back: bool = False) -> None:
        """Finish or undo what a killed command left.

        `pointed` returns the version that is meant to serve; it is called only if there is something left.
        `rolled_back` says that it came there by a rollback.
        """

    def serving(self) -> str:
        """Return the version that is meant to serve, whether or not it answers; empty if there is none."""

    def serves(self, version: str) -> bool:
        """Return whether this version serves, and answers."""

    def owed(self) -> bytes:
        """Return what `owe` has kept; empty if nothing."""

    def owe(self, content: bytes) -> None:
        """Keep records for the registry where the environment is, in place of those before; empty: keep none."""

    def start(self, release: Release, version_files: Path) -> None:
        """Start a candidate and wait until it is ready; it gets no traffic yet.

        `version_files` is the folder of its export/ and release/ on this disk.
        """

    def resume(self, version: str) -> Release | None:
        """Make the version that served before the candidate if it still runs, and return it; else return None.

        With an empty `version` any will do, but one that was rolled back. Quick: it reads nothing but the target.
        """

    def check(self) -> None:
        """Check the candidate against its contract; once it has taken over, what took over."""

    def shift(self, percent: int) -> None:
        """Send this share of the traffic to the candidate."""

    def counts(self) -> tuple[Counts, Counts]:
        """Return what the version that serves has answered so far, and what the candidate has."""

    def choice(self) -> str:
        """Return what a person has chosen for a canary since the last call: a share, `end`, or nothing yet."""

    def take_over(self, judge: Judge | None) -> None:
        """Send all traffic to the candidate, and let `judge` watch it for a while where the target can."""

    def finish(self, *, rolled_back: bool = False) -> str:
        """Keep the candidate and let go of what served before; return the version that is kept warm, or empty.

        `rolled_back` says that what served before was left for a reason.
        """

    def remove(self) -> None:
        """Stop everything that serves the environment."""

    def undo(self, *, hurry: bool = False) -> None:
        """Restore what served before and remove the candidate. Do nothing if there is none.

        In a `hurry` requests that the candidate has in progress get a second, not the time that a drain may take.
        """
