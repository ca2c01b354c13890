"""The harness itself: its API against GitHub's own description, its event rules, its tokens."""

import json

import edits
import pytest
from harness import api, openapi, rules
from harness.hub import Token
from harness.world import World


@pytest.fixture
def described():
    if why := openapi.fetch():
        pytest.skip(f"the stand-in was not held against GitHub's description: {why}")


def test_the_stand_in_speaks_as_github_does(fresh: World, described):
    number = fresh.propose("words", edits.written("NOTES.md", "words"))
    sha, person = fresh.head(number), Token("ada", fresh.repo.name, "person")
    fresh.repo.environments.append("staging")
    fresh.repo.rulesets.append({"id": 1, **json.loads(fresh.repo.file("main", ".github/rulesets/main-solo.json"))})
    fresh.repo.runs[5] = {
        "id": 5,
        "name": "ci",
        "head_sha": sha,
        "event": "push",
        "head_branch": "main",
        "status": "completed",
    }
    fresh.repo.runs[5]["path"] = ".github/workflows/ci.yml"
    fresh.repo.approvals[5] = {"staging"}
    fresh.hub.cancel = lambda *_: True
    asked = [
        ("GET", "/users/ada", {}), ("GET", "", {}), ("GET", "/branches/main", {}),
        ("POST", "/git/refs", {"ref": "refs/tags/v1", "sha": sha}), ("GET", "/rulesets", {}),
        ("GET", "/rules/branches/main", {}),
        ("GET", "/rulesets/1", {}), ("GET", "/collaborators", {}), ("GET", "/collaborators/ada/permission", {}),
        ("GET", "/actions/workflows", {}), ("GET", "/actions/workflows/ci.yml/runs", {}),
        ("GET", "/check-runs/5/annotations", {}),
        ("GET", "/environments", {}), ("GET", "/actions/permissions/workflow", {}), ("GET", "/pulls", {}),
        ("POST", "/pulls", {"head": "main", "base": "main", "title": "x"}),
        ("GET", f"/pulls/{number}", {}), ("PATCH", f"/pulls/{number}", {"title": "y"}), ("GET", f"/pulls/{number}/commits", {}),
        ("GET", f"/pulls/{number}/files", {}), ("GET", "/contents/params.yaml", {}),
        ("GET", "/compare/main...words", {}), ("GET", f"/pulls/{number}/reviews", {}), ("GET", "/releases", {}),
        ("POST", "/releases", {"tag_name": "model-1", "target_commitish": sha, "name": "1", "body": "card"}),
        ("GET", f"/commits/{sha}/pulls", {}), ("POST", f"/issues/{number}/comments", {"body": "b"}),
        ("GET", f"/issues/{number}/comments", {}), ("PATCH", "/issues/comments/LAST", {"body": "c"}),
        ("POST", f"/issues/{number}/labels", {"labels": ["l"]}),
        ("GET", "/issues", {}), ("POST", "/issues", {"title": "t", "body": "b"}),
        ("PATCH", "/issues/ISSUE", {"body": "c", "state": "closed", "state_reason": "completed"}),
        ("POST", "/check-runs", {"name": "n", "head_sha": sha}), ("GET", f"/commits/{sha}/check-runs", {}),
        ("POST", "/actions/workflows/ci.yml/dispatches", {"ref": "main"}), ("GET", "/actions/runs", {}), ("GET", "/actions/runs/5", {}),
        ("GET", "/actions/runs/5/artifacts", {}), ("GET", "/actions/runs/5/jobs", {}),
        ("GET", "/actions/runs/5/pending_deployments", {}), ("POST", "/actions/runs/5/cancel", {}),
        ("POST", "/deployments", {"ref": "main", "environment": "staging"}),
        ("GET", "/deployments", {}), ("GET", "/deployments/LAST/statuses", {}),
        ("POST", "/deployments/LAST/statuses", {"state": "success"}),
    ]  # fmt: skip
    found, last, called = [], 0, set()
    for method, path, body in asked:
        issue = fresh.repo.issues[-1]["number"] if fresh.repo.issues else 0
        place = path.replace("LAST", str(last)).replace("ISSUE", str(issue))
        full = place if place.startswith("/users") else f"/repos/{fresh.repo.name}{place}"
        status, reply, _ = api.answer(fresh.hub, method, full, {}, body, person)
        assert status < 300, (method, full, reply)
        found += openapi.problems(method, full, body, status, reply)
        last = reply["id"] if isinstance(reply, dict) and "id" in reply else last
        called.add((method, path))
    assert not found, "\n".join(found)
    assert len(called) == len([route for route in api.ROUTES if not route[1].startswith("/hub/")])


@pytest.mark.parametrize(
    ("message", "skips"),
    [
        ("A change", False),
        ("A change\n\n* half [skip ci]\n* whole", True),
        ("[Actions Skip] words", True),
        ("Words\n\n\nskip-checks: true\n", True),
        ("Words\n\nskip-checks: true\n\nmore", False),
    ],
)
def test_a_message_may_keep_workflows_from_starting(message, skips):
    assert rules.skips(message) is skips


@pytest.mark.parametrize(
    ("on", "event", "payload", "ref", "changed", "runs"),
    [
        ({"push": {"branches": ["main"]}}, "push", {}, "refs/heads/main", [], True),
        ({"push": {"branches": ["main"]}}, "push", {}, "refs/heads/other", [], False),
        ({"push": {"branches": ["release/*"]}}, "push", {}, "refs/heads/release/1", [], True),
        ({"push": {"branches": ["release/*"]}}, "push", {}, "refs/heads/release/1/2", [], False),
        ({"push": {"branches": ["**", "!wip/**"]}}, "push", {}, "refs/heads/wip/1/2", [], False),
        ({"push": {"paths": ["docs/**"]}}, "push", {}, "refs/heads/main", ["docs/a/b.md"], True),
        ({"push": {"paths-ignore": ["docs/**"]}}, "push", {}, "refs/heads/main", ["docs/a.md"], False),
        ({"push": {"paths-ignore": ["docs/**"]}}, "push", {}, "refs/heads/main", ["docs/a.md", "src/b.py"], True),
        ({"push": None}, "pull_request", {}, "refs/heads/main", [], False),
        ({"pull_request": None}, "pull_request", {"action": "labeled", "pull_request": {"base": {"ref": "main"}}}, "", [], False),
        ({"pull_request": None}, "pull_request", {"action": "opened", "pull_request": {"base": {"ref": "main"}}}, "", [], True),
    ],
)  # fmt: skip
def test_filters_are_githubs(on, event, payload, ref, changed, runs):
    assert rules.wants({"on": on}, event, payload, ref, changed) is runs


def test_a_fork_gets_no_write_and_an_unlisted_right_is_none():
    document = rules.load(
        "on: push\npermissions: {}\njobs:\n  a: {permissions: {contents: write, issues: read}}\n  b: {}\n"
    )
    assert rules.rights(document, "a", fork=True) == {"contents": "read", "issues": "read"}
    assert rules.rights(document, "b", fork=False) == {}
    token = Token("bot", "o/r", "job", {"contents": "read"})
    assert token.may("o/r", "contents", "read")
    assert not token.may("o/r", "contents", "write")
    assert not token.may("o/other", "contents", "read")


def test_a_jobs_token_cannot_push_workflows_and_its_push_starts_nothing(fresh: World):
    from harness.gitserver import git

    folder = fresh.clone()
    secret = fresh.hub.token("github-actions[bot]", fresh.repo.name, "job", {"contents": "write"})
    git(folder, "remote", "set-url", "origin", f"{fresh.hub.url.replace('//', f'//x:{secret}@')}/{fresh.repo.name}.git")
    edits.written("NOTES.md", "words")(folder)
    fresh.push(folder, "Words", "bot")
    assert fresh.settle() == []
    assert [event.held for event in fresh.router.held] == ["GITHUB_TOKEN starts no workflow"]
    edits.written(".github/workflows/own.yml", "on: push\njobs: {}\n")(folder)
    with pytest.raises(RuntimeError, match="workflows permission"):
        fresh.push(folder, "A workflow", "bot")


def test_a_file_over_githubs_limit_is_refused_also_if_a_later_commit_removes_it(fresh: World):
    from harness.gitserver import git

    folder = fresh.clone()
    git(fresh.repo.path, "config", "hub.limit", "1048576")
    edits.written("large.csv", "x" * 1048576)(folder)
    fresh.push(folder, "As much as is allowed", "fits")
    edits.written("large.csv", "x" * 1048577)(folder)
    with pytest.raises(
        RuntimeError, match=r"large\.csv is 1\.00 MB; this exceeds .* 1\.00 MB[\s\S]*GH001: Large files"
    ):
        fresh.push(folder, "One byte more", "large")
    (folder / "large.csv").unlink()
    with pytest.raises(RuntimeError, match="GH001"):
        fresh.push(folder, "Gone again", "large")
