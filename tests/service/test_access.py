"""Who may ask: tokens, their rotation, and the refusal to stand open."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live import ask, command, serving
from sample import ROOT

from delivery.core.errors import Failure
from delivery.service import access
from delivery.service.access import Tokens, refuse_open


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (b"Bearer one", True),
        (b"bearer two", True),
        (b"Bearer  two ", True),
        (b"Bearer three", False),
        (b"Bearer one,two", False),
        (b"Bearer ", False),
        (b"Basic one", False),
        (b"one", False),
        (b"Bearer \xff", False),
        (None, False),
    ],
)
def test_any_of_the_tokens_opens_and_nothing_else(header: bytes | None, allowed: bool) -> None:
    assert Tokens("one, two").allow(header) is allowed


def test_a_token_may_have_the_name_of_a_client(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("billing:one\nbilling:two  # since Monday\nplain\nweb-2:a:b\n")
    tokens = Tokens("ops:three,9:nine", path)
    given = {"one": "billing", "two": "billing", "plain": "", "a:b": "web-2", "three": "ops", "9:nine": ""}
    assert {token: tokens.client(f"Bearer {token}".encode()) for token in given} == given
    for other in ("billing", "billing:one", "ops:three", ""):
        assert tokens.client(f"Bearer {other}".encode()) is None
    assert Tokens().client(None) == ""


def test_a_name_without_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a token of its own, `billing:` would be easy to guess."""
    path = tmp_path / "tokens"
    path.write_text("billing: \n")
    with pytest.raises(Failure, match="the token of billing is empty"):
        Tokens("", path)
    with pytest.raises(Failure, match="the token of ops is empty"):
        Tokens("ops: three")
    monkeypatch.setattr(access, "AGAIN", -1.0)
    path.write_text("billing:one\n")
    tokens = Tokens("", path)
    path.write_text("billing:\n")
    assert tokens.client(b"Bearer one") == "billing"
    assert tokens.client(b"Bearer billing:") is None


def test_no_token_asks_for_none() -> None:
    assert Tokens().allow(None)


def test_every_digest_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constant time: the comparison does not stop at the first match, and sees digests only."""
    seen: list[bytes] = []

    def compare(presented: bytes, known: bytes) -> bool:
        seen.append(known)
        return presented == known

    monkeypatch.setattr(access.hmac, "compare_digest", compare)
    assert Tokens("one two three").allow(b"Bearer one")
    assert len(seen) == 3
    assert {len(digest) for digest in seen} == {32}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("# of the team\nold  # until Friday\n\n")
    return path


def test_the_file_is_read_again_when_it_changes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "AGAIN", -1.0)
    tokens = Tokens("fixed", file)
    assert tokens.allow(b"Bearer old")
    file.write_text("old\nnew\n")
    assert tokens.allow(b"Bearer new")
    file.write_text("new\n")
    assert not tokens.allow(b"Bearer old")
    assert tokens.allow(b"Bearer fixed")


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("# none\n"), Path.unlink], ids=["empty", "gone"])
def test_a_broken_rotation_keeps_the_door_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch, spoil: object) -> None:
    monkeypatch.setattr(access, "AGAIN", -1.0)
    tokens = Tokens("", file)
    spoil(file)  # type: ignore[operator]
    assert tokens.allow(b"Bearer old")
    assert not tokens.allow(b"Bearer other")


def test_a_file_without_tokens_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n# nothing\n")
    with pytest.raises(Failure, match="holds no token"):
        Tokens("", tmp_path / "empty")
    with pytest.raises(Failure, match="must hold the tokens"):
        Tokens("", tmp_path / "absent")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_may_stand_open(host: str) -> None:
    refuse_open(Tokens(), host, declared_open=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_addresses_want_a_token_or_a_word(host: str) -> None:
    with pytest.raises(Failure, match="SERVE_OPEN"):
        refuse_open(Tokens(), host, declared_open=False)
    refuse_open(Tokens(), host, declared_open=True)
    refuse_open(Tokens("secret"), host, declared_open=False)


def test_the_command_refuses_to_stand_open(exported: Path) -> None:
    done = subprocess.run(
        command(exported, "--host", "0.0.0.0"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: refusing to answer anybody")
    assert len(done.stderr.splitlines()) == 1


def test_a_running_service_rotates_its_tokens(exported: Path, good: dict, file: Path) -> None:
    with serving(exported, "--tokens-file", str(file), SERVE_TOKENS="fixed") as service:
        url = service.url
        for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
            assert ask(url + path).status == 200
        for path, body in (("/version", None), ("/predict", good)):
            refused = ask(url + path, body)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
            for token in ("fixed", "old"):
                assert ask(url + path, body, authorization=f"Bearer {token}").status == 200
        file.write_text("new\n")
        os.utime(file, ns=(1, 1))
        wait_until(lambda: ask(f"{url}/version", authorization="Bearer old").status == 401)
        assert ask(f"{url}/predict", good, authorization="Bearer new").status == 200


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
