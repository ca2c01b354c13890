"""The versions whose clients a candidate meets: those that serve, and those that would serve after a rollback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from delivery.compatibility.asking import Asked
from delivery.compatibility.measure import Counterpart
from delivery.core import documents, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Example
from delivery.registry import registry, release
from delivery.registry.version import Version, aliased, environments, pick, rolled_back, served


def previous(known: Sequence[Version], environment: str) -> str:
    """Return the last version that served there before and was not rolled back; empty if there is none."""
    serving = aliased(known, environment)
    unwanted = {version.number for version in known if version is serving or rolled_back(version, environment)}
    return next((number for _, number in reversed(served(known, environment)) if number not in unwanted), "")


def find(known: Sequence[Version], against: Sequence[str] = ()) -> list[Counterpart]:
    """Return the versions to compare with, newest first, without their documents.

    By default those that serve an environment or are what a rollback of one returns to; else those `against` names.
    """
    serves: dict[str, list[str]] = {}
    targets: dict[str, list[str]] = {}
    for environment in sorted(environments(known)):
        if serving := aliased(known, environment):
            serves.setdefault(serving.number, []).append(environment)
            if target := previous(known, environment):
                targets.setdefault(target, []).append(environment)
    chosen = {pick(known, which).number for which in against} or serves.keys() | targets.keys()
    border = boundary(known, list(serves))
    return [
        Counterpart(
            number, tuple(serves.get(number, ())), tuple(targets.get(number, ())), beyond=_beyond(number, border)
        )
        for number in sorted(chosen, key=int, reverse=True)
    ]


def boundary(known: Sequence[Version], serving: Sequence[str]) -> Version | None:
    """Return the newest version that broke with its clients on purpose, if it or a newer one serves."""
    newest = max(map(int, serving), default=0)
    marked = [version for version in known if version.boundary and int(version.number) <= newest]
    return max(marked, key=lambda version: int(version.number), default=None)


def _beyond(number: str, border: Version | None) -> str:
    """Return why a version from before the boundary is not judged."""
    if border is None or int(number) >= int(border.number):
        return ""
    return f"version {border.number} broke with it on purpose: {border.boundary}"


def loaded(known: Sequence[Version], counterpart: Counterpart) -> Counterpart:
    """Return the counterpart with its document and example requests, or with the reason why there is no document."""
    version = pick(known, counterpart.version)
    try:
        folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    except Failure as failure:
        return replace(counterpart, skipped=str(failure))
    document = release.document(folder)
    if document is None:
        return replace(counterpart, skipped="it was registered before versions kept their OpenAPI document")
    return replace(counterpart, document=document, requests=examples(folder / workspace.EXPORT.name))


def examples(exported: Path) -> list[Asked]:
    """Return the known rows that are stored with an exported model, each as a request with its prediction."""
    known = documents.read(exported / workspace.EXAMPLES, list[Example], "run")
    return [Asked([example.request], [example.prediction]) for example in known]
