"""What `status` says of an environment of this host: asked of proxy and services, not read off records."""

from collections.abc import Iterator
from pathlib import Path

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy.targets import observed, proxy, slots, state
from delivery.deploy.targets.host import OWED, folder, local
from delivery.deploy.targets.state import State
from delivery.deploy.targets.target import Report


def inspected(environment: str, settings: params.Environment, _: params.Deploy, pointed: str | None) -> Report:
    """Return what this host serves, asked now; no lock is taken.

    `pointed` is the version that the alias names, or empty; None if the registry does not tell.
    """
    home = folder(environment, settings)
    try:
        now, damage = state.read(home), ""
    except state.Damaged as failure:
        now, damage = observed.state(home, pointed or ""), str(failure)
    answers = _answers(home)
    return Report(
        address=settings.address or local(settings),
        trouble=damage or next(_troubles(home, local(settings), now, pointed, answers), ""),
        warm=now.warm.version if now.warm and slots.ready(now.warm) else "",
        answers=" and ".join(answers),
        serving=now.serving,
    )


def _answers(home: Path) -> list[str]:
    """Return the versions that clients get answers from."""
    try:
        found = [observed.slot(home, name) for name in observed.answering(home)]
    except Failure:
        return []
    return [slot.version for slot in found if slot and slots.ready(slot)]


def _troubles(home: Path, url: str, now: State, pointed: str | None, answers: list[str]) -> Iterator[str]:
    """Yield what is wrong and what to do, the worst first."""
    serving, repair = now.serving, f"`delivery repair {home.name}`"
    answer = f"version {' and '.join(answers)} answers" if answers else "nothing answers"
    if now.candidate and (holder := state.holder(home)):
        yield f"version {now.candidate.version} is being tried by process {holder}; {answer}"
    if now.candidate:
        yield f"a command ended before version {now.candidate.version} was final; {answer}; {repair}"
    if serving is None:
        yield f"nothing runs here; deploy {pointed or 'a version'}"
        return
    if not proxy.running(home) and observed.listening(url):
        yield f"the proxy answers clients, but not on its socket; {repair} reaches it again"
    if not proxy.running(home):
        yield f"the proxy is down, so nothing answers; {repair} starts it"
    if not slots.ready(serving):
        yield f"version {serving.version} is not ready; {answer}; {repair} starts it, or roll back"
    if serving.version not in answers:
        yield f"version {serving.version} should serve, but {answer}; {repair}"
    if left := observed.orphans(home, now):
        yield f"slot {left[0]} has a process that is on no record; {repair} ends it"
    if (home / OWED).exists():
        yield f"version {serving.version} serves after a rollback that is not recorded yet; {repair} records it"
    if pointed is not None and serving.version != pointed:
        yield f"version {serving.version} serves, the alias says {pointed or 'nothing'}; deploy one of them"
