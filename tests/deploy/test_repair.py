"""What a host may look like in the morning: `status` says what answers, and `repair` brings the rest back."""

import json
from collections.abc import Callable
from urllib.error import HTTPError

import pytest
from host import CLIENTS, Site, after, failures, kill, wait_for

from delivery.core import workspace
from delivery.deploy.targets import host, loopback, proxy, slots, state
from delivery.deploy.targets.state import Slot, State

pytestmark = pytest.mark.xdist_group("registry")


def kill_proxy(site: Site) -> None:
    kill(str(site.home / "haproxy.cfg"))


def kill_everything(site: Site) -> None:
    kill(*(str(slots.model(site.home, name)) for name in proxy.SLOTS), str(site.home / "haproxy.cfg"))


def kill_serving(site: Site) -> None:
    """With its supervisor, which would bring it back."""
    serving = state.read(site.home).serving
    assert serving
    kill(str(slots.model(site.home, serving.name)))


def truncate_state(site: Site) -> None:
    path = site.home / "state.json"
    path.write_bytes(path.read_bytes()[:100])


def remove_socket(site: Site) -> None:
    (site.home / "admin.sock").unlink()


def seen(site: Site, capsys: pytest.CaptureFixture) -> tuple[int, dict]:
    """The exit code of `status` and its row."""
    capsys.readouterr()
    code = site.run("status", "--json")
    said = capsys.readouterr().out
    return code, json.loads(said[said.index("[\n") :])[0]


SERVED: dict[str, tuple[Callable[[Site], None], str, str]] = {
    "state": (truncate_state, "2", "state.json cannot be read"),
    "socket": (remove_socket, "", "the proxy answers clients, but not on its socket"),
    "serving": (kill_serving, "1", "version 2 is not ready; version 1 answers"),
}


@pytest.mark.parametrize("damage", SERVED)
def test_what_still_serves_loses_no_request(damage: str, site: Site, capsys) -> None:
    break_it, answers, trouble = SERVED[damage]
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    assert seen(site, capsys)[1]["answers"] == "2"
    with site.load() as answered:
        break_it(site)
        if damage == "serving":
            wait_for(lambda: answered["1"] > 10)
        code, row = seen(site, capsys)
        assert (code, row["answers"]) == (1, answers)
        assert trouble in row["trouble"]
        assert "`delivery repair staging`" in row["trouble"]
        if damage == "serving":  # requests in flight of a process that was killed: a 502, or the connection is closed
            assert sum(failures(answered).values()) <= CLIENTS
            answered.clear()
        assert site.run("repair", "staging") == 0
        site.settled("2")
        code, row = seen(site, capsys)
        assert (code, row["answers"], row["warm"]) == (0, "2", "1")
        warm = state.read(site.home).warm
        assert warm
        assert not warm.rolled_back, "the registry knows that it was not"
    assert failures(answered) == {}
    assert site.rollback("--to", "1") == 0
    site.settled("1")


@pytest.mark.parametrize("break_it", [kill_everything, kill_proxy])
def test_a_reboot_and_a_dead_proxy(break_it: Callable[[Site], None], site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    break_it(site)
    code, row = seen(site, capsys)
    assert (code, row["answers"]) == (1, "")
    assert row["trouble"] == "the proxy is down, so nothing answers; `delivery repair staging` starts it"
    assert site.run("repair", "staging") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Version 2 answers."
    site.settled("2")
    code, row = seen(site, capsys)
    assert (code, row["warm"]) == (0, "1")
    assert site.run("repair", "staging") == 0
    assert "Nothing was to be repaired" in capsys.readouterr().out


def test_after_a_reboot_without_a_state_and_without_a_registry(site: Site, capsys) -> None:
    """The files of the slots say what they were started as; who served is what the proxy's file says."""
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    kill_everything(site)
    truncate_state(site)
    aside = workspace.STORE.rename("aside")
    assert site.run("repair", "staging") == 1  # the alias cannot be read
    assert site.serving() == "2"
    aside.rename(workspace.STORE)
    assert site.run("repair", "staging") == 0
    site.settled("2")


def test_status_says_what_it_can_without_the_registry(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    aside = workspace.STORE.rename("aside")
    code, row = seen(site, capsys)
    assert (code, row["answers"]) == (1, "2")
    assert row["trouble"].startswith("version 2 answers; there is no registry: ")
    assert site.rollback() == 1
    code, row = seen(site, capsys)
    assert row["trouble"].startswith(
        "version 1 serves after a rollback that is not recorded yet; `delivery repair staging`"
    )
    assert not workspace.STORE.exists()
    aside.rename(workspace.STORE)
    assert site.run("repair", "staging") == 0
    site.settled("1")
    assert seen(site, capsys)[0] == 0


def test_an_environment_that_asks_for_tokens_comes_back_asking(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "first")
    assert site.deploy("1") == 0
    monkeypatch.delenv("SERVE_TOKENS")
    kill_everything(site)
    assert site.run("repair", "staging") == 0
    assert site.serving_version("first") == "1"
    with pytest.raises(HTTPError, match="401"):
        site.serving()


def test_a_process_that_is_on_no_record_is_ended(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    with site.load() as answered:
        orphan = Slot("green", loopback.free_port(), "2", "digest-2")
        slots.start(site.home, orphan, site.folder / "models/2", 20)
        code, row = seen(site, capsys)
        assert (code, row["answers"]) == (1, "1")
        assert "slot green has a process that is on no record" in row["trouble"]
        assert site.run("repair", "staging") == 0
        site.settled("1")
    assert failures(answered) == {}


def test_a_canary_whose_verb_was_killed_is_removed(site: Site, capsys) -> None:
    site.canary(requests=20)
    assert site.deploy("1") == 0
    with site.load() as answered:
        assert site.killed(after(host.Host, "counts"), "deploy", "2", "staging", "--canary", "40%")
        code, row = seen(site, capsys)
        assert code == 1
        assert "a command ended before version 2 was final; version 1 and 2 answers" in row["trouble"]
        assert site.run("repair", "staging") == 0
        site.settled("1")
    assert failures(answered) == {}


def test_an_environment_that_is_only_rehearsed_has_nothing_to_repair(site: Site, capsys) -> None:
    assert site.run("repair", "production") == 1
    assert "nothing of production lasts (target rehearsal)" in capsys.readouterr().err
    assert state.read(site.home) == State()
