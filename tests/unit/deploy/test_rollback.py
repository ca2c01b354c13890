"""What a rollback records where it has nothing to switch."""

from typing import Any

import msgspec
import pytest

from delivery.core.errors import Failure
from delivery.deploy import environments, rollback
from delivery.deploy.owed import Rollback


class Target:
    """Version 1 serves; version 2, whose deployment was killed, is removed."""

    environment, removed, location = "staging", "2", "at http://127.0.0.1:8000"

    def __init__(self) -> None:
        self.kept = b""

    def serving(self) -> str:
        return "1"

    def owe(self, content: bytes) -> None:
        self.kept = content


def test_a_registry_that_does_not_answer_loses_no_record_of_a_killed_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def locked(*_: Any) -> None:
        raise Failure("database is locked")

    monkeypatch.setattr(environments, "failed", lambda *_: None)
    monkeypatch.setattr(environments, "reconcile", locked)
    target: Any = Target()
    with pytest.raises(Failure, match="database is locked"):
        rollback.undone(target, "it is slow", [])
    (record,) = msgspec.json.decode(target.kept, type=list[Rollback])
    assert (record.left, record.to, record.reason) == ("2", "1", "it is slow")
