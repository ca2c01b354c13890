"""A promotion to a lasting target; its release: one for a version, where it is asked for, and never in a delivery's way."""

import json
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import pytest
from msgspec import to_builtins
from sample import change

from delivery.__main__ import main
from delivery.adapters import deployments, dvc, git, github
from delivery.ci import promote
from delivery.ci.remake import Remade
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.deploy import admission, environments
from delivery.deploy.targets import loopback, proxy, slots
from delivery.pull_requests import acceptance
from delivery.registry import register, registry
from delivery.registry.version import Lineage, events, lineage_tags

pytestmark = pytest.mark.xdist_group("registry")


def noted(steps: list, step: object, answer: Any) -> Any:
    """Returns the answer of a step that is noted."""
    steps.append(step)
    return answer


@pytest.fixture
def asked(ready: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A project with version 1 in a workflow; the releases that GitHub was asked to make."""
    register.run()
    made_releases: list[dict] = []

    def ask(_: str, path: str, body: dict) -> dict:
        made_releases.append(body)
        return {"html_url": f"https://github.com/a/b{path}/1"}

    monkeypatch.setattr(params, "load", lambda: made.changed(settings, promote__releases=["staging"]))
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setattr(github, "pages", lambda _: [{"tag_name": body["tag_name"]} for body in made_releases])
    return made_releases


def test_a_version_is_released_once_with_its_card(asked: list[dict]) -> None:
    digest = registry.find("1").release
    assert promote.publish("staging", "1") == (
        f"[Release model-1-{digest[:12]}](https://github.com/a/b/releases/1) has its card."
    )
    assert promote.publish("staging", "1") == ""
    assert promote.publish("development", "1") == "", "the row of params.yaml does not name it"
    (body,) = asked
    assert body["body"].startswith("# Model card")
    assert body["target_commitish"] == made.git("rev-parse", "HEAD")


def test_what_is_asked_of_github_for_a_release(asked: list[dict]) -> None:
    version = registry.find("1")
    registry.tag("1", lineage_tags(Lineage(commit="abc")))
    promote.publish("staging", "1")
    (body,) = asked
    card = (registry.download(version, Path("elsewhere")) / "card.md").read_text()
    assert body == {
        "tag_name": f"model-1-{version.release[:12]}",
        "target_commitish": "abc",
        "name": "Version 1",
        "body": card,
    }
    assert Path(".cache/versions/1/card.md").exists()


def test_a_release_is_a_post_after_a_look_at_all_releases(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list = []
    monkeypatch.setattr(github, "pages", lambda path: noted(requests, path, [{"tag_name": "model-1-another"}]))
    answer = {"html_url": "https://github.com/a/b/releases/9"}
    monkeypatch.setattr(github, "ask", lambda *words: noted(requests, words[:2], answer))
    assert promote.publish("staging", "1").endswith("](https://github.com/a/b/releases/9) has its card.")
    assert requests == ["/releases", ("POST", "/releases")]


def test_the_text_of_a_release_is_cut_at_githubs_limit(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote, "LONGEST", 12)
    promote.publish("staging", "1")
    assert asked[0]["body"] == "# Model card"


def test_a_refusal_is_told_and_nothing_else(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Failure("GitHub refused POST /releases: 403 no")

    monkeypatch.setattr(github, "ask", refuse)
    assert promote.publish("staging", "1") == "There is no release: GitHub refused POST /releases: 403 no."


def test_outside_a_workflow_there_is_none(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: False)
    assert promote.publish("staging", "1") == ""
    assert asked == []


@pytest.fixture
def lasting(needs_haproxy: None, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[params.Environment]:
    """The project with a lasting target for `staging`, where nothing serves yet."""
    home = tmp_path_factory.mktemp("lasting")
    place = params.Environment(target="process", port=loopback.free_port(), folder=str(home))
    of_load = {"users": 1, "seconds": 1, "max_p95_ms": 5000, "min_rps": 1}
    change(ready, {f"loadtest.{name}": value for name, value in of_load.items()})
    change(ready, {"deploy.environments": {"staging": to_builtins(place)}, "deploy.watch_seconds": 0.2})
    shutil.copytree(made.ROOT / "tests" / "load", ready / "tests" / "load")
    made.commit("A lasting target")
    yield place
    proxy.stop(home / "staging")
    for name in proxy.SLOTS:
        slots.stop(home / "staging", name, engine=False)


def test_a_promotion_to_a_lasting_target_serves_there(lasting: params.Environment, capsys) -> None:
    words = ["promote", "apply", "--branch", "main"]
    with socket.create_server(("127.0.0.1", lasting.port)):
        assert main(words) == 1
    assert f"port {lasting.port} of the proxy is not free" in capsys.readouterr().err
    assert registry.find("1").aliases == ()  # it is registered, and serves nowhere
    assert main(words) == 0
    assert f"Version 1 serves `staging` at http://127.0.0.1:{lasting.port}" in capsys.readouterr().out
    with urllib.request.urlopen(f"http://127.0.0.1:{lasting.port}/version", timeout=10) as reply:
        about = json.loads(reply.read())
    assert about["version"] == "1"
    assert registry.find("1").aliases == ("staging",)
    found = events(registry.versions())
    assert [(event.how, event.outcome) for event in found] == [("promote", "failed"), ("promote", "succeeded")]


def recorder(monkeypatch: pytest.MonkeyPatch, steps: list, answers: dict[str, Any]) -> None:
    """Replaces what promote calls: each step is noted with its arguments and gives its answer."""

    def step(name: str) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            steps.append((name, *words, *named.items()))
            answer = answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    for name in answers:
        module, _, function = name.rpartition(".")
        monkeypatch.setattr(getattr(promote, module) if module else promote, function, step(name))


@contextmanager
def deployment(steps: list, *words: str) -> Iterator[None]:
    """A GitHub Deployment, noted with its outcome."""
    steps.append(("begin", *words))
    try:
        yield
    except Failure:
        steps.append(("failed",))
        raise
    steps.append(("end",))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list:
    """What a promotion of version 7 does, in order; nothing of it is done."""
    taken: list = []
    answers: dict[str, Any] = dict.fromkeys(
        ["register.refuse_unfit", "registered_version", "rehearse.run", "results.admit"]
    )
    answers |= {"admission.objection": "", "deliver": "Version 7 serves.", "publish": "A release."}
    answers |= {
        "release.current": "f00d",
        "admission.refuse": None,
        "refresh": None,
        "attestation.refuse_built": True,
        "changes": "Changed the model. ",
        "record": "",
    }
    recorder(monkeypatch, taken, answers)
    registered = register.Registration("7", new=True, alias=None, digest="")
    monkeypatch.setattr(promote.git, "head", lambda: "0123456789abcdef")
    monkeypatch.setattr(register, "run", lambda image: noted(taken, ("register", image), registered))
    monkeypatch.setattr(environments, "point", pointing(taken, "point"))
    monkeypatch.setattr(environments, "keep", pointing(taken, "keep"))
    monkeypatch.setattr(deployments, "deployment", lambda *words: deployment(taken, *words))
    monkeypatch.setattr(
        environments, "settings", lambda name: SimpleNamespace(target={"lasts": "docker"}.get(name, "rehearsal"))
    )
    return taken


def pointing(steps: list, name: str) -> Callable[..., str]:
    def call(*words: Any) -> str:
        version = next(word for word in words if callable(word))()
        steps.append((name, *[word for word in words if not callable(word)]))
        return version

    return call


IMAGE = "ghcr.io/a/b@sha256:1"


def taken_allow(steps: list) -> object:
    """The `allow` that the deployment was given."""
    (given,) = (dict(step[3:]).get("allow") for step in steps if step[0] == "deliver")
    return given


def asked_first(environment: str) -> list[tuple]:
    """What is asked before anything starts."""
    return [
        ("register.refuse_unfit",),
        ("release.current",),
        ("admission.objection", environment, "f00d", "0123456789abcdef", ("again", False)),
        ("registered_version", "f00d"),
    ]


REHEARSED = ("rehearse.run", workspace.EXPORT, "", IMAGE)


def test_a_promotion_to_an_environment_that_is_rehearsed_points_last(steps: list) -> None:
    assert promote.apply("staging", IMAGE) == (
        f"Version 7 of commit 01234567 is `staging`. {environments.REHEARSAL.format('staging')} Changed the model. A "
        "release."
    )
    assert steps == [
        *asked_first("staging"),
        ("begin", "staging", "0123456789abcdef", "commit 01234567"),
        ("attestation.refuse_built", IMAGE, "success"),
        REHEARSED,
        ("refresh",),
        ("admission.refuse", "staging", "f00d", "0123456789abcdef"),
        ("results.admit", workspace.RESULTS_FOLDER),
        ("admission.refuse", "staging", "f00d", "0123456789abcdef"),
        ("register", IMAGE),
        ("point", "staging", "promote"),
        ("record", "7", IMAGE, True),
        ("end",),
        ("changes", "7"),
        ("publish", "staging", "7"),
    ]


def test_a_promotion_to_a_lasting_target_rehearses_and_keeps_the_version_first(steps: list) -> None:
    assert promote.apply("lasts", IMAGE) == "Version 7 serves. Changed the model. A release."
    assert steps == [
        *asked_first("lasts"),
        ("attestation.refuse_built", IMAGE, "success"),
        REHEARSED,
        ("refresh",),
        ("admission.refuse", "lasts", "f00d", "0123456789abcdef"),
        ("results.admit", workspace.RESULTS_FOLDER),
        ("register", IMAGE),
        ("keep",),
        ("record", "7", IMAGE, True),
        ("deliver", "7", "lasts", ("how", "promote"), ("allow", taken_allow(steps))),
        ("changes", "7"),
        ("publish", "lasts", "7"),
    ]


@pytest.mark.parametrize("name", ["staging", "lasts"])
@pytest.mark.parametrize("late", [False, True])
def test_what_the_environment_does_not_take_changes_nothing(
    name: str, late: bool, steps: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked before anything starts, and again after the load test: another push may have been faster."""
    kept = "It keeps version 9."

    def refuse(*_: str) -> None:
        raise admission.Kept(kept)

    if late:
        monkeypatch.setattr(admission, "refuse", refuse)
    else:
        monkeypatch.setattr(admission, "objection", lambda *_, again: kept)
    assert promote.apply(name, IMAGE) == kept
    assert late == ("rehearse.run" in {step[0] for step in steps})
    assert not {"results.admit", "register", "point", "keep", "deliver", "publish"} & {step[0] for step in steps}


def test_without_a_release_there_is_no_space_after_the_sentence(steps: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote, "publish", lambda *_: "")
    monkeypatch.setattr(promote, "changes", lambda *_: "")
    assert promote.apply("staging", "").endswith(environments.REHEARSAL.format("staging"))
    assert promote.apply("lasts", "") == "Version 7 serves."


def test_without_a_commit_nothing_is_named(steps: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote.git, "head", lambda: None)
    promote.apply("staging", "")
    assert steps[4] == ("begin", "staging", "", "commit ")


@pytest.mark.parametrize(("verdict", "long"), [("pass", False), ("warn", True), ("fail", False)])
def test_what_is_measured_is_handed_over_whatever_the_gate_says(
    verdict: str, long: bool, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list = []
    remade = Remade(unverified=("train",) if long else ())
    page = "**page**\n⚠️ train takes long.\n" if long else "**page**"
    answers: dict[str, Any] = {"reproduce.pipeline": ["export"], "reproduce.changed": ["dvc.lock"], "compare.run": None}
    answers |= {"reproduce.refuse": None, "reproduce.verify": remade, "reproduce.unverified": "train takes long"}
    answers |= {"release.current": "f00d", "admission.objection": "", "github.output": None}
    monkeypatch.setattr(promote.git, "head", lambda: "0123")
    answers |= {"serving_commit": "5e4", "results.collect": None}
    labelled: list = []

    def judged(chosen: Params, label: Any) -> SimpleNamespace:
        labelled.append((label.func, label.args))
        return SimpleNamespace(verdict=verdict)

    monkeypatch.setattr(promote.gate, "run", judged)
    answers |= {"report.run": "**page**", "github.summary": None}
    recorder(monkeypatch, taken, answers)
    monkeypatch.setattr(params, "load", lambda: settings)
    if verdict == "fail":
        with pytest.raises(Failure, match=r"^the gate failed, so nothing is delivered; reports/gate\.md says why$"):
            promote.measure("staging")
    else:
        assert promote.measure("staging") == page
    assert taken == [
        ("reproduce.pipeline",),
        ("reproduce.changed",),
        ("reproduce.refuse", ["dvc.lock"]),
        ("release.current",),
        ("admission.objection", "staging", "f00d", "0123", ("again", False)),
        ("github.output", ("delivers", "true")),
        ("reproduce.verify", ["export"]),
        ("reproduce.changed",),
        ("reproduce.refuse", ["dvc.lock"], remade),
        ("compare.run", settings.compare),
        ("serving_commit", "staging"),
        ("results.collect", workspace.RESULTS_FOLDER),
        ("report.run",),
        *[("reproduce.unverified", "train")] * long,
        ("github.summary", page),
    ]
    assert labelled == [(acceptance.merged_since, ("5e4",))]


def test_a_push_that_is_not_taken_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list = []
    answers: dict[str, Any] = {
        "reproduce.pipeline": [],
        "reproduce.changed": [],
        "reproduce.refuse": None,
        "github.output": None,
        "github.summary": None,
    }
    recorder(monkeypatch, taken, answers | {"release.current": "f00d", "admission.objection": "Nothing has changed."})
    assert promote.measure("staging") == "Nothing has changed."
    assert taken[-2:] == [("github.output", ("delivers", "false")), ("github.summary", "Nothing has changed.")]


def test_a_branch_is_promoted_to_its_environment(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    branches = {"main": "staging", "release": "production"}
    monkeypatch.setattr(params, "load", lambda: made.changed(settings, promote__branches=branches))
    assert promote.environment_of("release") == "production"
    with pytest.raises(Failure, match=r"^params\.yaml: promote\.branches has no row for other; it has main, release$"):
        promote.environment_of("other")


def test_the_verb_measures_or_applies(
    settings: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    taken: list = []
    recorder(
        monkeypatch,
        taken,
        {"measure": "**page**", "apply": "Version 7.", "github.output": None, "github.summary": None},
    )
    monkeypatch.setattr(params, "load", lambda: made.changed(settings, promote__branches={"main": "staging"}))
    monkeypatch.setattr(dvc, "data_digest", lambda: "1234.dir")
    monkeypatch.setattr(git, "suffix", lambda: "-models-digits")
    assert main(["promote", "measure", "--branch", "main"]) == 0
    outputs = [("environment", "staging"), ("data", "1234.dir"), ("suffix", "-models-digits")]
    assert taken == [("github.output", *outputs), ("measure", "staging")]
    assert capsys.readouterr().out == "page\n"
    taken.clear()
    assert main(["promote", "apply", "--branch", "main", "--image", IMAGE]) == 0
    assert taken == [("apply", "staging", IMAGE, "success"), ("github.summary", "Version 7.")]
    assert capsys.readouterr().out == "Version 7.\n"
    taken.clear()
    assert main(["promote", "apply", "--branch", "main"]) == 0
    assert taken[0] == ("apply", "staging", "", "success")
