"""An image counts as built here if GitHub attests it, or if git records it and the repository cannot attest."""

import json
import re
from pathlib import Path

import pytest

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.registry import attestation, integrity
from delivery.registry.integrity import GitRecord
from delivery.registry.version import Version

IMAGE = "ghcr.io/a/b@sha256:feed"
VERSION = Version(number="3", digest="m", release="r", image=IMAGE)


def recorded(number: str = "3", image: str = IMAGE, *, attested: bool = False) -> GitRecord:
    return GitRecord(number, "r", "m", image, attested)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose attestation was asked for."""
    images: list[str] = []
    monkeypatch.setattr(github, "refuse_unattested", images.append)
    return images


def given(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *records: GitRecord, private: bool = True, stale: str = ""
) -> None:
    event = folder / "event.json"
    event.write_text(json.dumps({"repository": {"private": private}}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setattr(integrity, "records", lambda: ({f"model-{r.version}-r": r for r in records}, stale))


def test_a_recorded_image_without_attestation_passes_in_a_private_repository(asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, recorded())
    assert attestation.refuse(VERSION) is False
    assert attestation.refuse_built(IMAGE, "failure") is False
    assert asked == []
    assert integrity.find(VERSION).text == "recorded in the tag model-3-r; attested: no (plan)"


@pytest.mark.parametrize(
    ("records", "private"),
    [
        ((recorded(),), False),  # a public one can always
        ((), True),  # nobody has recorded it
        ((recorded(attested=True),), True),
        ((recorded(image="ghcr.io/a/b@sha256:0ther"),), True),
        ((recorded(image=""),), True),
        ((recorded("2"),), True),
    ],
    ids=["public", "no record", "attested", "another image", "no image", "another version"],
)
def test_any_other_needs_its_attestation(records, private, asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, *records, private=private)
    assert attestation.refuse(VERSION) is True
    assert asked == [IMAGE]


def test_two_records_of_one_version_do_not_waive_it(asked, monkeypatch, tmp_path) -> None:
    """Who may push can make a second tag; the first one is protected."""
    given(monkeypatch, tmp_path, recorded(attested=True))
    both = {"model-3-a": recorded(), "model-3-r": recorded(attested=True)}
    monkeypatch.setattr(integrity, "records", lambda: (both, ""))
    assert attestation.refuse(VERSION) is True
    assert asked == [IMAGE]


def test_what_an_earlier_version_had_the_next_must_have(asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, recorded(), recorded("2", "ghcr.io/a/b@sha256:2", attested=True))
    said = re.escape(
        f"{IMAGE} is not attested, but the image of version 2 is; run the job again, or set the repository"
    )
    for refuse in (lambda: attestation.refuse(VERSION), lambda: attestation.refuse_built(IMAGE, "failure")):
        with pytest.raises(Failure, match=said):
            refuse()
    monkeypatch.setenv("ATTESTATIONS", "none")
    assert attestation.refuse(VERSION) is False
    assert attestation.refuse_built(IMAGE, "failure") is False
    assert asked == []


@pytest.mark.parametrize("number", ["0", "3"])
def test_a_record_under_a_lower_number_does_not_waive_it(number, asked, monkeypatch, tmp_path) -> None:
    """Who may push can make a tag for a number that has none, and who writes the store a version of that number."""
    forged = Version(number=number, digest="m", release="r", image=IMAGE)
    given(monkeypatch, tmp_path, recorded(number), recorded("4", "ghcr.io/a/b@sha256:4", attested=True))
    with pytest.raises(Failure, match="is not attested, but the image of version 4 is"):
        attestation.refuse(forged)
    monkeypatch.setenv("ATTESTATIONS", "none")
    assert attestation.refuse(forged) is False


def test_a_record_of_a_laptop_is_no_attestation(asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, recorded(), recorded("2", "", attested=True))
    assert attestation.refuse(VERSION) is False


def test_without_the_tags_nothing_is_waived(asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, recorded(), stale="no route to host")
    with pytest.raises(Failure, match="the tags that record versions cannot be read \\(no route to host\\)"):
        attestation.refuse_built(IMAGE, "failure")


@pytest.mark.parametrize(("outcome", "private"), [("success", True), ("failure", False)])
def test_a_built_image_is_asked_for(outcome, private, asked, monkeypatch, tmp_path) -> None:
    given(monkeypatch, tmp_path, private=private)
    assert attestation.refuse_built(IMAGE, outcome) is True
    assert asked == [IMAGE]
