"""The release on disk against what serves: what breaks is found, named and judged; what was accepted is a boundary."""

import copy
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made
import pytest
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.compatibility.measure import Counterpart
from delivery.compatibility.results import Change, CompatibilityResult, Refusal, Replay, VersionResult
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.core.params_file import edited
from delivery.decision import compatibility, gate
from delivery.pull_requests.acceptance import Acceptance
from delivery.registry import bundle, counterparts, interface, registry, release, transitions
from delivery.registry.version import Lineage

pytestmark = pytest.mark.xdist_group("registry")  # MLflow makes its tables once

Edit = Callable[[dict[str, Any]], object]


def unchanged(document: dict[str, Any]) -> None:
    """The interface of the release on disk."""


def row(document: dict[str, Any]) -> dict[str, Any]:
    schema = document["components"]["schemas"]["Request"]
    assert isinstance(schema, dict)
    return schema


def answered_in_words(document: dict[str, Any]) -> None:
    """An older interface, whose predictions were no numbers."""
    answer = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer["anyOf"][0]["properties"]["prediction"] = {"type": "string"}


def had_another_field(document: dict[str, Any]) -> None:
    row(document)["properties"]["gone"] = {"type": "integer"}


def lacked_a_field(document: dict[str, Any]) -> None:
    name = next(iter(row(document)["properties"]))
    row(document)["required"] = [each for each in row(document).get("required", ()) if each != name]
    del row(document)["properties"][name]


def took_fewer_rows(document: dict[str, Any]) -> None:
    body = document["paths"]["/predict"]["post"]["requestBody"]
    body["content"]["application/json"]["schema"]["anyOf"][1]["maxItems"] = 10


def register(name: str, edit: Edit | None = unchanged, code: str | None = None, **lineage: str) -> str:
    """A version with the model on disk and an interface that differs as `edit` says; None: without a document.

    `code` is added to its problem; None: it was registered without its code.
    """
    folder = Path("registered") / name
    shutil.copytree(workspace.EXPORT, folder / "export")
    files.write(folder / "export" / "name", name)  # another digest
    if edit:
        document = copy.deepcopy(interface.describe(workspace.EXPORT, params.load().serve))
        edit(document)
        files.write_json(folder / release.DOCUMENT, document, exact=True)
    if code is not None:
        release.collect(folder / "export", folder / "release")
        with (folder / "release" / release.PROBLEM / "__init__.py").open("a") as problem:
            problem.write(code)
        lineage["release"] = release.digest(folder)
    number, _ = registry.add(folder, Lineage(digest=files.digest(folder / "export"), commit="abc", **lineage), {})
    return number


def serve(number: str, environment: str = "production") -> None:
    transitions.ensure(environment, number, "deploy")


def judged(settings: Params) -> gate.Rule:
    return gate.compatible(compatibility.run(settings), settings.gate)


def accepting(settings: Params) -> Params:
    chosen = replace(settings.gate, compatibility="breaking", compatibility_reason="clients have moved")
    return made.changed(settings, gate=chosen)


def test_without_a_registry_there_are_no_clients(project: Path, settings: Params) -> None:
    said = "Compatible: there is no registry yet, so there are no clients to break with"
    assert judged(settings) == gate.Rule("compatibility", "pass", said)
    assert "there is no registry yet" in workspace.COMPATIBILITY_PAGE.read_text()


def test_before_a_version_serves_there_are_no_clients(ready: Path, settings: Params) -> None:
    register("one", answered_in_words)
    assert judged(settings).evidence == "Compatible: no version serves yet, so there are no clients to break with"


def test_the_same_interface_is_compatible_and_every_example_is_answered_as_before(
    ready: Path, settings: Params
) -> None:
    serve(register("one"))
    result = compatibility.run(settings)
    (version,) = result.versions
    assert (version.version, version.serves, version.rollback_of) == ("1", ("production",), ())
    assert version.changes == ()
    assert version.forward
    assert version.forward.requests == version.forward.accepted == version.forward.equal == settings.export.examples
    assert version.back
    assert version.back.accepted == settings.export.examples
    rule = gate.compatible(result, settings.gate)
    assert rule == gate.Rule("compatibility", "pass", "Compatible with version 1 (production)")


@pytest.mark.parametrize(
    ("edit", "breaks"),
    [
        (answered_in_words, "clients and a rollback"),
        (had_another_field, "clients"),
        (took_fewer_rows, "a rollback"),
    ],
)
def test_a_break_with_what_serves_fails_and_is_named(edit: Edit, breaks: str, ready: Path, settings: Params) -> None:
    serve(register("one", edit))
    rule = judged(settings)
    assert rule.verdict == "fail"
    assert rule.evidence.startswith("Breaking: with version 1 (production) ")
    assert f"(breaks {breaks})" in rule.evidence


def test_new_requests_are_asked_of_the_old_interface(ready: Path, settings: Params) -> None:
    serve(register("one", lacked_a_field))
    back = compatibility.run(settings).versions[0].back
    assert back
    assert (back.requests, back.accepted) == (settings.export.examples, 0)
    name = next(iter(row(interface.describe(workspace.EXPORT, settings.serve))["properties"]))
    assert back.refusals == (Refusal(f"{name} is unknown", settings.export.examples),)


def test_a_release_that_ignores_unknown_fields_is_described_and_asked_as_one(ready: Path, settings: Params) -> None:
    serve(register("one"))
    tolerant = made.changed(settings, serve__unknown_fields="ignore")
    (version,) = compatibility.run(tolerant).versions
    assert version.changes == (Change("unknown fields", "request", "refused", "ignored"),)
    document = interface.describe(workspace.EXPORT, tolerant.serve)
    serve(register("two", lambda old: old.update(document)))
    rule = judged(settings)
    assert rule.verdict == "fail"
    assert "version 2 (production) request: unknown fields (breaks clients)" in rule.evidence


def test_what_a_rollback_returns_to_is_compared_too(ready: Path, settings: Params) -> None:
    serve(register("one", took_fewer_rows))
    serve(register("two"))
    rule = judged(settings)
    assert rule.verdict == "fail"
    assert rule.evidence.startswith("Breaking: with version 1 (rollback of production) ")
    serve(register("three"))
    assert judged(settings).evidence == "Compatible with version 3 (production), version 2 (rollback of production)"


def test_a_version_that_was_rolled_back_is_nobodys_target(ready: Path, settings: Params) -> None:
    serve(register("one", took_fewer_rows))
    serve(register("two"))
    transitions.record_rollback("production", "1", "it was bad")
    assert judged(settings).evidence == "Compatible with version 2 (production)"


def test_an_accepted_break_is_a_warning_with_its_reason_and_makes_a_boundary(ready: Path, settings: Params) -> None:
    serve(register("one", answered_in_words))
    rule = judged(accepting(settings))
    assert rule.verdict == "warn"
    assert rule.evidence.endswith("Accepted in params.yaml: clients have moved")
    assert gate.run(accepting(settings)).boundary == "clients have moved"


def test_a_label_with_a_reason_accepts_a_break_and_makes_a_boundary(ready: Path, settings: Params) -> None:
    serve(register("one", answered_in_words))
    judgement = gate.run(settings, lambda: Acceptance("clients have moved"))
    rule = next(rule for rule in judgement.rules if rule.name == "compatibility")
    assert rule.verdict == "warn"
    assert rule.evidence.endswith("Accepted by the label of the pull request: clients have moved")
    assert judgement.boundary == "clients have moved"


def test_a_label_without_a_reason_accepts_nothing(ready: Path, settings: Params) -> None:
    serve(register("one", answered_in_words))
    judgement = gate.run(settings, lambda: Acceptance(missing="the reason is missing"))
    rule = next(rule for rule in judgement.rules if rule.name == "compatibility")
    assert rule.verdict == "fail"
    assert rule.evidence.endswith(". Not accepted: the reason is missing.")
    assert judgement.boundary == ""


def test_no_label_is_asked_for_where_nothing_breaks_or_params_accept_it(ready: Path, settings: Params) -> None:
    def asked() -> Acceptance:
        raise AssertionError("nothing is to be accepted")

    serve(register("one"))
    assert gate.run(settings, asked).boundary == ""
    serve(register("two", answered_in_words))
    assert gate.run(accepting(settings), asked).boundary == "clients have moved"


def test_no_break_makes_no_boundary_and_the_parameter_is_to_go(ready: Path, settings: Params) -> None:
    serve(register("one"))
    rule = judged(accepting(settings))
    assert rule.verdict == "warn"
    assert rule.evidence.endswith("nothing breaks, so remove gate.compatibility from params.yaml")
    assert gate.run(accepting(settings)).boundary == ""


def test_versions_from_before_a_boundary_are_shown_and_not_judged(ready: Path, settings: Params) -> None:
    serve(register("one", answered_in_words))
    serve(register("two", boundary="clients have moved"))
    result = compatibility.run(settings)
    assert [(each.version, bool(each.beyond)) for each in result.versions] == [("2", False), ("1", True)]
    assert result.versions[1].broken()
    rule = gate.compatible(result, settings.gate)
    assert rule.verdict == "pass"
    assert rule.evidence == (
        "Compatible with version 2 (production); version 1 (rollback of production) is not judged: "
        "version 2 broke with it on purpose: clients have moved"
    )


def test_a_boundary_that_serves_nowhere_any_more_is_none(ready: Path, settings: Params) -> None:
    serve(register("one", answered_in_words))
    register("two", boundary="clients have moved")
    assert judged(settings).verdict == "fail"


def test_a_version_without_a_document_is_named_and_passes(ready: Path, settings: Params) -> None:
    serve(register("one", None))
    rule = judged(settings)
    assert rule.verdict == "pass"
    assert rule.evidence == (
        "Nothing was compared; version 1 (production) was not compared: it was registered before versions kept their "
        "OpenAPI document"
    )


def test_a_registry_that_cannot_be_read_is_a_warning(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise Failure("the registry at http://registry does not answer")

    monkeypatch.setattr(registry, "exists", lambda: True)
    monkeypatch.setattr(registry, "connection", down)
    rule = judged(settings)
    assert rule.verdict == "warn"
    assert rule.evidence == "Compatibility is not known: the registry at http://registry does not answer"
    with pytest.raises(Failure, match="does not answer"):
        compatibility.run(settings, ["1"])
    assert main(["compatibility"]) == 1


def test_a_model_that_does_not_load_is_no_matter_of_the_registry(ready: Path, settings: Params) -> None:
    serve(register("one"))
    (workspace.EXPORT / workspace.MANIFEST).write_text("{}")
    with pytest.raises(Failure):
        compatibility.run(settings)


def test_requests_that_are_refused_fail_though_the_documents_agree() -> None:
    asked = Replay(requests=4, accepted=1, refusals=(Refusal("422, hour", 3),))
    version = VersionResult("3", ("production",), forward=asked, back=Replay(requests=4, accepted=4))
    rule = gate.compatible(CompatibilityResult((version,)), params.Gate(floors={}))
    assert rule.verdict == "fail"
    assert rule.evidence == ("Breaking: with version 3 (production) 3 of 4 of its requests are refused (422, hour).")


def test_other_scores_are_shown_and_break_nothing() -> None:
    asked = Replay(requests=4, accepted=4, compared=4, equal=0, largest=0.5)
    result = CompatibilityResult((VersionResult("3", ("production",), forward=asked),))
    assert gate.compatible(result, params.Gate(floors={})).verdict == "pass"


def test_many_breaks_are_counted() -> None:
    changes = tuple(Change("removed", f"request.{name}", breaks=("clients",)) for name in "abcde")
    result = CompatibilityResult((VersionResult("3", changes=changes),))
    assert gate.compatible(result, params.Gate(floors={})).evidence == (
        "Breaking: with version 3 request.a: removed (breaks clients), request.b: removed (breaks clients), "
        "request.c: removed (breaks clients), and 2 more."
    )


def test_breaking_needs_a_reason(project: Path) -> None:
    text = edited(workspace.PARAMS.read_text(), "gate", {"compatibility": "breaking"})
    with pytest.raises(Failure, match=r"compatibility: breaking needs a compatibility_reason.*gate"):
        params.parse(text)
    with pytest.raises(Failure, match="needs a compatibility_reason"):
        params.parse(edited(text, "gate", {"compatibility_reason": "  "}))
    assert params.parse(edited(text, "gate", {"compatibility_reason": "new clients"})).gate.compatibility == "breaking"


def test_the_verb_prints_a_table_and_returns_1_for_a_break(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve(register("one"))
    assert main(["compatibility"]) == 0
    assert "100% of 12 accepted, 100% answered equally" in capsys.readouterr().out
    serve(register("two", took_fewer_rows))
    assert main(["compatibility"]) == 1
    page = capsys.readouterr().out
    assert "Since version 2 (production):" in page
    assert "| limit |" in page
    assert main(["compatibility", "--against", "1", "--json"]) == 0
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    assert (version["version"], version["rollback_of"]) == ("1", ["production"])
    assert main(["compatibility", "--against", "9"]) == 1


CHECK = """
class Request(Request):
    def __post_init__(self):
        {}
"""  # of the old version, which is in no document


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release's code runs with the libraries of this Python; that each has its own is tested in tests/deploy."""
    monkeypatch.setattr(bundle, "python", lambda lock: Path(sys.executable))
    for lock in release.LOCKS.values():
        files.write(release.REQUIREMENTS / lock, (made.ROOT / release.REQUIREMENTS / lock).read_bytes())


def test_new_requests_are_asked_of_the_old_versions_own_code(ready: Path, here: None, settings: Params) -> None:
    serve(register("one", code=""))
    (version,) = compatibility.run(settings).versions
    assert version.back
    assert version.back.requests == version.back.accepted == version.back.equal == settings.export.examples
    assert version.unstarted == ""
    for drawn in (version.drawn_forward, version.drawn_back):
        assert drawn is None or drawn.requests == drawn.accepted == drawn.equal > 0
    assert "by its own code: 100% of 12 accepted, 100% answered equally" in workspace.COMPATIBILITY_PAGE.read_text()


def test_what_only_the_old_code_refuses_is_a_break(ready: Path, here: None, settings: Params) -> None:
    serve(register("one", code=CHECK.format('raise ValueError("not on Sundays")')))
    rule = judged(settings)
    assert rule.verdict == "fail"
    assert rule.evidence.startswith("Breaking: with version 1 (production) 12 of 12 of new requests are refused (422)")
    serve(register("two", None, code=""))
    assert judged(settings).verdict == "fail", "version 1 is what a rollback returns to"


def test_an_old_version_that_dies_of_a_new_request_is_a_break(ready: Path, here: None, settings: Params) -> None:
    serve(register("one", code=CHECK.format('__import__("os")._exit(3)')))
    (version,) = compatibility.run(settings).versions
    assert version.back
    assert version.back.refusals == (Refusal("it gave no answer", settings.export.examples),)
    assert gate.compatible(compatibility.run(settings), settings.gate).verdict == "fail"


def test_an_old_version_whose_code_does_not_run_here_is_asked_by_its_document(
    ready: Path, here: None, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(register("one", code="raise SystemExit('no such library')"))
    (version,) = compatibility.run(settings).versions
    assert version.unstarted == "the service did not start: no such library"
    assert version.back
    assert (version.back.accepted, version.back.compared) == (settings.export.examples, 0)
    said = "by its document (the service did not start: no such library): 100% of 12 accepted"
    assert said in workspace.COMPATIBILITY_PAGE.read_text()

    def offline(lock: Path) -> Path:
        raise Failure("the release's libraries cannot be installed: no network")

    monkeypatch.setattr(bundle, "python", offline)
    assert compatibility.run(settings).versions[0].unstarted.endswith("cannot be installed: no network")


def test_an_old_version_without_its_code_is_asked_by_its_document(ready: Path, settings: Params) -> None:
    serve(register("one"))
    assert compatibility.run(settings).versions[0].unstarted == "it was registered without its code"
    assert "by its document (it was registered without its code): 100%" in workspace.COMPATIBILITY_PAGE.read_text()


def test_a_version_that_is_not_judged_is_not_started(ready: Path, here: None, settings: Params) -> None:
    serve(register("one", answered_in_words, code="raise SystemExit('started')"))
    serve(register("two", boundary="clients have moved"))
    assert compatibility.run(settings).versions[1].unstarted == "it is not judged"


def test_a_prediction_log_is_asked_again_instead_of_the_examples(
    ready: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(register("one"))
    first, second, third = files.read_json(workspace.EXPORT / workspace.EXAMPLES, "run")[:3]
    log = Path("log")
    lines = [
        {"time": 1.0, "id": "0", "version": "1", "rows": [{"unknown": 1}], "scores": [0.5]},  # beyond the newest three
        {"time": 1.0, "id": "a", "version": "1", "rows": [first["request"]], "scores": [first["prediction"]]},
        {"time": 2.0, "id": "b", "version": "7", "rows": [second["request"]], "scores": [second["prediction"]]},
        {"time": 3.0, "id": "c", "version": "1", "rows": [third["request"] | {"gone": 1}], "scores": [0.5]},
    ]
    files.write(log / "predictions-1.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert main(["compatibility", "--log", "log", "--requests", "3"]) == 1, "the field that it sends is refused"
    forward = json.loads(workspace.COMPATIBILITY.read_text())["versions"][0]["forward"]
    assert (forward["requests"], forward["accepted"], forward["compared"], forward["equal"]) == (3, 2, 1, 1)
    assert forward["refusals"] == [{"reason": "422, gone", "requests": 1}]
    Path("empty").mkdir()
    assert main(["compatibility", "--log", "empty"]) == 1
    assert "empty has no prediction log" in capsys.readouterr().err


def test_counterparts_by_name(ready: Path) -> None:
    serve(register("one"))
    serve(register("two"), "staging")
    known = registry.versions()
    assert [each.version for each in counterparts.find(known)] == ["2", "1"]
    assert counterparts.find(known, ["staging"]) == [Counterpart("2", ("staging",))]
    assert counterparts.previous(known, "staging") == ""
    assert replace(counterparts.find(known)[0], version="1") == Counterpart("1", ("staging",))
