"""What is set up and what is not, each with what mends it."""

from pathlib import Path

import made
import pytest

from delivery.core import params
from delivery.fork import doctor


@pytest.mark.parametrize(
    ("said", "state", "found"),
    [
        ({}, "ready", "Intended use, "),
        ({"Limits": f"{params.UNWRITTEN}: what it must not be trusted with."}, "optional", "Limits: to be written"),
        ({"Limits": " "}, "missing", "says nothing of Limits: no version can be registered"),
    ],
)
def test_a_card_that_nobody_has_written_is_told(
    said: dict[str, str], state: str, found: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = params.load(made.ROOT / "params.yaml")
    changed = made.changed(written, card=dict.fromkeys(params.CARD_SECTIONS, "A sentence.") | said)
    monkeypatch.setattr(params, "load", lambda: changed)
    finding = doctor.model_card()
    assert finding.state == state
    assert finding.found.startswith(found)
    assert state == "ready" or "under `card` in params.yaml" in finding.fix
