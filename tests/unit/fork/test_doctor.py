"""What is set up and what is not, each with what mends it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import made
import pytest
import yaml
from answering import answering

from delivery.__main__ import main
from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import Failure, GitHubError
from delivery.fork import doctor, rulesets, settings
from delivery.registry import registry


@pytest.mark.parametrize(
    ("said", "state", "found"),
    [
        ({}, "ready", "Intended use, "),
        ({"Limits": f"{params.UNWRITTEN}: what it must not be trusted with."}, "optional", "Limits: to be written"),
        ({"Limits": " "}, "missing", "says nothing of Limits: no version can be registered"),
    ],
)
def test_a_card_that_nobody_has_written_is_told(
    said: dict[str, str], state: str, found: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = params.load(made.ROOT / "params.yaml")
    changed = made.changed(written, card=dict.fromkeys(params.CARD_SECTIONS, "A sentence.") | said)
    monkeypatch.setattr(params, "load", lambda: changed)
    finding = doctor.model_card()
    assert finding.state == state
    assert finding.found.startswith(found)
    assert state == "ready" or "under `card` in params.yaml" in finding.fix


def answered(replies: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub gives these replies, by path."""
    monkeypatch.setattr(github, "armed", lambda: True)
    monkeypatch.setattr(github, "ask", lambda method, path: reply_of(replies.get(path, NOT_YOURS)))


NOT_YOURS = GitHubError("refused", status=403, reason="Resource not accessible by integration")
NO_RULESETS = GitHubError(
    "refused", status=403, reason="Upgrade to GitHub Pro or make this repository public to enable"
)
PEOPLE = "/collaborators?permission=push&per_page=100"


def reply_of(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


def about(owner: str = "Organization", visibility: str = "private", branch: str = "main") -> dict[str, Any]:
    """What GitHub says of the repository."""
    return {
        "owner": {"login": "acme", "type": owner}, "visibility": visibility, "private": visibility != "public",
        "default_branch": branch,
    }  # fmt: skip


def people(*kinds: str) -> list[dict[str, str]]:
    return [{"login": f"p{n}", "type": kind} for n, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("said", "listed", "state", "found"),
    [
        (
            about(visibility="public"),
            [],
            "ready",
            "public: rulesets, required reviewers, attestations; minutes and pack",
        ),
        (about(), NO_RULESETS, "optional", "private, acme has Free: no rulesets, required reviewers, secrets of env"),
        (about("User"), NO_RULESETS, "optional", "private, acme has Free: "),
        (about("User"), [], "ready", "private, acme has Pro: rulesets; no required reviewers or attestations; 3,000"),
        (about(), [], "ready", "private, acme has Team: rulesets; no required reviewers"),
        (about(visibility="internal"), [], "ready", "private, acme has Enterprise Cloud: "),
    ],
)
def test_the_plan_is_named_by_what_github_refuses(
    said: dict[str, Any], listed: Any, state: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered({"": said, "/rulesets": listed}, monkeypatch)
    finding = settings.plan()
    assert finding.state == state
    assert finding.found.startswith(found)
    assert ("; or Enterprise Cloud: " in finding.found) == (said == about() and listed == [])


def test_a_plan_without_rulesets_is_not_taken_for_a_token_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    answered({"/rulesets": NO_RULESETS, "/rules/branches/store": NO_RULESETS}, monkeypatch)
    for examine in (rulesets.protection, rulesets.store_protection, rulesets.version_records):
        finding = examine()
        assert (finding.state, finding.found) == (
            "optional",
            "none: your plan has no rulesets for a private repository",
        )
        assert finding.fix == "docs/reference/plans.md says what to do without"
    answered({}, monkeypatch)
    for examine in (rulesets.protection, rulesets.store_protection, rulesets.version_records):
        assert examine().state == "unknown"
        assert "this token may not see it" in examine().found


@pytest.mark.parametrize(
    ("pushing", "fix"),
    [
        (people("User"), "main-solo.json` (one person may push)"),
        (people("User", "Bot"), "main-solo.json` (one person may push)"),
        (people("User", "User"), "main.json` (2 people may push)"),
        (NOT_YOURS, "main.json`; if you are the only one who may push, `main-solo.json`, which wants no approval"),
    ],
)
def test_the_ruleset_is_picked_by_the_number_of_people(pushing: Any, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answered({"/rulesets": [], PEOPLE: pushing}, monkeypatch)
    finding = rulesets.protection()
    assert finding.found == "none: a red pull request can be merged"
    assert finding.fix == f"`gh api repos/{{owner}}/{{repo}}/rulesets --input .github/rulesets/{fix}"


@pytest.mark.parametrize(
    ("file", "kinds", "state"),
    [
        ("main", ["User"], "optional"),
        ("main", ["User", "User"], "ready"),
        ("main-solo", ["User"], "ready"),
    ],
)
def test_one_person_is_told_that_nobody_can_approve(
    file: str, kinds: list[str], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruleset = json.loads((made.ROOT / ".github" / "rulesets" / f"{file}.json").read_text()) | {"id": 7}
    answered({"/rulesets": [ruleset], "/rulesets/7": ruleset, PEOPLE: people(*kinds)}, monkeypatch)
    finding = rulesets.protection()
    assert finding.state == state
    if state == "optional":
        assert finding.found.startswith("main: wants an approval, and only one person may push: nobody can approve")
        assert finding.fix == (
            "`gh api --method PUT repos/{owner}/{repo}/rulesets/7 --input .github/rulesets/main-solo.json`"
        )


def test_a_check_that_no_workflow_reports_any_more_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pull request would wait for it. Rulesets of this template had it while report was a workflow of its own."""
    ruleset = json.loads((made.ROOT / ".github" / "rulesets" / "main.json").read_text()) | {"id": 7}
    (rule,) = [rule for rule in ruleset["rules"] if rule["type"] == "required_status_checks"]
    rule["parameters"]["required_status_checks"].append({"context": "report / report"})
    answered({"/rulesets": [ruleset], "/rulesets/7": ruleset, PEOPLE: people("User", "User")}, monkeypatch)
    finding = rulesets.protection()
    assert (finding.state, finding.fix) == (
        "optional", "remove it from the required checks of ruleset 7, and keep `ci / required`"
    )  # fmt: skip
    assert finding.found.startswith("main: requires `report / report`, which no workflow reports any more")


def test_the_rulesets_differ_in_approvals_only() -> None:
    team, solo = (
        json.loads((made.ROOT / ".github" / "rulesets" / f"{name}.json").read_text()) for name in ("main", "main-solo")
    )
    for ruleset, approvals in ((team, 1), (solo, 0)):
        (pulls,) = [rule["parameters"] for rule in ruleset["rules"] if rule["type"] == "pull_request"]
        assert pulls.pop("required_approving_review_count") == approvals
        assert pulls.pop("require_code_owner_review") is bool(approvals)
    assert team == solo  # the name too: one takes the place of the other


def test_a_workflow_that_github_has_switched_off_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/actions/workflows?per_page=100"
    states = {"ci.yml": "active", "drift.yml": "disabled_fork", "drill.yml": "disabled_inactivity"}
    listed = [{"path": f".github/workflows/{file}", "state": state} for file, state in states.items()]
    answered({path: {"workflows": listed}}, monkeypatch)
    assert settings.schedules() == settings.Finding(
        "schedules", "optional",
        "drift.yml does not run: a fork starts with its schedules off; drill.yml does not run: 60 days without a commit",
        "`gh workflow enable drift.yml`; `gh workflow enable drill.yml`",
    )  # fmt: skip
    answered({path: {"workflows": listed[:1]}}, monkeypatch)
    assert settings.schedules().state == "ready"


def test_a_default_branch_that_starts_nothing_is_to_be_fixed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = params.load(made.ROOT / "params.yaml")
    monkeypatch.setattr(params, "load", lambda: written)
    answered({"": about(branch="master")}, monkeypatch)
    finding = settings.default_branch()
    assert (finding.state, finding.found) == ("missing", "nothing starts on a push to `master`")
    assert finding.fix == "`gh api repos/{owner}/{repo}/branches/master/rename -f new_name=main`"
    answered({"": about()}, monkeypatch)
    assert settings.default_branch().state == "ready"


def test_issue_forms_set_only_labels_that_every_repository_has() -> None:
    """GitHub drops a label that does not exist (docs.github.com/en/issues, "Managing labels", lists the default ones)."""
    default = {"bug", "documentation", "duplicate", "enhancement", "good first issue", "help wanted", "invalid",
               "question", "wontfix"}  # fmt: skip
    forms = [yaml.safe_load(path.read_text()) for path in (made.ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")]
    assert {label for form in forms for label in form.get("labels", ())} <= default


@pytest.mark.parametrize(
    ("types", "state"),
    [
        ([], "optional"),
        (["deletion"], "optional"),
        (["non_fast_forward", "update"], "optional"),
        (["deletion", "non_fast_forward"], "ready"),
        (["deletion", "non_fast_forward", "required_signatures"], "ready"),
    ],
)
def test_a_store_whose_history_anybody_may_rewrite_is_told(
    types: list[str], state: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered({"/rules/branches/store": [{"type": name} for name in types]}, monkeypatch)
    finding = doctor.store_protection()
    assert finding.state == state
    assert (
        state == "ready" or finding.fix == "`gh api repos/{owner}/{repo}/rulesets --input .github/rulesets/store.json`"
    )


def test_without_a_token_nothing_is_said_of_the_stores_protection(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "armed", lambda: False)
    assert doctor.store_protection().state == "unknown"


def test_rulesets_of_tags_and_of_the_store_do_not_protect_main(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [{"name": "model tags", "target": "tag"}, {"name": "store", "target": "branch"}]
    answered({"/rulesets": others}, monkeypatch)
    assert doctor.protection().state == "optional"
    answered({"/rulesets": [*others, {"id": 7, "name": "main", "target": "branch"}]}, monkeypatch)
    assert (doctor.protection().state, doctor.protection().found) == ("ready", "main")


@pytest.mark.parametrize("refused", [False, True], ids=["kept", "refused"])
def test_an_issue_lists_what_is_not_ready_and_is_closed_if_nothing_is_missing(
    refused: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = [doctor.Finding("one", "ready", "it is there"), doctor.Finding("two", "optional", "it is not", "buy it")]
    texts: list[str] = []

    def keep(title: str, text: str) -> str:
        assert title == "The set-up misses something"
        texts.append(text)
        if refused:
            raise GitHubError("issues are disabled", status=410, reason="disabled")
        return "Kept."

    monkeypatch.setattr(doctor.issues, "keep", keep)
    monkeypatch.setattr(doctor, "EXAMINATIONS", [lambda one=one: one for one in found])
    assert main(["doctor", "--issue"]) == 0
    monkeypatch.setattr(
        doctor, "EXAMINATIONS", [lambda: doctor.Finding("three", "missing", "gone", "mend it"), *doctor.EXAMINATIONS]
    )
    assert main(["doctor", "--issue"]) == 1
    assert texts[0] == ""
    assert "mend it" in texts[1]
    assert "buy it" in texts[1]
    assert "it is there" not in texts[1]
    assert ("There is no issue: issues are disabled." if refused else "Kept.") in capsys.readouterr().err


@pytest.mark.parametrize("half", ["MLFLOW_TRACKING_TOKEN", "MLFLOW_READ_URI"])
def test_a_registry_server_that_is_set_by_half_is_named(
    half: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workflow sets an empty text where the repository has no such variable."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv(half, "")
    assert doctor.champion().state == "optional"
    monkeypatch.setenv(half, "something")
    finding = doctor.champion()
    assert (finding.state, finding.found) == (
        "missing",
        f"{half} without MLFLOW_TRACKING_URI: versions are registered in the store",
    )
    assert "something" not in finding.found + finding.fix


def test_a_registry_server_that_refuses_ends_no_examination(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise Failure("the registry at https://mlflow.example.com does not answer: 401")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setattr(registry, "versions", refused)
    finding = doctor.champion()
    assert (finding.state, finding.found) == (
        "missing",
        "the registry at https://mlflow.example.com does not answer: 401",
    )
    assert "secret MLFLOW_TRACKING_TOKEN" in finding.fix
    assert doctor.deliveries().state == "unknown"


def test_a_registry_server_that_wants_a_token_is_told_from_one_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Refusing)) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert doctor.champion().fix.startswith(
            "a token that the server takes: secret MLFLOW_TRACKING_TOKEN in the env"
        )
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    finding = doctor.champion()
    assert finding.state == "missing"
    assert finding.fix.startswith("start the server, or correct the variable MLFLOW_TRACKING_URI")
