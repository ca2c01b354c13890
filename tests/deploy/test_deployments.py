"""A version takes the place of another under load, and gives it back; nobody's request is lost."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from host import EQUAL, NAME, Site, failures, wait_for

from delivery.core import files, workspace
from delivery.deploy.targets import process, proxy, slots, state
from delivery.registry import registry, release
from delivery.registry.version import Lineage, rolled_back

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
    assert "too slow" in rolled_back(registry.find("2"), "staging")
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
    process.end(str(slots.model(site.home, warm.name)))
    with site.load() as seen:
        assert site.rollback() == 0
        site.settled("1")
    assert failures(seen) == {}


def test_a_rollback_that_fails_is_in_the_history(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    warm = state.read(site.home).warm
    assert warm
    process.end(str(slots.model(site.home, warm.name)))
    site.fault("1", exit="no room for a model")
    assert site.rollback() == 1
    assert "error: no room for a model; version 2 still serves staging" in capsys.readouterr().err
    assert site.serving() == site.alias() == "2"
    assert site.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"], event["outcome"]) == ("1", "rollback", "failed")
    assert "no room for a model" in event["reason"]


def test_a_host_that_has_lost_its_state_is_brought_back_by_a_rollback(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    site.stop()
    shutil.rmtree(site.home)
    capsys.readouterr()
    assert site.rollback("--reason", "a new host") == 0
    assert "`staging` is back to version 1; version 2 is marked as rolled back" in capsys.readouterr().out
    site.settled("1")
    assert "a new host" in rolled_back(registry.find("2"), "staging")


def test_after_a_reboot_the_same_deployment_brings_it_back(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    proxy.stop(site.home)
    process.end(str(slots.model(site.home, "blue")))
    capsys.readouterr()
    assert site.run("status") == 1
    assert "the proxy is down, so nothing answers; `delivery repair staging` starts it" in capsys.readouterr().out
    assert site.deploy("1") == 0
    assert site.serving() == site.alias() == "1"
    assert site.run("status") == 0


def test_a_retired_environment_is_stopped_and_its_row_says_nothing(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    assert site.run("retire", NAME, "--reason", "moved to another host") == 0
    assert "`staging` is out of service; version 2 was the last one there. Remove its row" in capsys.readouterr().out
    site.nothing()
    assert site.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"], event["reason"]) == ("2", "retire", "moved to another host")
    assert site.deploy("1") == 0
    site.settled("1")


def test_two_at_once_are_one_and_a_refusal(site: Site, capsys, monkeypatch) -> None:
    """The lock is held by this thread, as another process would."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with state.locked(site.home):
            entered.set()
            leave.wait(600)

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
    site.canary(steps=[10, 50], **EQUAL)
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
    site.canary(requests=40)
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


def test_a_shadow_and_a_canary_at_once_are_refused(site: Site, capsys) -> None:
    assert site.deploy("1", "--canary", "10%", "--shadow") == 1
    assert "give one of --shadow and --canary" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["100%", "-1", "ten"])
def test_a_share_that_is_none_is_refused(words: str, site: Site, capsys) -> None:
    with pytest.raises(SystemExit):
        site.deploy("1", f"--canary={words}")
    assert "is no share; write 10%" in capsys.readouterr().err


def test_each_version_runs_its_own_code_whatever_is_checked_out(
    site: Site, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same model with other code is another version; each starts from the store alone, also after a reboot."""
    other = site.folder / "models" / "other"
    shutil.copytree(site.folder / "models" / "1", other)
    app = other / release.BUNDLE / release.PACKAGE / "service" / "app.py"
    edited(app, 'title="Predictions"', 'title="Others"')
    edited(other / release.BUNDLE / release.SETTINGS, "max_rows: 1000", "max_rows: 700")
    lineage = Lineage(release=release.digest(other), digest=registry.find("1").digest, commit="c0ffee4")
    assert registry.add(other, lineage, {}) == ("4", True)
    monkeypatch.setenv("SECRET_OF_THE_JOB", "hidden")
    assert site.deploy("1") == 0
    with site.load() as seen:
        assert site.deploy("4") == 0
        assert site.described() == ("Others", 700)
        assert site.rollback() == 0
        assert site.described() == ("Predictions", 1000)
        assert site.deploy("4") == 0
    assert set(seen) == {"1", "4"}
    for pid in process.having("delivery.service") + process.having(str(site.home / "haproxy.cfg")):
        assert b"SECRET_OF_THE_JOB" not in Path(f"/proc/{pid}/environ").read_bytes()

    site.stop()  # as a reboot does; and the checkout has become unusable for the old version
    shutil.rmtree(site.folder / "models")
    files.write(site.folder / "requirements" / "serve.txt", "nothing==1\n")
    assert site.deploy("4") == 0
    assert site.described() == ("Others", 700)
    assert site.rollback("--to", "1") == 0
    assert site.described() == ("Predictions", 1000)


def test_a_version_from_before_bundles_whose_commit_is_gone_is_refused(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    folder = site.folder / "models" / "2"
    shutil.copytree(folder / "export", site.folder / "models" / "old" / "export")
    (site.folder / "models" / "old" / "export" / "note.txt").write_text("old")
    exported = files.digest(site.folder / "models" / "old" / "export")
    registry.add(site.folder / "models" / "old", Lineage(digest=exported, commit="c0ffee5"), {})
    assert site.deploy("4") == 1
    said = capsys.readouterr().err
    assert "version 4 was registered without its code, and commit c0ffee5 does not give it" in said
    assert "promote the model again; version 1 still serves staging" in said
    site.settled("1")


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
