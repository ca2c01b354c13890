"""What may go wrong at night, planted for real: the old version serves, the alias is on it, nothing is left over."""

import resource
import signal
import sys
from collections.abc import Callable

import pytest
from host import Site, die, failures, wait_for

from delivery.core import workspace
from delivery.deploy import canary, deploy, environments, shadow
from delivery.deploy.targets import counts, host, proxy, slots, state

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
        from sample import change

        change(one.folder, {"deploy.ready_seconds": 1})
    with one.load() as seen:
        assert one.deploy(version) == 1
        one.settled("1")
    said = capsys.readouterr().err
    assert why in said
    assert "; version 1 goes on serving staging" in said
    assert failures(seen) == {}
    assert one.run("history") == 0
    assert "→ " + version in capsys.readouterr().out  # the attempt is not forgotten


WORSE = {
    "slow": ({"slow": 0.03}, "mean "),
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
    assert "version 1 goes on serving staging" in said
    assert set(failures(seen)) <= {"500"}  # its own, to a share of the clients; no connection was lost


def test_a_canary_without_enough_requests_decides_nothing(one: Site, capsys) -> None:
    one.canary(seconds=0.5)
    assert one.deploy("2", "--canary", "50%") == 1
    assert "only 0 and 0 of 60 requests came in 0.5 s; lower deploy.canary.requests" in capsys.readouterr().err
    one.settled("1")


def after(module: object, name: str) -> Callable[[], None]:
    """Dies once a function has done its work."""
    real = getattr(module, name)

    def arm() -> None:
        def dying(*words, **more):
            real(*words, **more)
            die()

        setattr(module, name, dying)

    return arm


# In turn; where the alias has moved already, the same command again finds its version serving.
STEPS = {
    "the plan is written": after(state, "write"),
    "it is being started": after(slots, "_spawn"),
    "it is ready": after(slots, "start"),
    "it gets requests": after(host.Host, "share"),
    "it was watched": after(deploy, "switch"),
    "the alias has moved": after(environments, "point"),
    "before the old one is drained": after(host.Host, "keep"),
}


STARTS = 3  # steps in which the new version is not warm yet


def test_killed_at_every_step_and_run_again(one: Site) -> None:
    with one.load() as seen:
        for turn, step in enumerate(STEPS):
            old, new = ("1", "2") if turn % 2 == 0 else ("2", "1")
            if turn < STARTS and (warm := state.read(one.home).warm):
                slots.end(str(slots.model(one.home, warm.name)))  # else it would not be started
            assert one.killed(STEPS[step], "deploy", new, "staging"), step
            assert one.serving() in (old, new), step
            assert one.deploy(new) == 0, step
            one.settled(new)
    assert failures(seen) == {}


@pytest.mark.parametrize("step", [after(counts, "of"), after(canary, "step")], ids=["within a step", "after a step"])
def test_killed_in_a_canary_and_run_again(step: Callable[[], None], one: Site) -> None:
    one.canary(requests=20, max_slower=9, score_psi=9)  # so few that chance might decide
    with one.load() as seen:
        assert one.killed(step, "deploy", "2", "staging", "--canary", "40%")
        assert one.alias() == "1"
        assert one.deploy("2", "--canary", "40%") == 0
        one.settled("2")
    assert failures(seen) == {}


@pytest.mark.parametrize("step", [after(counts, "of"), after(shadow, "compare")], ids=["within it", "after it"])
def test_killed_in_a_shadow_and_run_again(step: Callable[[], None], one: Site, capsys) -> None:
    one.canary(requests=20)
    with one.load() as seen:
        assert one.killed(step, "deploy", "2", "staging", "--shadow")
        assert one.deploy("2", "--shadow") == 0
        one.settled("1")
    assert "version 2 was left half-way; it is removed" in capsys.readouterr().out
    assert set(seen) == {"1"}
    wait_for(lambda: not slots.having(shadow.FOLLOW))  # who read the log ends with who asked it to


def test_killed_in_a_rollback_and_run_again(one: Site, capsys) -> None:
    assert one.deploy("2") == 0
    with one.load() as seen:
        assert one.killed(after(host.Host, "share"), "rollback", "staging")
        assert one.rollback() == 0
    one.settled("1")
    assert failures(seen) == {}


def test_the_registry_goes_away_in_the_middle(one: Site, capsys, monkeypatch) -> None:
    watch = host.watch

    def gone(*words) -> None:
        watch(*words)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    monkeypatch.setattr(host, "watch", gone)
    assert one.deploy("2") == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    said = capsys.readouterr().err
    assert "the registry at http://127.0.0.1:9 does not answer" in said
    assert "version 1 goes on serving staging" in said
    one.settled("1")


def test_a_version_whose_files_are_gone(one: Site, capsys) -> None:
    assert one.deploy("2") == 0
    warm = state.read(one.home).warm
    assert warm
    slots.end(str(slots.model(one.home, warm.name)))
    aside = workspace.REGISTRY_ARTIFACTS.rename(workspace.REGISTRY_ARTIFACTS.with_name("aside"))
    assert one.rollback() == 1
    aside.rename(workspace.REGISTRY_ARTIFACTS)
    said = capsys.readouterr().err
    assert "the files of version 1 are not in" in said
    assert "version 2 goes on serving staging" in said
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
    assert "version 1 goes on serving staging" in said
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
    assert f"the proxy cannot have port {site.port}" in capsys.readouterr().err
    site.nothing()


def test_without_the_proxy_the_package_is_named(site: Site, capsys, monkeypatch) -> None:
    monkeypatch.setattr(proxy.shutil, "which", lambda name: None)
    assert site.deploy("1") == 1
    assert "haproxy is missing; install it" in capsys.readouterr().err
    site.nothing()
