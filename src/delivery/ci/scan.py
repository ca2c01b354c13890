"""Verb `scan`: look for known vulnerabilities in the locks and in images; exit 1 if a severe one has a fix.

Those without a fix are counted only: nobody could do anything about them.
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from delivery.adapters import git, github, grype
from delivery.adapters.grype import Vulnerability
from delivery.ci import exceptions
from delivery.ci.exceptions import Excepted
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.pull_requests import issues
from delivery.registry import registry
from delivery.render.markdown import code, escaped

SEVERE = ("critical", "high")
LOCK = "`make lock UPGRADE='--upgrade-package {}'`"
IMAGE_FIX = "a newer digest of the base image in `Dockerfile`"


class Scan(Struct, frozen=True):
    """What a scan has found, judged by the exceptions."""

    refused: tuple[Vulnerability, ...]
    """Severe, with a fix, and not excepted."""
    excepted: tuple[tuple[Vulnerability, Excepted], ...]
    expired: tuple[Excepted, ...]
    """Entries whose day is over, for something that was found."""
    idle: tuple[Excepted, ...]
    """Entries for nothing that was found."""
    others: int
    """Less severe, or without a fix."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--sbom", type=Path, help="list of an image's contents to scan too, in SPDX or CycloneDX")
    parser.add_argument("--serving", action="store_true", help="scan the images of the versions that serve, too")
    parser.add_argument("--grype", default="grype", metavar="PROGRAM", help="the program that scans (default: grype)")
    parser.add_argument(
        "--issue", action="store_true", help="open, update or close one issue on GitHub with the findings"
    )


def main(options: argparse.Namespace) -> int:
    """Scan, print what was found, and return 1 if a severe vulnerability has a fix and is not excepted."""
    today = datetime.now(UTC).date()
    path = Path(git.git("rev-parse", "--show-toplevel"), workspace.VULNERABILITIES)
    entries = exceptions.load(path, today)
    found = [
        vulnerability
        for source, address in sources(options.sbom, serving=options.serving)
        for vulnerability in grype.scan(address, source, options.grype)
    ]
    scan = judge(found, entries, today)
    text = page(scan)
    github.summary(text)
    print(text)
    if options.issue:
        try:
            print(issues.keep(issues.TITLES["scan"], text if scan.refused else ""))
        except Failure as failure:  # issues may be disabled; the run is red in any case
            print(f"There is no issue: {failure}.")
    return 1 if scan.refused else 0


def sources(sbom: Path | None, *, serving: bool) -> Iterator[tuple[str, str]]:
    """Yield what to scan: its name for people, and its address for Grype."""
    files.write(workspace.LOCKED, grype.list_of_locks(workspace.REQUIREMENTS))
    yield f"{workspace.REQUIREMENTS}/", f"sbom:{workspace.LOCKED}"
    if sbom:
        if not sbom.is_file():
            raise Failure(f"{sbom} is missing; write it with `syft IMAGE --output spdx-json={sbom}`")
        yield "image", f"sbom:{sbom}"
    if serving and registry.exists():
        images = {version.image: version for version in registry.versions() if version.aliases and version.image}
        for image, version in images.items():
            yield f"image of {', '.join(version.aliases)}", f"registry:{image}"


def judge(found: Sequence[Vulnerability], entries: Sequence[Excepted], today: date) -> Scan:
    """Sort what was found: refused, excepted until a day, or of no consequence."""
    severe = [one for one in found if one.severity in SEVERE and one.fixed]
    refused, excepted = [], []
    for one in sorted(severe, key=lambda one: (SEVERE.index(one.severity), one.package, one.id, one.source)):
        if entry := next((entry for entry in entries if entry.covers(one) and today <= entry.until), None):
            excepted.append((one, entry))
        else:
            refused.append(one)
    over = [entry for entry in entries if entry.until < today]
    return Scan(
        refused=tuple(refused),
        excepted=tuple(excepted),
        expired=tuple(entry for entry in over if any(map(entry.covers, refused))),
        idle=tuple(entry for entry in entries if not any(map(entry.covers, severe))),
        others=len(found) - len(severe),
    )


def page(scan: Scan) -> str:
    """Return the findings as Markdown."""
    count = len(scan.refused)
    noun = "vulnerability has" if count == 1 else "vulnerabilities have"
    lines = [f"**❌ {count} severe {noun} a fix**"] if count else ["**✅ No severe vulnerability has a fix**"]
    lines[0] += f"; {scan.others} less severe or without a fix."
    if scan.refused:
        lines += ["", "| vulnerability | severity | package | in | fixed in | fix |", "|---|---|---|---|---|---|"]
        lines += [row(one) for one in scan.refused]
        lines += ["", f"To deliver it all the same until a day, add an exception to `{workspace.VULNERABILITIES}` "
                  "(docs/how-to/vulnerabilities.md)."]  # fmt: skip
    said = [f"{code(one.id)} of {code(one.package)} is excepted until {entry.until}: {escaped(entry.reason)}"
            for one, entry in scan.excepted]  # fmt: skip
    said += [f"The exception for {code(entry.id)} expired on {entry.until}." for entry in scan.expired]
    said += [f"The exception for {code(entry.id)} is for nothing that was found; remove it." for entry in scan.idle]
    return "\n".join([*lines, *([""] if said else []), *(f"- {line}" for line in said)]) + "\n"


def row(one: Vulnerability) -> str:
    """Return a row of the table."""
    fix = LOCK.format(escaped(one.package)) if one.kind == "python" else IMAGE_FIX
    words = ", ".join(map(code, (one.id, *one.aliases)))
    cells = (words, one.severity, f"{code(one.package)} {escaped(one.version)}", escaped(one.source))
    return f"| {' | '.join(cells)} | {escaped(', '.join(one.fixed))} | {fix} |"
