"""A version beside the one that serves, asked what that one was asked: its answers are compared and reach nobody.

The requests are those of the prediction log, as it is written: nothing new stands in the path of a live request, and every
copy comes with the score that was given, row for row.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.deploy import canary
from delivery.deploy.targets import counts, host, proxy, rehearsal, slots
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.state import Slot
from delivery.probe import contract
from delivery.probe.client import TIMEOUT
from delivery.service.log import Line

MOVED = 0.05  # a score that is so far away from the other one is counted
# Every line that is written from now on. It runs where the log is, be that in a container; the empty line that it
# prints in each turn ends it once nobody reads any more.
FOLLOW = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
read = {path: path.stat().st_size for path in folder.glob("predictions-*.jsonl")}
while True:
    for path in sorted(folder.glob("predictions-*.jsonl")):
        with path.open("rb") as file:
            file.seek(read.get(path, 0))
            for line in file:
                if line.endswith(b"\\n"):
                    sys.stdout.buffer.write(line)
                    read[path] = read.get(path, 0) + len(line)
    sys.stdout.buffer.write(b"\\n")
    sys.stdout.buffer.flush()
    time.sleep(0.2)
"""


def trial(there: Host, wanted: Slot, exported: Path) -> str:
    """Starts the version, compares, and takes it away again; returns the page. Nothing else changes."""
    old = there.state.serving
    if old is None:
        raise Failure(f"nothing serves {there.environment}, so there is nothing to shadow; deploy a version")
    with host.returning(there):
        there.begin(wanted, exported)
        contract.refuse(slots.url(there.candidate), exported, wanted.version)
        found = compare(there, old, there.candidate)
        there.undo()
    files.write_json(workspace.SHADOW, found)
    return page(found)


def compare(there: Host, old: Slot, new: Slot) -> dict[str, Any]:
    """Raises Failure when too few requests came in the time that a step of a canary has."""
    wanted, seconds = there.settings.canary.requests, there.settings.canary.seconds
    if not proxy.running(there.folder):
        raise Failure(f"the proxy of {there.environment} is down; deploy version {old.version} again")
    before = counts.of(there, old), counts.of(there, new)
    headers = {"content-type": "application/json"}
    if token := os.environ.get("SERVE_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    connection = HTTPConnection("127.0.0.1", new.port, timeout=TIMEOUT)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    copies = failed = 0
    for line in followed(there.folder, old, seconds):
        copies += 1
        given = np.asarray(line.scores, dtype=float).reshape(len(line.rows), -1)
        try:
            connection.request("POST", "/predict", json.dumps(line.rows), headers | {"x-request-id": line.id})
            reply = connection.getresponse()
            said = json.loads(reply.read())
            pairs.append((given, np.asarray(said["predictions"], dtype=float).reshape(given.shape)))
        except (OSError, HTTPException, ValueError, KeyError):
            failed += 1
            connection.close()
        if copies >= wanted:
            break
    connection.close()
    if copies < wanted:
        raise Failure(f"only {copies} of {wanted} requests came in {seconds:g} s; lower deploy.canary.requests")
    theirs, ours = counts.of(there, old).since(before[0]), counts.of(there, new).since(before[1])
    about = {"environment": there.environment, "serving": old.version, "shadow": new.version}
    return about | {"requests": copies, "failed": failed} | difference(pairs) | {
        "psi": canary.psi(ours, theirs),
        "mean_ms": {"serving": theirs.mean_ms, "shadow": ours.mean_ms},
        "p95_ms": {"serving": theirs.quantile_ms(0.95), "shadow": ours.quantile_ms(0.95)},
    }  # fmt: skip


def difference(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Row for row: how far the scores lie apart, of several classes that of the farthest."""
    if not pairs:
        return {"rows": 0}
    apart = np.concatenate([np.abs(theirs - ours).max(axis=1) for theirs, ours in pairs])
    shift = np.concatenate([(ours - theirs)[:, -1] for theirs, ours in pairs])
    return {
        "rows": len(apart),
        "mean_difference": float(shift.mean()),
        "mean_distance": float(apart.mean()),
        "largest_distance": float(apart.max()),
        "moved": float((apart > MOVED).mean()),
    }


def followed(folder: Path, slot: Slot, seconds: float) -> Iterator[Line]:
    """What the slot answers from now on, as its log says it, for so long."""
    command = [sys.executable, "-S", "-c", FOLLOW, str(folder / "predictions" / slot.name)]
    if slot.image:
        command = ["docker", "exec", slots.container(folder, slot.name), "python3", "-S", "-c", FOLLOW, "/log"]
    decoder, rest = msgspec.json.Decoder(Line), b""
    deadline = time.monotonic() + seconds
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        bufsize=0,
        preexec_fn=rehearsal.with_parent(),  # noqa: PLW1509  one call into the kernel
    ) as follower:
        assert follower.stdout is not None
        try:
            while (left := deadline - time.monotonic()) > 0:
                if not select.select([follower.stdout], [], [], left)[0]:
                    return
                part = os.read(follower.stdout.fileno(), 1 << 20)
                if not part:
                    raise Failure(f"the prediction log of version {slot.version} cannot be read")
                *lines, rest = (rest + part).split(b"\n")
                yield from (decoder.decode(line) for line in lines if line)
        finally:
            follower.kill()


def page(found: dict[str, Any]) -> str:
    """The comparison as Markdown."""
    serving, shadow = found["serving"], found["shadow"]
    lines = [
        f"Version {shadow} was asked what version {serving} answered in `{found['environment']}`: {found['requests']} "
        f"requests, {found['failed']} failed. It has answered nobody, and nothing has changed.",
        "",
        f"| | version {serving} | version {shadow} |",
        "|---|---|---|",
        *(
            f"| {name} | {found[key]['serving']:.2f} ms | {found[key]['shadow']:.2f} ms |"
            for name, key in (("mean", "mean_ms"), ("p95", "p95_ms"))
        ),
    ]
    if found["rows"]:
        lines += [
            "",
            f"Scores of {found['rows']} rows: {found['mean_difference']:+.4f} on the average, {found['mean_distance']:.4f} "
            f"apart, at most {found['largest_distance']:.4f}; {found['moved']:.1%} are more than {MOVED:g} apart; "
            f"PSI {found['psi']:.3f}.",
        ]
    return "\n".join(lines)
