"""What may go wrong at night, planted for real: the old version serves, the alias is on it, nothing is left over."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from host import EQUAL, Site, after, failures, wait_for
from sample import change

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.deploy import canary, environments, follow, owed, shadow
from delivery.deploy.targets import host, process, proxy, slots, state
from delivery.registry import registry
from delivery.registry.version import rolled_back

pytestmark = pytest.mark.xdist_group("registry")


REFUSED: dict[str, tuple[str, dict, str]] = {
    "never ready": ("2", {"hang": True}, "did not become ready"),
    "ends at its start": ("2", {"exit": "no room for a model"}, "did not become ready: error: no room for a model"),
    "wrong predictions": ("3", {"nothing": True}, "breaks its contract: 24 known rows, one by one"),
    "ready, then crashing": ("2", {"dies": True}, "version 2 "),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_version_that_does_not_do_is_refused(fault: str, one: Site, capsys) -> None:
    version, what, why = REFUSED[fault]
    one.fault(version, **what)
    if "hang" in what:
        change(one.folder, {"deploy.ready_seconds": 1})
    with one.load() as seen:
        assert one.deploy(version) == 1
        one.settled("1")
    said = capsys.readouterr().err
    assert why in said
    assert "; version 1 still serves staging" in said
    assert failures(seen) == {}
    assert one.run("history") == 0
    assert "→ " + version in capsys.readouterr().out  # the attempt is not forgotten


WORSE = {
    "slow": ({"slow": 0.1}, "mean "),  # far above what a busy machine adds to both
    "errors on 2 % of the requests": ({"errors": 0.02}, "requests failed"),
    "other scores": ({"scores": 0.3}, "the scores have moved"),
}


@pytest.mark.parametrize("fault", WORSE)
def test_a_canary_that_is_worse_is_taken_back(fault: str, one: Site, capsys) -> None:
    what, why = WORSE[fault]
    one.fault("2", **what)
    one.canary(requests=600 if "errors" in what else 60)
    with one.load() as seen:
        assert one.deploy("2", "--canary", "50%") == 1
        one.settled("1")
    said = capsys.readouterr().err
    assert "canary at 50 %: " in said
    assert why in said
    assert "version 1 still serves staging" in said
    assert set(failures(seen)) <= {"500"}  # its own, to a share of the clients; no connection was lost


def test_a_canary_without_enough_requests_decides_nothing(one: Site, capsys) -> None:
    one.canary(seconds=0.5, hold_seconds=0.5)
    assert one.deploy("2", "--canary", "50%") == 1
    said = capsys.readouterr()
    assert "only 0 and 0 of 60 requests came in 0.5 s, too little to decide. It is held at 50 %" in said.out
    assert "only 0 and 0 of 60 requests came in 1 s, so nothing is decided" in said.err
    assert "without" not in said.err
    one.settled("1")


def test_a_person_steers_a_canary(one: Site, capsys) -> None:
    one.canary(requests=100_000, seconds=60)
    assert one.run("steer", "staging", "--end") == 1
    assert "no command changes staging now" in capsys.readouterr().err
    with one.load() as seen:
        verb = one.begun("deploy", "2", "staging", "--canary", "2%")
        wait_for(lambda: proxy.running(one.home) and proxy.counters(one.home)["blue"]["weight"] in ("2", "98"))
        assert one.run("steer", "staging", "--share", "60%") == 0
        wait_for(lambda: proxy.counters(one.home)["blue"]["weight"] in ("40", "60"))
        assert one.run("steer", "staging", "--end") == 0
        assert os.waitstatus_to_exitcode(os.waitpid(verb, 0)[1]) == 1
        one.settled("1")
    assert failures(seen) == {}


def test_a_version_that_refuses_what_the_old_one_answers_does_not_pass(one: Site, capsys) -> None:
    one.fault("2", refuses=0.5)
    one.canary(requests=200)
    with one.load():
        assert one.deploy("2", "--canary", "50%") == 1
        one.settled("1")
        assert "requests were answered 422, 0 of " in capsys.readouterr().err
        change(one.folder, {"deploy.watch_seconds": 20})
        assert one.deploy("2") == 1
        one.settled("1")
    said = capsys.readouterr().err
    assert "version 2 after the switch: " in said
    assert "requests were answered 422, 0 of " in said


def test_clients_that_are_wrong_at_both_versions_end_no_canary(one: Site) -> None:
    one.rows[::2] = [row | {"unknown": 1} for row in one.rows[::2]]
    one.canary(requests=60, **EQUAL)
    try:
        with one.load() as seen:
            assert one.deploy("2", "--canary", "50%") == 0
            one.settled("2")
    finally:
        for row in one.rows:
            row.pop("unknown", None)
    assert failures(seen).keys() == {"422"}


# In turn; where the alias has moved already, the same command again finds its version serving.
STEPS = {
    "the plan is written": after(state, "write"),
    "it is being started": after(slots, "_spawn"),
    "it is ready": after(slots, "start"),
    "it has taken over": after(host.Host, "take_over"),
    "the alias has moved": after(environments, "point"),
    "before the lock is free": after(host.Host, "finish"),
}


STARTS = 3  # steps in which the new version is not warm yet


def test_killed_at_every_step_and_run_again(one: Site) -> None:
    with one.load() as seen:
        for turn, step in enumerate(STEPS):
            old, new = ("1", "2") if turn % 2 == 0 else ("2", "1")
            if turn < STARTS and (warm := state.read(one.home).warm):
                process.end(str(slots.model(one.home, warm.name)))  # else it would not be started
            assert one.killed(STEPS[step], "deploy", new, "staging"), step
            assert one.serving() in (old, new), step
            assert one.deploy(new) == 0, step
            one.settled(new)
    assert failures(seen) == {}


@pytest.mark.parametrize(
    "step", [after(host.Host, "counts"), after(canary, "step")], ids=["within a step", "after a step"]
)
def test_killed_in_a_canary_and_run_again(step: Callable[[], None], one: Site) -> None:
    one.canary(requests=20, **EQUAL)
    with one.load() as seen:
        assert one.killed(step, "deploy", "2", "staging", "--canary", "40%")
        assert one.alias() == "1"
        assert one.deploy("2", "--canary", "40%") == 0
        one.settled("2")
    assert failures(seen) == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1)])
def test_a_signal_in_a_canary_undoes_it_at_once(number: signal.Signals, code: int, one: Site) -> None:
    one.canary(requests=100_000, seconds=600)
    with one.load() as seen:
        verb = one.begun("deploy", "2", "staging", "--canary", "40%")
        wait_for(lambda: seen["2"] > 5)
        begun = time.monotonic()
        os.kill(verb, number)
        _, status = os.waitpid(verb, 0)
        assert time.monotonic() - begun < 60  # a tenth of the canary, however busy the machine is
        assert os.waitstatus_to_exitcode(status) == code
        one.settled("1")
    assert failures(seen) == {}


@pytest.mark.parametrize("step", [after(host.Host, "counts"), after(shadow, "compare")], ids=["within it", "after it"])
def test_killed_in_a_shadow_and_run_again(step: Callable[[], None], one: Site, capsys) -> None:
    one.canary(requests=20)
    with one.load() as seen:
        assert one.killed(step, "deploy", "2", "staging", "--shadow")
        assert one.deploy("2", "--shadow") == 0
        one.settled("1")
    assert "a command ended before version 2 was final; it is removed" in capsys.readouterr().out
    assert set(seen) == {"1"}
    wait_for(lambda: not process.having(follow.__file__))  # who read the log ends with who asked it to


def test_killed_in_a_rollback_and_run_again(one: Site, capsys) -> None:
    assert one.deploy("2") == 0
    with one.load() as seen:
        assert one.killed(after(host.Host, "take_over"), "rollback", "staging")
        assert one.rollback() == 0
    one.settled("1")
    assert failures(seen) == {}


def test_the_registry_goes_away_in_the_middle(one: Site, capsys, monkeypatch) -> None:
    take_over = host.Host.take_over

    def gone(*words) -> None:
        take_over(*words)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    monkeypatch.setattr(host.Host, "take_over", gone)
    assert one.deploy("2") == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    said = capsys.readouterr().err
    assert "the registry at http://127.0.0.1:9 does not answer" in said
    assert "version 1 still serves staging" in said
    one.settled("1")


@contextmanager
def locked_registry() -> Iterator[None]:
    """Another process holds the lock of the registry's database."""
    program = (
        "import sqlite3, sys, time; held = sqlite3.connect(sys.argv[1]); held.execute('BEGIN EXCLUSIVE'); "
        "print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(workspace.REGISTRY_DATABASE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()


@contextmanager
def deleted_store() -> Iterator[None]:
    aside = workspace.STORE.rename(workspace.STORE.with_name(".aside"))
    try:
        yield
        assert not workspace.STORE.exists()  # nobody has made an empty one
    finally:
        aside.rename(workspace.STORE)


@contextmanager
def unreachable_registry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield


@pytest.mark.parametrize(
    ("away", "why"),
    [
        (locked_registry, "database is locked"),
        (deleted_store, "there is no registry"),
        (unreachable_registry, "the registry at http://127.0.0.1:9 does not answer"),
    ],
)
def test_a_rollback_is_final_without_the_registry(away, why: str, one: Site, capsys) -> None:
    """The bad version gets no request back; the record follows once the registry answers."""
    assert one.deploy("2") == 0
    with one.load() as seen:
        with away():
            assert one.rollback("--reason", "too slow") == 1
            assert one.serving() == "1"
            seen.clear()
            wait_for(lambda: sum(seen.values()) > 20)
        assert set(seen) == {"1"}
        said = capsys.readouterr().err
        assert "version 1 serves staging again, but the registry has no record of it yet (" in said
        assert why in said
        assert one.alias() == "2"
        assert one.rollback() == 0  # a person repeats it; no version before 1 is looked for
        assert "`staging` is back to version 1; version 2 is marked" in capsys.readouterr().out
    assert set(seen) == {"1"}
    one.settled("1")
    assert "too slow" in rolled_back(registry.find("2"), "staging")
    assert one.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"], event["before"], event["reason"]) == ("1", "rollback", "2", "too slow")


def test_a_deployment_records_the_rollback_before_it_first(one: Site, capsys) -> None:
    assert one.deploy("2") == 0
    with deleted_store():
        assert one.rollback() == 1
        assert one.deploy("2") == 1
        assert "there is no registry: .store/mlflow/mlflow.db is missing" in capsys.readouterr().err
        one_serving = one.serving()
    assert one_serving == "1"
    assert one.deploy("2") == 0
    one.settled("2")
    assert one.run("history", "--json") == 0
    events = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))["events"][-2:]
    assert [(event["version"], event["how"]) for event in events] == [("1", "rollback"), ("2", "deploy")]


def test_killed_between_the_switch_of_a_rollback_and_its_record(one: Site) -> None:
    for step in (after(host.Host, "take_over"), after(host.Host, "finish")):
        assert one.deploy("2") == 0
        with one.load() as seen:
            assert one.killed(step, "rollback", "staging")
            assert (one.serving(), one.alias()) == ("1", "2")
            seen.clear()
            assert one.rollback() == 0
            assert "2" not in seen
            one.settled("1")
        assert failures(seen) == {}
        assert rolled_back(registry.find("2"), "staging")
        warm = state.read(one.home).warm
        assert warm
        assert warm.rolled_back


def test_a_rollback_after_a_killed_deployment_goes_back_one_step(one: Site, capsys) -> None:
    """To what served before it, which nobody has called bad; it went one further, and marked that one as left."""
    assert one.deploy("2") == 0
    with one.load() as seen:
        for step in (after(host.Host, "take_over"), after(host.Host, "shift")):
            assert one.killed(step, "deploy", "1", "staging"), "version 1 has clients, the alias is on 2"
            assert one.rollback("--reason", "it is slow") == 0
            one.settled("2")
    assert failures(seen) == {}
    assert "it is slow" in rolled_back(registry.find("1"), "staging")
    assert not rolled_back(registry.find("2"), "staging")
    assert "version 1 is marked as rolled back. Its deployment had been killed" in capsys.readouterr().out
    assert one.killed(after(host.Host, "start"), "deploy", "3", "staging"), "which no client has met"
    assert one.deploy("1") == 0
    assert one.rollback() == 0
    one.settled("2")


def test_a_rollback_that_is_killed_before_the_switch_is_finished_by_the_next_command(one: Site, capsys) -> None:
    """A person has said that the version that serves is bad: it must not stay, nor come back."""
    assert one.deploy("2") == 0
    with one.load() as seen:
        assert one.killed(after(owed, "keep"), "rollback", "staging", "--reason", "bad")
        assert one.serving() == "2"
        assert one.run("repair", "staging") == 0
        one.settled("1")
    assert failures(seen) == {}
    assert "a command ended before version 1 was final; it serves now" in capsys.readouterr().out
    assert "bad" in rolled_back(registry.find("2"), "staging")


def test_a_rollback_that_is_refused_owes_nothing(one: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one.deploy("2") == 0

    def refused(*_: object) -> None:
        assert (one.home / host.OWED).exists()
        raise Failure("planted")

    monkeypatch.setattr(host.Host, "take_over", refused)
    assert one.rollback() == 1
    one.settled("2")
    assert not (one.home / host.OWED).exists()


def test_a_rollback_that_fails_after_it_was_final_is_recorded_by_the_next_command(
    one: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one.deploy("2") == 0

    def silent(*_: object) -> bool:
        raise Failure("the proxy of staging does not answer (timed out)")

    with monkeypatch.context() as patch:
        patch.setattr(proxy, "drained", silent)
        assert one.rollback("--reason", "bad") == 1
    assert (one.serving(), one.alias()) == ("1", "2")
    assert one.run("repair", "staging") == 0
    one.settled("1")
    assert "bad" in rolled_back(registry.find("2"), "staging")


def test_a_version_whose_files_are_gone(one: Site, capsys) -> None:
    assert one.deploy("2") == 0
    warm = state.read(one.home).warm
    assert warm
    process.end(str(slots.model(one.home, warm.name)))
    aside = workspace.REGISTRY_ARTIFACTS.rename(workspace.REGISTRY_ARTIFACTS.with_name("aside"))
    assert one.rollback() == 1
    aside.rename(workspace.REGISTRY_ARTIFACTS)
    said = capsys.readouterr().err
    assert "the files of version 1 are not in" in said
    assert "version 2 still serves staging" in said
    assert one.serving() == one.alias() == "2"


def test_a_full_disk(one: Site, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may grow beyond 20 kB, as on a disk with no more room: the model does not fit."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would leave compiled modules cut off
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # nor its children
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        assert one.deploy("2") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert "ile too large" in said
    assert "version 1 still serves staging" in said
    one.settled("1")


def test_a_first_deployment_that_fails_leaves_nothing(site: Site, capsys) -> None:
    assert site.deploy("3") == 1
    assert "nothing serves staging, as before" in capsys.readouterr().err
    site.nothing()
    assert site.rollback() == 1
    assert "nothing serves staging; deploy a version" in capsys.readouterr().err
    assert site.deploy("1") == 0
    assert site.rollback() == 1
    assert "no earlier good version of staging is known" in capsys.readouterr().err
    site.settled("1")


def test_a_port_that_is_taken(site: Site, capsys) -> None:
    import socket

    with socket.create_server(("127.0.0.1", site.port)):
        assert site.deploy("1") == 1
    assert f"port {site.port} of the proxy is not free" in capsys.readouterr().err
    site.nothing()


def test_without_the_proxy_the_package_is_named(site: Site, capsys, monkeypatch) -> None:
    monkeypatch.setattr(proxy.shutil, "which", lambda name: None)
    assert site.deploy("1") == 1
    assert "haproxy is missing; install it" in capsys.readouterr().err
    site.nothing()
