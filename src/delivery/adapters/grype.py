"""Grype: the known vulnerabilities of an image, of a list of contents or of the locks. No other module knows its format."""

import json
import re
from pathlib import Path

import msgspec
from msgspec import Struct, field

from delivery.core import programs
from delivery.core.errors import Failure

# A package and its version in a lock that `make lock` wrote: it pins every package.
PINNED = re.compile(r"(?m)^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")
SECONDS = 600  # the list of vulnerabilities is downloaded first
QUIET = {"GRYPE_CHECK_FOR_APP_UPDATE": "false"}


class Vulnerability(Struct, frozen=True):
    """A known vulnerability of a package that was found."""

    id: str
    aliases: tuple[str, ...]  # its ids in other databases
    severity: str  # critical, high, medium, low, negligible or unknown
    package: str
    version: str
    kind: str  # of the package: python, deb, ...
    fixed: tuple[str, ...]  # versions without it
    source: str  # what was scanned


class _Fix(Struct):
    state: str = ""
    versions: list[str] | None = None


class _Named(Struct):
    id: str


class _Vulnerability(_Named):
    severity: str = "Unknown"
    fix: _Fix = field(default_factory=_Fix)


class _Artifact(Struct):
    name: str
    version: str
    type: str = ""


class _Match(Struct):
    vulnerability: _Vulnerability
    artifact: _Artifact
    related: list[_Named] | None = field(default=None, name="relatedVulnerabilities")


class _Report(Struct):
    matches: list[_Match]


def scan(address: str, source: str, program: str = "grype") -> list[Vulnerability]:
    """Return the known vulnerabilities of what an address names, such as `sbom:FILE` or `registry:IMAGE@DIGEST`.

    `source` is the name of that for people. Raise `Failure` if Grype cannot scan it.
    """
    completed = programs.run([program, address, "--quiet", "--output", "json"], env=QUIET, seconds=SECONDS)
    if completed.returncode:
        raise Failure(f"{source} could not be scanned: {programs.last_line(completed)}; run this again")
    try:
        report = msgspec.json.decode(completed.stdout, type=_Report)
    except msgspec.MsgspecError as error:
        raise Failure(
            f"{source}: Grype's report has another form: {error}; use the version that the workflow pins"
        ) from None
    return [_named(match, source) for match in report.matches]


def _named(match: _Match, source: str) -> Vulnerability:
    found, artifact = match.vulnerability, match.artifact
    return Vulnerability(
        id=found.id,
        aliases=tuple(sorted({one.id for one in match.related or []} - {found.id})),
        severity=found.severity.lower(),
        package=artifact.name,
        version=artifact.version,
        kind=artifact.type,
        fixed=tuple(found.fix.versions or ()) if found.fix.state == "fixed" else (),
        source=source,
    )


def list_of_locks(folder: Path) -> str:
    """Return the packages of the locks in a folder as a CycloneDX document. Raise `Failure` if no lock pins one.

    Grype itself reads only files with `requirements` in their names.
    """
    locks = sorted(folder.glob("*.txt"))
    pinned = sorted({found for lock in locks for found in PINNED.findall(lock.read_text(encoding="utf-8"))})
    if not pinned:
        raise Failure(f"no package is pinned in {folder}/*.txt; write the locks with `make lock`")
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        for name, version in pinned
    ]
    return json.dumps(
        {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}, indent=1
    )
