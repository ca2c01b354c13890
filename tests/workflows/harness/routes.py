"""The API's routes that the template and CML use, each with the permission that GitHub asks for it."""

import base64
from fnmatch import fnmatchcase
from urllib.parse import unquote

from harness import rules
from harness.api import Answer, Call, Refused, route
from harness.gitserver import git, refs
from harness.hub import Event, Json
from harness.plans import NO_ATTESTATIONS, NO_RULESETS

REPO = "/repos/{owner}/{repo}"


def _pull(call: Call) -> Json:
    number = int(call.names["pull_number"])
    if number not in call.repo.pulls:
        raise Refused(404, "Not Found")
    return call.repo.pulls[number]


@route("GET", "/users/{username}", "metadata")
def user(call: Call) -> Answer:
    return 200, {"id": 7, "login": call.names["username"], "type": "User"}


@route("GET", "/hub/{owner}/{repo}/may/{scope}/{level}", "metadata")
def may(call: Call) -> Answer:
    """Not GitHub's: the stand-in of the image registry asks whether a token would do."""
    if call.names["level"] == "plan":
        owner = call.repo.name.partition("/")[0]
        return (200, {}) if call.repo.plan.attestations else (403, {"message": NO_ATTESTATIONS.format(owner=owner)})
    granted = call.token.may(call.repo.name, call.names["scope"], call.names["level"])
    return (200, {}) if granted else (403, {"message": "denied"})


@route("GET", "/hub/{owner}/{repo}/oidc", "id-token:write")
def identity(call: Call) -> Answer:
    """The subject of a job's OIDC token, which stands for the token that GitHub would sign."""
    return 200, {"value": call.token.subject}


@route("GET", REPO, "metadata")
def repository(call: Call) -> Answer:
    return 200, call.hub.about(call.repo)


@route("GET", f"{REPO}/branches/{{branch}}", "contents:read")
def branch(call: Call) -> Answer:
    name = call.names["branch"]
    sha = refs(call.repo.path).get(f"refs/heads/{name}")
    if not sha:
        raise Refused(404, "Branch not found")
    said = {"message": git(call.repo.path, "log", "-1", "--format=%B", sha)}
    return 200, {"name": name, "commit": {"sha": sha, "commit": said}, "protected": bool(call.repo.rulesets)}


@route("POST", f"{REPO}/git/refs", "contents:write")
def create_ref(call: Call) -> Answer:
    ref, sha = call.body["ref"], call.body["sha"]
    if git(call.repo.path, "for-each-ref", ref):
        raise Refused(422, "Reference already exists")
    git(call.repo.path, "update-ref", ref, sha)
    return 201, {"ref": ref, "object": {"sha": sha, "type": "commit"}}


@route("GET", f"{REPO}/rulesets", "metadata")
def rulesets(call: Call) -> Answer:
    if not call.repo.plan.rulesets:
        raise Refused(403, NO_RULESETS)
    return 200, call.repo.rulesets


@route("GET", f"{REPO}/rulesets/{{ruleset_id}}", "metadata")
def ruleset(call: Call) -> Answer:
    found = [each for each in call.repo.rulesets if str(each["id"]) == call.names["ruleset_id"]]
    return (200, found[0]) if found else (404, {"message": "Not Found"})


@route("GET", f"{REPO}/collaborators", "contents:write")
def collaborators(call: Call) -> Answer:
    """Only for those who may push (docs.github.com/en/rest/collaborators/collaborators#list-repository-collaborators)."""
    return 200, [{"id": n, "login": login, "type": "User"} for n, login in enumerate(call.repo.people, 1)]


@route("GET", f"{REPO}/collaborators/{{username}}/permission", "metadata")
def permission(call: Call) -> Answer:
    """docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user."""
    login = call.names["username"]
    role = "write" if login in call.repo.people else "none" if call.repo.private else "read"
    return 200, {"permission": role, "role_name": role, "user": {"id": 7, "login": login, "type": "User"}}


@route("GET", f"{REPO}/actions/workflows", "actions:read")
def workflows(call: Call) -> Answer:
    files = [path for path in call.repo.files(call.repo.default) if path.startswith(".github/workflows/")]
    states = {path: call.repo.off.get(path.rpartition("/")[2], "active") for path in files}
    found = [{"id": n, "path": path, "state": states[path]} for n, path in enumerate(files, 1)]
    return 200, {"total_count": len(found), "workflows": found}


@route("GET", f"{REPO}/rules/branches/{{branch}}", "metadata")
def branch_rules(call: Call) -> Answer:
    """The rules of every active ruleset for the branch (docs.github.com/en/rest/repos/rules#get-rules-for-a-branch)."""
    if not call.repo.plan.rulesets:
        raise Refused(403, NO_RULESETS)
    name, found = call.names["branch"], []
    for ruleset in call.repo.rulesets:
        included = ruleset["conditions"]["ref_name"]["include"]
        patterns = [f"refs/heads/{call.repo.default}" if one == "~DEFAULT_BRANCH" else one for one in included]
        if ruleset["target"] == "branch" and any(fnmatchcase(f"refs/heads/{name}", one) for one in patterns):
            source = {"ruleset_source_type": "Repository", "ruleset_source": call.repo.name, "ruleset_id": 1}
            found += [rule | source for rule in ruleset["rules"]]
    return 200, found


@route("GET", f"{REPO}/environments", "actions:read")
def environments(call: Call) -> Answer:
    listed = [{"id": n, "name": name} for n, name in enumerate(call.repo.environments, 1)]
    return 200, {"total_count": len(listed), "environments": listed}


@route("GET", f"{REPO}/actions/permissions/workflow", "administration:read")
def workflow_permissions(call: Call) -> Answer:
    approve = call.repo.may_open_pulls
    return 200, {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": approve}


@route("GET", f"{REPO}/pulls", "pull-requests:read")
def pulls(call: Call) -> Answer:
    wanted, head = call.query.get("state", "open"), call.query.get("head")
    found = [p for p in call.repo.pulls.values() if wanted in ("all", p["state"])]
    return 200, [_short(p) for p in found if head in (None, p["head"]["label"])]


@route("POST", f"{REPO}/pulls", "pull-requests:write")
def create_pull(call: Call) -> Answer:
    if call.token.kind == "job" and not call.repo.may_open_pulls:
        raise Refused(403, "GitHub Actions is not permitted to create or approve pull requests.")
    owner = call.body["head"] if ":" in call.body["head"] else f"{call.repo.name.split('/')[0]}:{call.body['head']}"
    if any(p["state"] == "open" and p["head"]["label"] == owner for p in call.repo.pulls.values()):
        raise Refused(422, f"Validation Failed: A pull request already exists for {owner}.")
    return 201, call.hub.open_pull(call.repo, call.body, call.token)


@route("GET", f"{REPO}/pulls/{{pull_number}}", "pull-requests:read")
def pull(call: Call) -> Answer:
    found = _pull(call)
    return 200, found | {"mergeable": call.hub.merged(call.repo, found) is not None}


@route("PATCH", f"{REPO}/pulls/{{pull_number}}", "pull-requests:write")
def update_pull(call: Call) -> Answer:
    found = _pull(call)
    found |= call.body
    return 200, found


@route("GET", f"{REPO}/pulls/{{pull_number}}/commits", "pull-requests:read|contents:read")
def pull_commits(call: Call) -> Answer:
    found = _pull(call)
    between = f"{found['base']['sha']}..{found['head']['sha']}"
    commits = git(call.repo.path, "rev-list", "--reverse", between).splitlines()
    messages = [git(call.repo.path, "log", "-1", "--format=%B", sha) for sha in commits]
    return 200, [{"sha": sha, "commit": {"message": said}} for sha, said in zip(commits, messages, strict=True)]


@route("GET", f"{REPO}/pulls/{{pull_number}}/files", "pull-requests:read")
def pull_files(call: Call) -> Answer:
    """At most 3,000 files (docs.github.com/en/rest/pulls/pulls#list-pull-requests-files)."""
    pull = _pull(call)
    lines = git(call.repo.path, "diff", "--name-status", f"{pull['base']['ref']}...{pull['head']['sha']}").splitlines()
    kinds = {"A": "added", "D": "removed", "M": "modified", "R": "renamed"}
    found = []
    for kind, *names in (line.split("\t") for line in lines):
        earlier = {"previous_filename": names[0]} if names[1:] else {}
        found.append({"filename": names[-1], "status": kinds.get(kind[0], "changed")} | earlier)
    return 200, found[:3000]


@route("GET", f"{REPO}/contents/{{path}}", "contents:read")
def contents(call: Call) -> Answer:
    """A file (docs.github.com/en/rest/repos/contents#get-repository-content)."""
    path, ref = unquote(call.names["path"]), call.query.get("ref", call.repo.default)
    if not git(call.repo.path, "ls-tree", ref, "--", path):
        raise Refused(404, "Not Found")
    text = call.repo.file(ref, path).encode()
    encoded = base64.encodebytes(text).decode()
    named = {"type": "file", "name": path, "path": path, "size": len(text)}
    return 200, named | {"encoding": "base64", "content": encoded}


@route("GET", f"{REPO}/compare/{{basehead}}", "contents:read")
def compare(call: Call) -> Answer:
    """What the second has and the first has not, oldest first."""
    base, _, head = unquote(call.names["basehead"]).partition("...")
    known = call.repo.sha(base), call.repo.sha(head)
    return 200, {
        "status": "ahead",
        "merge_base_commit": _commit(call, git(call.repo.path, "merge-base", *known)),
        "commits": [
            _commit(call, sha)
            for sha in git(call.repo.path, "rev-list", "--reverse", f"{known[0]}..{known[1]}").splitlines()
        ],
    }


def _commit(call: Call, sha: str) -> Json:
    form = "%T%n%P%n%an%n%ae%n%cn%n%ce%n%s"
    tree, parents, *names, subject = git(call.repo.path, "log", "-1", f"--format={form}", sha).split("\n")
    author, committer = ({"name": name, "email": email} for name, email in (names[:2], names[2:]))
    about = {"author": author, "committer": committer, "message": subject, "tree": {"sha": tree}}
    return {"sha": sha, "commit": about, "parents": [{"sha": parent} for parent in parents.split()]}


@route("GET", f"{REPO}/commits/{{commit_sha}}/pulls", "pull-requests:read")
def commit_pulls(call: Call) -> Answer:
    sha = call.names["commit_sha"]
    merged = [p for p in call.repo.pulls.values() if sha in (p["head"]["sha"], p.get("merge_commit_sha"))]
    return 200, [_short(p) for p in merged]


def _short(pull: Json) -> Json:
    """As in lists: without what only the pull request's own page says."""
    return {name: value for name, value in pull.items() if name not in ("merged", "merged_by", "mergeable")}


@route("GET", f"{REPO}/pulls/{{pull_number}}/reviews", "pull-requests:read")
def reviews(call: Call) -> Answer:
    return 200, call.repo.reviews.get(_pull(call)["number"], [])


@route("GET", f"{REPO}/releases", "contents:read")
def releases(call: Call) -> Answer:
    return 200, list(reversed(call.repo.releases))


@route("POST", f"{REPO}/releases", "contents:write")
def create_release(call: Call) -> Answer:
    name, ident = call.body["tag_name"], call.hub.number()
    if any(release["tag_name"] == name for release in call.repo.releases):
        raise Refused(422, "Validation Failed: already_exists tag_name")
    if not git(call.repo.path, "for-each-ref", f"refs/tags/{name}"):
        git(call.repo.path, "update-ref", f"refs/tags/{name}", call.repo.sha(call.body["target_commitish"]))
    url = f"{call.hub.url}/{call.repo.name}/releases/tag/{name}"
    call.repo.releases.append(call.body | {"id": ident, "html_url": url, "author": {"login": call.token.login}})
    return 201, call.repo.releases[-1]


@route("GET", f"{REPO}/issues", "issues:read")
def issues(call: Call) -> Answer:
    """Pull requests are issues, too."""
    both = ("number", "title", "state", "html_url")
    pulls = [{name: pull[name] for name in both} | {"pull_request": {}} for pull in call.repo.pulls.values()]
    return 200, [one for one in [*call.repo.issues, *pulls] if one["state"] == "open"]


@route("POST", f"{REPO}/issues", "issues:write")
def create_issue(call: Call) -> Answer:
    number = call.hub.number()
    url = f"{call.hub.url}/{call.repo.name}/issues/{number}"
    user = {"login": call.token.login, "type": "Bot" if call.token.login.endswith("[bot]") else "User"}
    call.repo.issues.append(call.body | {"number": number, "html_url": url, "state": "open", "user": user})
    return 201, call.repo.issues[-1]


@route("PATCH", f"{REPO}/issues/{{issue_number}}", "issues:write")
def update_issue(call: Call) -> Answer:
    """Its text or state (docs.github.com/en/rest/issues/issues#update-an-issue)."""
    found = [one for one in call.repo.issues if one["number"] == int(call.names["issue_number"])]
    if not found:
        raise Refused(404, "Not Found")
    found[0] |= call.body
    return 200, found[0]


@route("GET", f"{REPO}/issues/{{issue_number}}/comments", "issues:read|pull-requests:read")
def comments(call: Call) -> Answer:
    number = int(call.names["issue_number"])
    return 200, [_public(c) for c in call.repo.comments.values() if c["number"] == number]


@route("POST", f"{REPO}/issues/{{issue_number}}/comments", "issues:write|pull-requests:write")
def create_comment(call: Call) -> Answer:
    if len(call.body["body"]) > 65536:
        raise Refused(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    number, ident = int(call.names["issue_number"]), call.hub.number()
    url = f"{call.hub.url}/{call.repo.name}/pull/{number}#issuecomment-{ident}"
    made = {"id": ident, "number": number, "body": call.body["body"], "html_url": url, "edits": 0}
    call.repo.comments[ident] = made | {"user": {"login": call.token.login}}
    return 201, _public(call.repo.comments[ident])


@route("PATCH", f"{REPO}/issues/comments/{{comment_id}}", "issues:write|pull-requests:write")
def update_comment(call: Call) -> Answer:
    found = call.repo.comments[int(call.names["comment_id"])]
    if call.token.kind == "job" and found["user"].get("login") != call.token.login:
        raise Refused(403, "Resource not accessible by integration")  # the strict reading: whoever wrote it
    found |= {"body": call.body["body"], "edits": found["edits"] + 1}
    return 200, _public(found)


def _public(comment: Json) -> Json:
    return {name: value for name, value in comment.items() if name not in ("number", "edits")}


@route("POST", f"{REPO}/issues/{{issue_number}}/labels", "issues:write|pull-requests:write")
def add_labels(call: Call) -> Answer:
    found = call.repo.pulls[int(call.names["issue_number"])]
    found["labels"] += [{"name": name} for name in call.body["labels"]]
    return 200, found["labels"]


@route("POST", f"{REPO}/check-runs", "checks:write")
def create_check(call: Call) -> Answer:
    call.repo.checks.append(call.body | {"id": call.hub.number()})
    return 201, call.repo.checks[-1]


@route("GET", f"{REPO}/commits/{{ref}}/check-runs", "checks:read")
def checks(call: Call) -> Answer:
    found = [c for c in call.repo.checks if c["head_sha"] == call.names["ref"]]
    return 200, {"total_count": len(found), "check_runs": found}


@route("GET", f"{REPO}/check-runs/{{check_run_id}}/annotations", "checks:read")
def annotations(call: Call) -> Answer:
    """docs.github.com/en/rest/checks/runs#list-check-run-annotations."""
    return 200, call.repo.annotations.get(int(call.names["check_run_id"]), [])


@route("POST", f"{REPO}/actions/workflows/{{workflow_id}}/dispatches", "actions:write")
def dispatch(call: Call) -> Answer:
    ref = f"refs/heads/{call.body['ref'].removeprefix('refs/heads/')}"
    payload = {
        "inputs": call.body.get("inputs", {}), "ref": ref, "workflow": call.names["workflow_id"],
        "repository": call.hub.about(call.repo),
    }  # fmt: skip
    sha = refs(call.repo.path).get(ref)
    if not sha:
        raise Refused(422, f"No ref found for: {call.body['ref']}")
    path = f".github/workflows/{call.names['workflow_id']}"
    if path not in call.repo.files(sha):
        raise Refused(404, "Not Found")
    document = rules.load(call.repo.file(sha, path))
    if why := rules.refused_inputs(document, payload["inputs"]):
        raise Refused(422, why)
    call.hub.events.append(Event("workflow_dispatch", call.repo.name, ref, sha, payload, call.token.login))
    return 204, None


@route("GET", f"{REPO}/actions/runs", "actions:read")
def runs(call: Call) -> Answer:
    wanted = {name: call.query[name] for name in ("event", "head_sha", "status") if name in call.query}
    found = [run for run in call.repo.runs.values() if all(run[name] == value for name, value in wanted.items())]
    return 200, {"total_count": len(found), "workflow_runs": found}


@route("GET", f"{REPO}/actions/workflows/{{workflow_id}}/runs", "actions:read")
def runs_of_workflow(call: Call) -> Answer:
    """The newest first (docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow)."""
    path = f".github/workflows/{call.names['workflow_id']}"
    found = [run for run in call.repo.runs.values() if run["path"] == path]
    same = {"branch": "head_branch", "status": "status", "event": "event"}
    wanted = {same[name]: value for name, value in call.query.items() if name in same}
    found = [run for run in reversed(found) if all(run[name] == value for name, value in wanted.items())]
    return 200, {"total_count": len(found), "workflow_runs": found[: int(call.query.get("per_page", 30))]}


@route("GET", f"{REPO}/actions/runs/{{run_id}}", "actions:read")
def run(call: Call) -> Answer:
    found = call.repo.runs.get(int(call.names["run_id"]))
    return (200, found) if found else (404, {"message": "Not Found"})


@route("GET", f"{REPO}/actions/runs/{{run_id}}/jobs", "actions:read")
def jobs(call: Call) -> Answer:
    """All jobs of a run are as far as the run is: the stand-in carries out whole runs."""
    found = call.repo.runs[int(call.names["run_id"])]
    if found["id"] in call.repo.jobs:
        return 200, {"total_count": len(call.repo.jobs[found["id"]]), "jobs": call.repo.jobs[found["id"]]}
    text = call.repo.file(found["head_sha"], found["path"])
    names = [about.get("name", job) for job, about in rules.load(text)["jobs"].items()]
    listed = [
        {"id": n, "run_id": found["id"], "name": name, "status": found["status"]} for n, name in enumerate(names, 1)
    ]
    return 200, {"total_count": len(listed), "jobs": listed}


@route("GET", f"{REPO}/actions/runs/{{run_id}}/pending_deployments", "actions:read")
def pending_deployments(call: Call) -> Answer:
    """docs.github.com/en/rest/actions/workflow-runs#get-pending-deployments-for-a-workflow-run."""
    names = sorted(call.repo.approvals.get(int(call.names["run_id"]), ()))
    about: Json = {"wait_timer": 0, "wait_timer_started_at": None, "current_user_can_approve": False, "reviewers": []}
    return 200, [{"environment": {"id": n, "name": name}} | about for n, name in enumerate(names, 1)]


@route("POST", f"{REPO}/actions/runs/{{run_id}}/cancel", "actions:write")
def cancel_run(call: Call) -> Answer:
    """docs.github.com/en/rest/actions/workflow-runs#cancel-a-workflow-run."""
    if not call.hub.cancel(call.repo, int(call.names["run_id"])):
        raise Refused(409, "Cannot cancel a workflow run that is completed.")
    return 202, {}


@route("GET", f"{REPO}/actions/runs/{{run_id}}/artifacts", "actions:read")
def artifacts(call: Call) -> Answer:
    folder = call.hub.folder / "artifacts" / call.names["run_id"]
    found = [{"id": n, "name": path.name} for n, path in enumerate(sorted(folder.glob("*")), 1)]
    return 200, {"total_count": len(found), "artifacts": found}


REQUESTED = ("statuses", "auto_merge", "required_contexts")  # which GitHub does not answer with a Deployment


@route("GET", f"{REPO}/deployments", "deployments:read")
def deployments(call: Call) -> Answer:
    wanted = call.query.get("environment")
    found = [d for d in call.repo.deployments.values() if wanted in (None, d["environment"])]
    return 200, [{k: v for k, v in d.items() if k not in REQUESTED} for d in reversed(found)]


@route("POST", f"{REPO}/deployments", "deployments:write")
def create_deployment(call: Call) -> Answer:
    ident = call.hub.number()
    made = {"id": ident, "environment": "production", "payload": {}, "description": None} | call.body
    made |= {"sha": call.repo.sha(call.body["ref"]), "statuses": []}
    call.repo.deployments[ident] = made
    if made["environment"] not in call.repo.environments:
        call.repo.environments.append(made["environment"])
    return 201, {k: v for k, v in made.items() if k not in REQUESTED}


@route("GET", f"{REPO}/deployments/{{deployment_id}}/statuses", "deployments:read")
def deployment_statuses(call: Call) -> Answer:
    """docs.github.com/en/rest/deployments/statuses#list-deployment-statuses: the newest first."""
    return 200, call.repo.deployments[int(call.names["deployment_id"])]["statuses"][::-1]


@route("POST", f"{REPO}/deployments/{{deployment_id}}/statuses", "deployments:write")
def create_status(call: Call) -> Answer:
    statuses = call.repo.deployments[int(call.names["deployment_id"])]["statuses"]
    statuses.append(call.body | {"id": call.hub.number()})
    return 201, statuses[-1]
