"""A version takes the place of another under load, and gives it back; nobody's request is lost."""

import json
import threading

import pytest
from host import NAME, Site, failures, wait_for

from delivery.core import workspace
from delivery.deploy.targets import proxy, slots, state
from delivery.registry import registry

pytestmark = pytest.mark.xdist_group("registry")


def test_deploy_again_roll_back_and_forth_under_load(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    site.settled("1")
    with site.load() as seen:
        assert site.deploy("2") == 0
        site.settled("2")
        capsys.readouterr()
        assert site.deploy("2") == 0
        assert "serves `staging` already" in capsys.readouterr().out
        site.reload()
        assert site.rollback("--reason", "too slow") == 0
        site.settled("1")
    assert failures(seen) == {}
    assert {"1", "2"} <= set(seen)
    tags = registry.find(registry.connect(), "2").tags
    assert "too slow" in tags["staging.rolled_back"]
    assert site.rollback() == 1  # version 2 is warm, but was left for a reason
    assert "no earlier good version of staging is known" in capsys.readouterr().err
    site.settled("1")
    assert site.rollback("--to", "2") == 0  # a person may insist
    site.settled("2")

    assert site.run("status", "--json") == 0
    said = capsys.readouterr().out
    (row,) = json.loads(said[said.index("[\n") :])
    assert (row["version"], row["how"], row["warm"], row["trouble"]) == ("2", "rollback", "1", "")
    assert row["address"] == f"http://127.0.0.1:{site.port}"
    assert site.run("history", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(event["version"], event["how"]) for event in told["events"]] == [
        ("1", "deploy"), ("2", "deploy"), ("1", "rollback"), ("2", "rollback"),
    ]  # fmt: skip
    assert told["events"][2]["reason"] == "too slow"
    assert told["figures"]["staging"]["failed_share"] == 0.5


def test_a_rollback_without_a_warm_slot_starts_the_version_again(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    warm = state.read(site.home).warm
    assert warm
    slots.end(str(slots.model(site.home, warm.name)))
    with site.load() as seen:
        assert site.rollback() == 0
        site.settled("1")
    assert failures(seen) == {}


def test_after_a_reboot_the_same_deployment_brings_it_back(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    proxy.stop(site.home)
    slots.end(str(slots.model(site.home, "blue")))
    capsys.readouterr()
    assert site.run("status") == 1
    assert "the proxy is down; deploy 1 again" in capsys.readouterr().out
    assert site.deploy("1") == 0
    assert site.serving() == site.alias() == "1"
    assert site.run("status") == 0


def test_two_at_once_are_one_and_a_refusal(site: Site, capsys, monkeypatch) -> None:
    """The lock is held by this thread, as another process would."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with state.locked(site.home):
            entered.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    wait_for(entered.is_set)
    try:
        assert site.deploy("1") == 1
        assert f"{NAME} is being changed by process" in capsys.readouterr().err
        assert site.rollback() == 1
    finally:
        leave.set()
        holder.join()
    assert site.deploy("1") == 0
    site.settled("1")


def test_canary_goes_up_in_steps_and_says_what_it_saw(site: Site, capsys) -> None:
    site.canary(steps=[10, 50])
    assert site.deploy("1", "--canary", "20%") == 0
    assert "no canary" in capsys.readouterr().out
    with site.load() as seen:
        assert site.deploy("2", "--canary", "20%") == 0
    assert failures(seen) == {}
    said = capsys.readouterr().out
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("canary at")][:2] == [
        "canary at 20 %", "canary at 50 %",
    ]  # fmt: skip
    site.settled("2")
    assert site.run("history", "--json") == 0
    assert json.loads(capsys.readouterr().out)["events"][-1]["how"] == "canary"


def test_a_shadow_is_compared_and_leaves_everything_as_it_was(site: Site, capsys) -> None:
    site.canary(requests=40, seconds=20)
    assert site.deploy("2", "--shadow") == 1
    assert "nothing serves staging, so there is nothing to shadow" in capsys.readouterr().err
    assert site.deploy("1") == 0
    with site.load() as seen:
        assert site.deploy("2", "--shadow") == 0
        site.settled("1")
    assert set(seen) == {"1"}  # nobody saw the other one
    assert "Version 2 was asked what version 1 answered in `staging`: 40 requests, 0 failed" in capsys.readouterr().out
    found = json.loads(workspace.SHADOW.read_text())
    assert found["rows"] == 40
    assert found["largest_distance"] < 1e-9  # the same model
    assert found["mean_ms"]["shadow"] > 0
    site.fault("2", shifts=0.3)
    with site.load():
        assert site.deploy("2", "--shadow", "true") == 0
    found = json.loads(workspace.SHADOW.read_text())
    assert found["mean_difference"] == pytest.approx(0.3)
    assert found["moved"] == 1
    site.canary(requests=40, seconds=0.5)
    assert site.deploy("2", "--shadow") == 1
    assert "only 0 of 40 requests came in 0.5 s" in capsys.readouterr().err
    site.settled("1")


@pytest.mark.parametrize("words", ["100%", "-1", "ten"])
def test_a_share_that_is_none_is_refused(words: str, site: Site, capsys) -> None:
    with pytest.raises(SystemExit):
        site.deploy("1", f"--canary={words}")
    assert "is no share; write 10%" in capsys.readouterr().err
