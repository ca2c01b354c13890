"""Whether an environment asks for a token is part of its state: only what a person says changes it."""

import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from answering import answering

from delivery.core.errors import Failure
from delivery.deploy.targets import tokens
from delivery.deploy.targets.tokens import Access


@pytest.fixture
def place(folder: Path) -> Path:
    (folder / "staging").mkdir()
    return folder / "staging"


@pytest.fixture(params=[200, 401])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A service that was started before access was on record, and the status of its answers without a token."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with answering(HTTPServer(("127.0.0.1", 0), Answer)) as url:
        yield url, request.param


def test_tokens_stay_until_somebody_says_otherwise(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens.settled(place, "") == Access()
    assert tokens.settled(place, "").environment() == {}
    monkeypatch.setenv("SERVE_TOKENS", "a,b")
    first = tokens.settled(place, "")
    assert first.environment() == {"SERVE_TOKENS": f"a,b,{first.own}"}
    assert len(first.own) >= 32
    monkeypatch.delenv("SERVE_TOKENS")
    assert tokens.settled(place, "http://127.0.0.1:9") == first, "nothing was said, so nothing has changed"
    monkeypatch.setenv("SERVE_TOKENS", "c")
    second = tokens.settled(place, "")
    assert (second.tokens, second.own) == ("c", first.own)
    assert second.name != first.name, "a slot with the old tokens is another one"
    monkeypatch.delenv("SERVE_TOKENS")
    monkeypatch.setenv("SERVE_OPEN", "yes")
    assert tokens.settled(place, "") == Access()
    monkeypatch.delenv("SERVE_OPEN")
    assert tokens.settled(place, "") == Access()
    tokens.final(place)
    assert list(place.iterdir()) == []


def test_a_version_that_is_not_final_changes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "a")
    tokens.settled(place, "")
    tokens.settled(place, "")  # a command was killed, and the next one has the variable, too
    tokens.restore(place)
    assert tokens.read(place) == Access()
    assert list(place.iterdir()) == []
    first = tokens.settled(place, "")
    tokens.final(place)
    monkeypatch.setenv("SERVE_TOKENS", "b")
    tokens.settled(place, "")
    tokens.restore(place)
    assert tokens.read(place) == first
    tokens.restore(place)
    assert tokens.read(place) == first, "nothing is left to return to"


@pytest.mark.parametrize("serves", [True, False])
def test_after_a_kill_the_version_that_serves_decides(
    place: Path, monkeypatch: pytest.MonkeyPatch, serves: bool
) -> None:
    """Killed once its version was recorded as the one that serves, or before."""
    monkeypatch.setenv("SERVE_TOKENS", "a")
    new = tokens.settled(place, "")
    tokens.settle(place, new.name if serves else Access().name)
    assert tokens.read(place) == (new if serves else Access())
    tokens.restore(place)
    assert tokens.read(place) == (new if serves else Access()), "that was final"


def test_a_file_of_tokens_is_handed_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS_FILE", "/etc/tokens")
    access = tokens.settled(place, "")
    assert access.environment() == {"SERVE_TOKENS": access.own, "SERVE_TOKENS_FILE": "/etc/tokens"}


def test_only_the_owner_can_read_them(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "a")
    tokens.settled(place, "")
    for file in place.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_service_that_asks_for_a_token_nobody_has_recorded_is_not_opened(
    place: Path, service: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, status = service
    if status == 200:
        assert tokens.settled(place, address) == Access()
        return
    with pytest.raises(
        Failure, match="staging asks its clients for a token, and neither SERVE_TOKENS nor SERVE_TOKENS_FILE"
    ):
        tokens.settled(place, address)
    monkeypatch.setenv("SERVE_OPEN", "yes")
    assert tokens.settled(place, address) == Access()


def test_a_damaged_record_opens_nothing(place: Path) -> None:
    (place / tokens.FILE).write_text("{")
    with pytest.raises(Failure, match=r"access\.json cannot be read"):
        tokens.settled(place, "")
