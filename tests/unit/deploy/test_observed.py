"""What a slot was started as, and who gets traffic, from files that a reboot leaves."""

from pathlib import Path

import pytest

from delivery.core.errors import Failure
from delivery.deploy.targets import container, observed, proxy, slots, state, supervised
from delivery.deploy.targets.state import Slot, State


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "docker", lambda *_: (_ for _ in ()).throw(FileNotFoundError("docker")))
    monkeypatch.setattr(slots, "ready", lambda slot: False)


def stopped(folder: Path, name: str, version: str, port: int) -> None:
    """The files of a slot whose processes a reboot has ended."""
    slots.model(folder, name).mkdir(parents=True)
    words = ["python", "-m", "delivery", "serve", "--port", str(port), "--version", version, "--log", "a b%c"]
    supervised.command(folder, name, slots.model(folder, name), words)


def test_a_slot_is_what_its_supervisor_was_to_run(tmp_path: Path) -> None:
    stopped(tmp_path, "blue", "7", 4711)
    words = observed.started_as(tmp_path, "blue")
    assert (observed.after(words, "--log"), observed.after(words, "--model")) == ("a b%c", "")
    found = observed.slot(tmp_path, "blue")
    assert found
    assert (found.name, found.port, found.version, found.image) == ("blue", 4711, "7", "")
    assert found.model, "the digest of its files"
    assert observed.slot(tmp_path, "green") is None


@pytest.mark.parametrize(("weights", "pointed", "serving"), [
    ({"blue": (4711, 0), "green": (4712, 100)}, "7", "8"),
    ({"blue": (4711, 100)}, "8", "7"),
    ({}, "8", "8"),
])  # fmt: skip
def test_what_serves_is_what_the_proxys_file_says_and_else_the_alias(
    weights: proxy.Weights, pointed: str, serving: str, tmp_path: Path
) -> None:
    stopped(tmp_path, "blue", "7", 4711)
    stopped(tmp_path, "green", "8", 4712)
    if weights:
        (tmp_path / "haproxy.cfg").write_text(proxy.config(8000, weights))
    now = observed.state(tmp_path, pointed)
    assert now.serving
    assert now.warm
    assert (now.serving.version, now.serving.rolled_back) == (serving, False)
    assert now.warm.rolled_back, "nobody knows that it was not"
    assert observed.orphans(tmp_path, now) == []
    assert observed.orphans(tmp_path, State(serving=now.serving)) == [now.warm.name]


def test_without_anything_nothing_is_observed(tmp_path: Path) -> None:
    assert observed.state(tmp_path, "1") == State()
    assert observed.traffic(tmp_path) == {}


def row(status: str, weight: str = "100") -> dict[str, str]:
    return {"status": status, "weight": weight}


@pytest.mark.parametrize(
    ("rows", "answering"),
    [
        ({"blue": row("UP"), "green": row("UP", "0"), "green-spare": row("UP")}, ["blue"]),
        ({"blue": row("DOWN"), "green": row("UP", "0"), "green-spare": row("UP")}, ["green"]),
        ({"blue": row("UP 1/2", "60"), "green": row("UP", "40")}, ["blue", "green"]),
        ({"blue": row("DOWN"), "green": row("MAINT"), "green-spare": row("MAINT")}, []),
    ],
)
def test_the_spare_slot_answers_if_no_other_does(
    rows: dict, answering: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "counters", lambda folder: rows)
    assert observed.answering(tmp_path) == answering


def test_a_damaged_state_is_a_failure_that_names_the_verb(tmp_path: Path) -> None:
    state.write(tmp_path, State(serving=Slot("blue", 1, "1", "digest-1")))
    path = tmp_path / "state.json"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(Failure, match="state.json cannot be read .*; `delivery repair"):
        state.read(tmp_path)
