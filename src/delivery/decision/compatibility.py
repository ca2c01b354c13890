"""Verb `compatibility`: whether clients survive this release, and a rollback from it.

The candidate is the release on disk. It is compared with every version that serves an environment, and with each
that a rollback would return to.
"""

import argparse
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from delivery.compatibility.asking import Ask, Asked
from delivery.compatibility.measure import Counterpart, drawn_of, measure
from delivery.compatibility.results import CompatibilityResult, VersionResult
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.decision import older
from delivery.pull_requests.acceptance import Acceptance
from delivery.registry import counterparts, registry
from delivery.render.compatibility import compatibility_page
from delivery.render.markdown import terminal_text

TOLERANCE = 1e-6  # the largest difference of a score that is called equal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "--against",
        nargs="+",
        default=(),
        metavar="VERSION",
        help="versions or aliases to compare with (default: what serves, and what a rollback returns to)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="DIR", help="prediction log to ask again (default: the examples of each version)"
    )
    parser.add_argument(
        "--requests",
        type=int,
        default=1000,
        metavar="N",
        help="newest requests of that log to ask (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    """Compare, print the page, and return 1 if something breaks that params.yaml does not accept."""
    logged = newest(options.log, options.requests) if options.log else {}
    result = run(params.load(), options.against, logged)
    if result.unread:
        raise Failure(result.unread)
    page = terminal_text(workspace.COMPATIBILITY_PAGE.read_text())
    print(json.dumps(documents.as_builtins(result), indent=1) if options.json else page)
    return int(bool(result.broken()) and not result.accepted)


def run(
    settings: Params,
    against: Sequence[str] = (),
    logged: dict[str, list[Asked]] | None = None,
    labelled: Callable[[], Acceptance] = Acceptance,
) -> CompatibilityResult:
    """Compare the release on disk with registered versions, and write compatibility.json and compatibility.md.

    `labelled` tells what a label of the pull request accepts; it is asked only if something breaks.
    """
    result = compared(settings, against, logged or {})
    if result.broken() and not result.accepted:
        label = labelled()
        result = replace(result, accepted=label.reason, accepted_by="label", unaccepted=label.missing)
    documents.write(workspace.COMPATIBILITY, result)
    files.write(workspace.COMPATIBILITY_PAGE, compatibility_page(result))
    return result


def compared(settings: Params, against: Sequence[str], logged: dict[str, list[Asked]]) -> CompatibilityResult:
    """Return the comparison with each version. Raise `Failure` if the model does not load, or `against` is not known."""
    if not registry.exists():
        return CompatibilityResult(reason="there is no registry yet")
    try:
        with registry.connection():
            known = registry.versions()
            chosen = [counterparts.loaded(known, each) for each in counterparts.find(known, against)]
    except Failure as failure:
        if against:
            raise
        return CompatibilityResult(unread=str(failure))
    if not chosen:
        return CompatibilityResult(reason="no version serves yet")
    return CompatibilityResult(
        versions=tuple(measured(settings, chosen, logged)),
        accepted=settings.gate.compatibility_reason if settings.gate.compatibility == "breaking" else "",
    )


def measured(settings: Params, chosen: Sequence[Counterpart], logged: dict[str, list[Asked]]) -> list[VersionResult]:
    """Return the candidate measured against each version.

    With a log, all of its requests are asked of the candidate, and those scores count that the version itself gave.
    """
    from delivery.decision import candidate  # loads the service
    from delivery.registry import interface

    app = interface.service(workspace.EXPORT, settings.serve)
    ask, document, own = candidate.in_process(app), app.api.openapi(), counterparts.examples(workspace.EXPORT)
    if logged:
        chosen = [replace(other, requests=asked_of(logged, other.version)) for other in chosen]
    drawn = drawn_of(document, ask, own)
    return [measured_with(document, ask, own, other, drawn) for other in chosen]


def measured_with(
    document: Any, ask: Ask, own: Sequence[Asked], other: Counterpart, drawn: Sequence[Asked]
) -> VersionResult:
    """Return the candidate measured against one version, whose own code is asked if it is judged and starts."""
    if other.skipped or other.beyond:
        return measure(document, ask, own, replace(other, unstarted="it is not judged"), TOLERANCE, drawn)
    with older.started(other.version) as (there, unstarted):
        return measure(document, ask, own, replace(other, ask=there, unstarted=unstarted), TOLERANCE, drawn)


def asked_of(logged: dict[str, list[Asked]], version: str) -> list[Asked]:
    """Return all logged requests, with the scores of those that the version answered."""
    return [each if name == version else Asked(each.rows) for name, lines in logged.items() for each in lines]


def newest(folder: Path, count: int) -> dict[str, list[Asked]]:
    """Return the newest requests of a prediction log by the version that answered. Raise `Failure` if there are none."""
    from delivery.service import log

    lines = deque(log.read(folder), maxlen=count)
    if not lines:
        raise Failure(f"{folder} has no prediction log; start the service with `--log {folder}`")
    by_version: dict[str, list[Asked]] = {}
    for line in lines:
        by_version.setdefault(line.version, []).append(Asked(line.rows, line.scores))
    return by_version
