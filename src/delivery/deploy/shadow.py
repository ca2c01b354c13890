"""Shadow a version: ask it what the version that serves was asked, and compare the answers; clients get none of them.

The requests come from the prediction log, as it is written: nothing new stands in the path of a live request, and every
copy comes with the scores that were given, row by row.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.deploy import artifacts, canary, environments, mirror, rollout
from delivery.deploy.mirror import Scores
from delivery.deploy.targets import proxy
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.state import Slot
from delivery.deploy.targets.target import Release
from delivery.registry import registry

MOVED = 0.05  # a score that is farther than this from the other one has moved


class Latency(Struct, frozen=True):
    """A latency of both versions, in milliseconds."""

    serving: float
    shadow: float


class Difference(Struct, frozen=True):
    """How far apart the scores of both versions are, over all rows."""

    rows: int
    mean_difference: float
    mean_distance: float
    largest_distance: float
    moved: float
    """Share of rows that are more than MOVED apart."""


class Comparison(Struct, frozen=True):
    """What a shadow answered to the requests that another version answered to clients."""

    environment: str
    serving: str
    shadow: str
    requests: int
    failed: int
    difference: Difference | None
    """None if the shadow answered no request."""
    psi: float
    mean_ms: Latency
    p95_ms: Latency


def run(which: str, environment: str) -> str:
    """Shadow what serves with a version, given by number or alias; return the comparison as Markdown.

    Raise `Failure` if the environment has no prediction log on this host, or if nothing serves there.
    """
    settings = environments.settings(environment)
    if settings.target not in ("process", "docker"):
        raise Failure(
            f"only the targets process and docker can be shadowed, {environment} has neither; docs/how-to/deploy.md"
        )
    with environments.opened(environment) as target:
        assert isinstance(target, Host)
        version = registry.find(which)
        return trial(target, artifacts.attested(version, settings.target), artifacts.download(version))


def trial(target: Host, release: Release, version_files: Path) -> str:
    """Start the release, compare it, and remove it again; return the page. Nothing else changes."""
    serving = target.state.serving
    if serving is None:
        raise Failure(f"nothing serves {target.environment}, so there is nothing to shadow; deploy a version")
    with rollout.returning(target):
        target.start(release, version_files)
        target.check()
        comparison = compare(target, serving, target.candidate)
        target.undo()
    files.write_json(workspace.SHADOW, document(comparison))
    return page(comparison)


def compare(target: Host, serving: Slot, candidate: Slot) -> Comparison:
    """Ask the candidate what clients ask the slot that serves, until it has answered as many requests as a canary.

    Raise `Failure` if too few requests came in the time that a step of a canary has.
    """
    settings = target.deploy.canary
    if not proxy.running(target.folder):
        raise Failure(f"the proxy of {target.environment} is down; deploy version {serving.version} again")
    before = target.counts()
    answers = mirror.ask(target.folder, serving, candidate, settings.requests, settings.seconds)
    if answers.copies < settings.requests:
        raise Failure(
            f"only {answers.copies} of {settings.requests} requests came in {settings.seconds:g} s; "
            "lower deploy.canary.requests"
        )
    old, new = (now.since(then) for now, then in zip(target.counts(), before, strict=True))
    return Comparison(
        environment=target.environment,
        serving=serving.version,
        shadow=candidate.version,
        requests=answers.copies,
        failed=answers.failed,
        difference=difference(answers.pairs),
        psi=canary.psi(new, old),
        mean_ms=Latency(old.mean_ms, new.mean_ms),
        p95_ms=Latency(old.quantile_ms(0.95), new.quantile_ms(0.95)),
    )


def difference(pairs: Sequence[tuple[Scores, Scores]]) -> Difference | None:
    """Return how far apart two versions' scores are; of several classes, those of the farthest. None without pairs.

    Each pair holds the scores that were given and the shadow's, both of shape (rows, classes).
    """
    if not pairs:
        return None
    apart = np.concatenate([np.abs(given - shadow).max(axis=1) for given, shadow in pairs])
    shift = np.concatenate([(shadow - given)[:, -1] for given, shadow in pairs])
    return Difference(
        rows=len(apart),
        mean_difference=float(shift.mean()),
        mean_distance=float(apart.mean()),
        largest_distance=float(apart.max()),
        moved=float((apart > MOVED).mean()),
    )


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as it is written: the difference among the other fields, `rows: 0` if there is none."""
    fields: dict[str, Any] = msgspec.to_builtins(comparison)
    return fields | (fields.pop("difference") or {"rows": 0})


def page(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    lines = [
        f"Version {comparison.shadow} was asked what version {comparison.serving} answered in "
        f"`{comparison.environment}`: {comparison.requests} requests, {comparison.failed} failed. No client got its "
        "answers, and nothing has changed.",
        "",
        f"| | version {comparison.serving} | version {comparison.shadow} |",
        "|---|---|---|",
        *(
            f"| {name} | {latency.serving:.2f} ms | {latency.shadow:.2f} ms |"
            for name, latency in (("mean", comparison.mean_ms), ("p95", comparison.p95_ms))
        ),
    ]
    if scores := comparison.difference:
        lines += [
            "",
            f"Scores of {scores.rows} rows: {scores.mean_difference:+.4f} on average, {scores.mean_distance:.4f} "
            f"apart, at most {scores.largest_distance:.4f}; {scores.moved:.1%} are more than {MOVED:g} apart; "
            f"PSI {comparison.psi:.3f}.",
        ]
    return "\n".join(lines)
