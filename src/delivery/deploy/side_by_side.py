"""Ask two slots of this host the same recent requests, alternately, and compare speed and scores.

A version that is watched after its deployment has other minutes than the one before had, and so other clients and another
load. The same requests at the same time have neither.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary, traffic
from delivery.deploy.targets import slots, tokens
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.latency import Array
from delivery.deploy.targets.state import Slot
from delivery.probe.client import Client

REQUESTS, LEAST = 100, 20  # the newest ones, and how many of them both must answer
SECONDS = 10.0  # after which no further request is asked, once enough are answered: a slow version has clients, too
TURNS = 3  # for each slot; the quickest answer counts, for live requests hold up one version only
DURATION = re.compile(r"app;dur=([0-9.]+)")


class Sides(Struct, frozen=True):
    """What both versions made of the same requests, in the same order."""

    new_ms: Array
    old_ms: Array
    new_scores: Array
    old_scores: Array
    """The scores of all rows of different requests; of several classes the highest."""
    distinct: int
    """How many requests are different ones: one client that repeats a request says nothing about other scores."""


def ask(folder: Path, new: Slot, old: Slot) -> Sides | None:
    """Return the answers of both slots to the newest requests of the first; None if both answer too few of them."""
    token = tokens.read(folder).own or None
    clients = [Client(slots.url(slot), token) for slot in (new, old)]
    first, begun = list[int](), time.monotonic()
    pairs = list[tuple[list[tuple[float, Array]], list[tuple[float, Array]]]]()
    known = set[bytes]()
    for line in traffic.newest(folder, new, count=REQUESTS):
        try:
            pair = [_asked(client, line.rows, line.id) for _ in range(TURNS) for client in clients]
        except (Failure, KeyError, TypeError):
            continue  # a request of the new schema, which the old version refuses, or a version that is gone
        if (rows := msgspec.json.encode(line.rows, order="sorted")) not in known:
            known.add(rows)
            first.append(len(pairs))
        pairs.append((pair[::2], pair[1::2]))
        if len(pairs) >= LEAST and time.monotonic() > begun + SECONDS:
            break
    if len(pairs) < LEAST:
        return None
    quickest = np.array([[min(ms for ms, _ in side) for side in pair] for pair in pairs])
    scores = [np.concatenate([pairs[index][side][0][1] for index in first]) for side in range(2)]
    return Sides(quickest[:, 0], quickest[:, 1], scores[0], scores[1], len(first))


def slower(sides: Sides, settings: params.Canary) -> list[str]:
    """Return by which figures the new version is slower than the limits of a canary allow."""
    new, old = sides.new_ms, sides.old_ms
    p95 = float(np.quantile(new, 0.95)), float(np.quantile(old, 0.95))
    return canary.exceeded((("mean", float(new.mean()), float(old.mean())), ("p95", *p95)), settings)


def moved(sides: Sides, bounds: Array, settings: params.Canary) -> str:
    """Return a complaint if the scores are farther apart than a canary allows, in buckets with these upper bounds.

    Empty if fewer than LEAST different requests were asked.
    """
    if sides.distinct < LEAST:
        return ""
    new, old = (
        replace(
            NOTHING, scores=np.bincount(np.searchsorted(bounds, scores), minlength=len(bounds)), score_bounds=bounds
        )
        for scores in (sides.new_scores, sides.old_scores)
    )
    return canary.moved(new, old, settings)


EMPTY = np.zeros(0)
NOTHING = Counts(0, 0, 0.0, EMPTY, EMPTY, EMPTY, EMPTY)


def _asked(client: Client, rows: list[dict[str, object]], name: str) -> tuple[float, Array]:
    """Return the service's own time for a request, in milliseconds, and its scores."""
    answer = client.predict(rows, x_request_id=name)
    scores = np.array(answer.json()["predictions"], dtype=float)
    found = DURATION.search(answer.headers.get("server-timing", ""))
    return float(found[1]) if found else 0.0, scores.max(axis=1) if scores.ndim > 1 else scores
