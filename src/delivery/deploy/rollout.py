"""The order of a deployment and of a rollback, the same for every target: whatever fails, what served before serves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary, own_metrics, signals, traffic
from delivery.deploy.own_metrics import Ask
from delivery.deploy.targets.target import Release, Target

Fetch = Callable[[], Path]
"""Put the files of a release on this disk; return the folder of its export/ and release/."""
MANY = 0.01  # share of the last hour's requests that a rollback may refuse: what is left is known to be bad
NOTHING_BEFORE = "Nothing served before, so there was nothing to compare with: no canary."


def deploy(
    target: Target,
    release: Release,
    fetch: Fetch,
    percent: int,
    settings: params.Canary,
    record: Callable[[float], None],
    *,
    ask: Ask = own_metrics.none,
    anyway: bool = False,
) -> tuple[str, list[str]]:
    """Start a release next to what serves, check it, and let it take over; with a `percent`, as a canary first.

    `record` gets the seconds since the start once the release has all traffic; `ask` asks a team's own metrics.
    Return the version that is kept warm and what there is to tell about the canary. Raise `Failure` if anything fails; what
    served before serves then.
    """
    begun, before = time.monotonic(), target.serving()
    with returning(target):
        say(target, f"starting version {release.version}")
        target.start(release, fetch())
        say(target, "it is ready; checking its contract")
        target.check()
        admit(target, settings.max_error_rate, traffic.REQUESTS, anyway=anyway)
        lines = []
        if percent:
            lines = canary.run(target, percent, settings, ask) if before else [NOTHING_BEFORE]
        target.take_over(canary.judge(release.version, settings.max_error_rate))
        target.check()
        say(target, "it has taken over")
        record(time.monotonic() - begun)
    return target.finish(), lines


def roll_back(
    target: Target,
    to: str,
    choose: Callable[[], tuple[Release, Fetch]],
    owe: Callable[[Release, float], None],
    failed: Callable[[Release, str], None],
    *,
    anyway: bool = False,
) -> Release:
    """Return an environment to the version that served before, or to version `to`.

    A version that still runs takes over before anything else is read: `choose`, which asks the registry, takes longer.
    `owe` gets the release and the seconds since the start: it keeps what is to be recorded, and does not fail. On a host
    it is called before the switch, too: what is killed from then on is finished by the next command, since the version
    that serves is known to be bad. The registry is told afterwards, when nothing leads back any more. `failed` gets the
    release and the reason if it does not come to that. Raise `Failure` if anything fails; what served before serves then.
    """
    begun, release = time.monotonic(), None
    try:
        with returning(target):
            release = target.resume(to)
            if release is None:
                release, fetch = choose()
                if target.serves(release.version):  # a killed command came that far
                    owe(release, time.monotonic() - begun)
                    return release
                say(target, f"starting version {release.version}")
                target.start(release, fetch())
                target.check()
            admit(target, MANY, traffic.HURRY, anyway=anyway)
            if target.folder:
                owe(release, time.monotonic() - begun)
            target.take_over(None)
            say(target, f"version {release.version} answers")
            target.check()
            owe(release, time.monotonic() - begun)
    except Failure as failure:
        if release:
            failed(release, str(failure))
        raise
    target.finish(rolled_back=True)
    return release


@contextmanager
def returning(target: Target) -> Iterator[None]:
    """Restore what served before if anything goes wrong within, and say so in the `Failure`.

    A signal that ends the verb is undone in a hurry: whoever sent it kills the verb a few seconds later.
    """
    before = target.serving()
    try:
        yield
    except BaseException as error:
        left = ""
        try:
            with signals.held_off():
                target.undo(hurry=not isinstance(error, Exception))
        except (Failure, OSError) as second:
            left = f"; the next deployment removes what is left of the other one ({second})"
        kept = remaining(target, before) + left
        if isinstance(error, Exception):
            raise Failure(f"{reason(error)}; {kept}") from error
        print(f"{target.environment}: {kept}")
        raise


def remaining(target: Target, before: str) -> str:
    """Return what serves after an undo, asked now: a version that does not answer must not be said to serve."""
    name = target.environment
    if not before:
        return f"nothing serves {name}, as before"
    try:
        serves = target.serves(before)
    except (Failure, OSError):
        serves = False
    if serves:
        return f"version {before} still serves {name}"
    return f"version {before} should serve {name} and does not answer; see `delivery status {name}`"


def reason(error: Exception) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][2])  # the first of the files that could not be copied
    return (str(error).splitlines() or [type(error).__name__])[0]


def admit(target: Target, most: float, count: int, *, anyway: bool) -> None:
    """Raise `Failure` if the candidate refuses more of the newest `count` requests than the share `most`, unless `anyway`."""
    if text := traffic.refuse(target.folder, most, count=count, anyway=anyway):
        say(target, text)


def say(target: Target, text: str) -> None:
    """Print a step of the rollout at once."""
    print(f"{target.environment}: {text}", flush=True)
