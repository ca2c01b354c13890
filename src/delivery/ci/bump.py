"""Verb `bump`: raise the versions in the locks and the base image, and propose them in the one pull request that is open.

Nothing that is new is installed or built here: the report of the pull request does that with a token that only reads, makes
the results again, and another job commits them.
"""

import argparse
import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from delivery.adapters import git, github
from delivery.adapters.grype import PINNED
from delivery.ci import refresh
from delivery.core import files, programs, workspace
from delivery.core.errors import Failure
from delivery.pull_requests import proposal
from delivery.pull_requests.proposal import DEPENDENCIES
from delivery.render.markdown import code

BASE = re.compile(r"(?m)^(ARG BASE_IMAGE=)([^\s@]+)(?:@(sha256:[0-9a-f]{64}))?$")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SECONDS = 120  # for an answer of the image registry
SHOWN = 200  # rows of the table
REASON = 600  # characters of what uv says

# What uv prints, and what helps; the last one where nothing else fits.
FIXES = (
    ("no-build", "raise it on your machine: `make lock UPGRADE=--upgrade` builds it"),
    ("exclude-newer", "`--days 0`, in the workflow the variable BUMP_DAYS, is for an index that names no dates"),
    ("ailed to fetch", "the package index did not answer; run this again"),
    ("", "change the bound in pyproject.toml that is in the way, or run this again"),
)

Changes = Mapping[str, tuple[str, str]]  # name to the version before and after; empty if there was none


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--days",
        type=int,
        default=7,
        help="minimum age of a library's release in days, so that a bad one is found by then (default: 7); 0 for any age",
    )
    parser.add_argument("--propose", action="store_true", help="open or update the pull request with what is newer")
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the report by workflow_dispatch; a pull request opened with the workflow's own token starts none",
    )


def main(options: argparse.Namespace) -> None:
    """Raise the base image and the locks, print what is newer, and propose it if asked to."""
    raised = raised_base(workspace.DOCKERFILE.read_text(encoding="utf-8"))
    raise_locks(options.days, datetime.datetime.now(datetime.UTC).date())
    if raised:
        files.write(workspace.DOCKERFILE, raised)
    changes = changed_versions() | changed_base()
    for name, (before, after) in changes.items():
        print(f"{name}: {before or 'new'} -> {after or 'removed'}")
    if not changes:
        outcome = "nothing is newer"
    elif options.propose:
        outcome = propose(changes, options.days, dispatch=options.dispatch)
    else:
        outcome = "run `delivery reproduce`, then commit the locks, the Dockerfile and the results"
    github.summary(outcome)
    print(f"bump: {outcome}")


def raised_base(text: str) -> str:
    """Return the Dockerfile with the newest digest of its base image's tag; empty if it has that or names no base image.

    Raise `Failure` if the image registry does not answer or names no digest.
    """
    if not (found := BASE.search(text)):
        return ""
    name = found[2]
    command = ["docker", "buildx", "imagetools", "inspect", name, "--format", "{{json .Manifest}}"]
    completed = programs.run(command, seconds=SECONDS)
    if completed.returncode and programs.run(["docker", "buildx", "version"]).returncode:
        raise Failure("docker has no buildx, which reads digests; install the plugin docker-buildx and run this again")
    if completed.returncode:
        raise Failure(f"the registry of {name} does not answer: {programs.last_line(completed)}; run this again")
    digest = re.search(rf'"digest": ?"({DIGEST.pattern})"', completed.stdout)
    if not digest:
        raise Failure(f"the registry names no digest of {name}; run this again")
    return BASE.sub(rf"\g<1>\g<2>@{digest[1]}", text) if digest[1] != found[3] else ""


def raise_locks(days: int, today: datetime.date) -> None:
    """Write the locks with the newest versions that are at least so many days old, and that pyproject.toml allows.

    A version that is locked already stays although it is younger, for it may be a security fix. Raise `Failure` if a lock
    cannot be written.
    """
    before = _pinned()
    upgrade = "--upgrade --no-build"  # building runs code of packages
    if days:
        upgrade += f" --exclude-newer {today - datetime.timedelta(days=days)}"
    write_locks(upgrade)
    after = _pinned()
    lowered = [name for name in sorted(before.keys() & after.keys()) if _numbers(after[name]) < _numbers(before[name])]
    if lowered and days:
        write_locks(" ".join([upgrade, *(f"--exclude-newer-package {name}={today}" for name in lowered)]))


def write_locks(upgrade: str) -> None:
    """Run `make lock` with options of uv. Raise `Failure` with uv's reason and what helps if it fails."""
    completed = programs.run(["make", "--no-print-directory", "lock", f"UPGRADE={upgrade}"])
    if completed.returncode:
        lines = [line.strip() for line in completed.stderr.splitlines() if not line.startswith("make")]
        reason = " ".join(filter(None, lines))[:REASON] or programs.last_line(completed)
        fix = next(fix for words, fix in FIXES if words in reason)
        raise Failure(f"the locks cannot be raised: {reason}; {fix}")


def changed_versions() -> dict[str, tuple[str, str]]:
    """Return the libraries whose versions differ from those of the last commit in a lock."""
    changes: dict[str, tuple[str, str]] = {}
    for path in _locks():
        before, after = dict(PINNED.findall(_committed(path))), dict(PINNED.findall(path.read_text(encoding="utf-8")))
        pairs = {name: (before.get(name, ""), after.get(name, "")) for name in before.keys() | after.keys()}
        changes |= {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return dict(sorted(changes.items()))


def changed_base() -> dict[str, tuple[str, str]]:
    """Return the base image if its digest differs from that of the last commit."""
    texts = (_committed(workspace.DOCKERFILE), workspace.DOCKERFILE.read_text(encoding="utf-8"))
    before, after = ((BASE.search(text) or ("", "", "", ""))[3] or "" for text in texts)
    return {} if before == after else {"base image": (before[:19], after[:19])}


def _locks() -> list[Path]:
    return sorted(workspace.REQUIREMENTS.glob("*.txt"))


def _pinned() -> dict[str, str]:
    return dict(pin for path in _locks() for pin in PINNED.findall(path.read_text(encoding="utf-8")))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _committed(path: Path) -> str:
    return git.show("HEAD", path.as_posix()) or ""


def propose(changes: Changes, days: int, *, dispatch: bool) -> str:
    """Open or update the pull request and start its report; return what was done."""
    name = hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:8]
    noun = "dependency" if len(changes) == 1 else "dependencies"
    title = f"Raise {len(changes)} {noun} ({name})"
    outcome, done = proposal.offer(DEPENDENCIES, name, title, "Newer versions are out.", lambda _: body(changes, days))
    if dispatch and done:
        refresh.start_report(github.ask("GET", f"/pulls/{done.number}"), done.branch)
    return outcome


def body(changes: Changes, days: int) -> str:
    """Return the text of the pull request."""
    rows = [f"| {code(name)} | {code(old) if old else 'new'} | {code(new) if new else 'removed'} |"
            for name, (old, new) in list(changes.items())[:SHOWN]]  # fmt: skip
    more = [f"\n... and {len(changes) - SHOWN} more."] if len(changes) > SHOWN else []
    age = f"No new version of a library is younger than {days} days. " if days else ""
    return "\n".join([
        f"{age}If the libraries make the results stale, the report makes them again and commits them to this branch; the subject",
        "of that commit says whether they are unchanged to the last bit.", "",
        "| dependency | before | after |", "|---|---|---|", *rows, *more, "",
    ])  # fmt: skip
