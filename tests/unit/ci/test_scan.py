"""What a scan refuses, what an exception lets pass, and until when."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from delivery.adapters.grype import Vulnerability
from delivery.ci import exceptions, scan
from delivery.core.errors import Failure

TODAY = date(2026, 11, 28)
FOUND = Vulnerability("GHSA-1", ("CVE-1",), "high", "fastapi", "1.0", "python", ("2.0",), "requirements/")


def changed(**changes: object) -> Vulnerability:
    values = {name: getattr(FOUND, name) for name in FOUND.__struct_fields__}
    return Vulnerability(**(values | changes))


def entry(**changes: object) -> exceptions.Excepted:
    values: dict[str, object] = {"id": "GHSA-1", "until": TODAY, "reason": "never called"}
    return exceptions.Excepted(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (FOUND, True),
        (changed(severity="critical"), True),
        (changed(severity="medium"), False),
        (changed(severity="unknown"), False),
        (changed(fixed=()), False),
    ],
)
def test_what_is_severe_and_has_a_fix_is_refused(found: Vulnerability, refused: bool) -> None:
    judged = scan.judge([found], [], TODAY)
    assert judged.refused == ((found,) if refused else ())
    assert judged.others == (0 if refused else 1)


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        (entry(), True),  # the day itself is included
        (entry(id="CVE-1"), True),
        (entry(package="fastapi"), True),
        (entry(package="numpy"), False),
        (entry(id="GHSA-2"), False),
        (entry(until=TODAY - timedelta(days=1)), False),
    ],
)
def test_an_exception_is_for_a_vulnerability_and_ends(said: exceptions.Excepted, passes: bool) -> None:
    judged = scan.judge([FOUND], [said], TODAY)
    assert judged.excepted == (((FOUND, said),) if passes else ())
    assert judged.refused == (() if passes else (FOUND,))


def test_one_that_expired_does_not_hide_one_that_holds() -> None:
    over, holds = entry(until=TODAY - timedelta(days=1)), entry(until=TODAY + timedelta(days=1))
    judged = scan.judge([FOUND], [over, holds], TODAY)
    assert judged.excepted == ((FOUND, holds),)
    assert judged.expired == ()


def test_the_page_names_what_is_refused_with_its_fix_and_what_the_exceptions_say() -> None:
    over, idle = entry(until=TODAY - timedelta(days=1)), entry(id="CVE-9")
    base = changed(id="CVE-2", aliases=(), severity="critical", package="libssl3", kind="deb", source="image")
    page = scan.page(scan.judge([FOUND, base, changed(severity="low")], [over, idle], TODAY))
    assert "**❌ 2 severe vulnerabilities have a fix**; 1 less severe or without a fix." in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        "| `CVE-2` | critical | `libssl3` 1.0 | image | 2.0 | a newer digest of the base image in `Dockerfile` |",
        "| `GHSA-1`, `CVE-1` | high | `fastapi` 1.0 | requirements/ | 2.0 | `make lock UPGRADE='--upgrade-package fastapi'` |",
    ]
    assert "The exception for `GHSA-1` expired on 2026-11-27." in page
    assert "The exception for `CVE-9` is for nothing that was found; remove it." in page
    clean = scan.page(scan.judge([FOUND], [entry()], TODAY))
    assert "**✅ No severe vulnerability has a fix**; 0 less severe" in clean
    assert "`GHSA-1` of `fastapi` is excepted until 2026-11-28: never called" in clean


WRITTEN = '[[exception]]\nid = "CVE-1"\nuntil = 2027-01-31\nreason = "never called"\n'


def test_exceptions_are_read_from_a_file_that_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "vulnerabilities.toml"
    assert exceptions.load(path, TODAY) == ()
    path.write_text(WRITTEN)
    assert exceptions.load(path, TODAY) == (entry(id="CVE-1", until=date(2027, 1, 31)),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WRITTEN.replace("never called", " "), "the exception for CVE-1 has no reason"),
        (WRITTEN.replace("2027-01-31", "2027-05-28"), "lasts until 2027-05-28; 2027-05-27 is the latest day"),
        (WRITTEN.replace("until = 2027-01-31\n", ""), "missing required field `until`"),
        (WRITTEN + 'severity = "low"\n', "unknown field `severity`"),
        (WRITTEN.replace("[[exception]]", "[[exceptions]]"), "unknown field `exceptions`"),
        ("exception", "vulnerabilities.toml: "),
    ],
)  # fmt: skip
def test_an_exception_without_reason_or_real_end_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "vulnerabilities.toml"
    path.write_text(text)
    with pytest.raises(Failure, match=says):
        exceptions.load(path, TODAY)


def test_exceptions_in_another_encoding_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vulnerabilities.toml"
    path.write_bytes(WRITTEN.replace("never", "nie: größer").encode("latin-1"))
    with pytest.raises(Failure, match=r"vulnerabilities\.toml: 'utf-8' codec"):
        exceptions.load(path, TODAY)
