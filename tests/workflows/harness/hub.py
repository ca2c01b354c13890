"""The hub: GitHub as far as the workflows can see it. Repositories, tokens, pull requests and what they set off."""

import datetime
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness import rules
from harness.gitserver import bare, git, refs
from harness.plans import PLANS, Plan

Json = dict[str, Any]
LEVELS = {"none": 0, "read": 1, "write": 2}
NO_SUCH = "0" * 40
SKIPS = "the message of the commit says that nothing is to be started"


@dataclass(frozen=True)
class Token:
    """Who asks, and what they may do. A person or an app may do everything in their own repository."""

    login: str
    repo: str
    kind: Literal["person", "app", "job"]
    scopes: dict[str, str] = field(default_factory=dict)
    subject: str = ""  # of the OIDC token that a job gets

    def may(self, repo: str, scope: str, level: str) -> bool:
        if self.repo != repo:
            return False
        return self.kind != "job" or LEVELS[self.scopes.get(scope, "none")] >= LEVELS[level]


@dataclass(frozen=True)
class Event:
    """Something that happened and that workflows may listen to; `held` names the rule that keeps them from it."""

    name: str
    repo: str
    ref: str
    sha: str
    payload: Json
    actor: str
    held: str = ""
    depth: int = 0


@dataclass
class Fault:
    """An answer planted in the API: `times` requests that match get it instead of the real one."""

    method: str
    path: str
    status: int
    times: int
    headers: dict[str, str]


@dataclass
class Repo:
    """One repository: a bare git repository and the records that GitHub keeps beside it."""

    name: str
    path: Path
    plan: Plan = PLANS["enterprise"]
    template: bool = False  # Settings > General > "Template repository"
    parent: str = ""
    default: str = "main"
    may_open_pulls: bool = True  # Settings > Actions > "Allow GitHub Actions to create and approve pull requests"
    pulls: dict[int, Json] = field(default_factory=dict)
    comments: dict[int, Json] = field(default_factory=dict)
    issues: list[Json] = field(default_factory=list)
    checks: list[Json] = field(default_factory=list)
    runs: dict[int, Json] = field(default_factory=dict)
    jobs: dict[int, list[Json]] = field(default_factory=dict)  # of each run that has ended, by the run's id
    annotations: dict[int, list[Json]] = field(default_factory=dict)  # by the job's id, which is that of its check run
    deployments: dict[int, Json] = field(default_factory=dict)
    reviews: dict[int, list[Json]] = field(default_factory=dict)  # by the pull request's number
    releases: list[Json] = field(default_factory=list)
    runners: list[str] = field(default_factory=list)  # labels of own ones; a job that asks for another never runs
    environments: list[str] = field(default_factory=list)
    reviewers: dict[str, list[str]] = field(default_factory=dict)  # by environment; its jobs wait for one of them
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    environment_secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # by environment
    environment_variables: dict[str, dict[str, str]] = field(default_factory=dict)  # by environment
    rulesets: list[Json] = field(default_factory=list)
    people: list[str] = field(default_factory=lambda: ["ada", "bob", "eve"])  # who may push
    approvals: dict[int, set[str]] = field(default_factory=dict)  # environments that a run waits for, by the run's id
    # Whether the owner's storage for artifacts is used up for this month, whatever is deleted now. Logs are free, and so are
    # images in ghcr.io (docs.github.com/en/billing/concepts/product-billing/github-actions and .../github-packages).
    storage_full: bool = False
    # Why workflows are off, by file: disabled_fork, disabled_inactivity after 60 days, disabled_manually
    # (docs.github.com/en/actions/how-tos/manage-workflow-runs/disable-and-enable-workflows).
    off: dict[str, str] = field(default_factory=dict)

    @property
    def private(self) -> bool:
        return self.plan.private

    def sha(self, ref: str) -> str:
        return git(self.path, "rev-parse", "--verify", f"{ref}^{{commit}}")

    def file(self, ref: str, path: str) -> str:
        return git(self.path, "show", f"{ref}:{path}")

    def files(self, ref: str) -> list[str]:
        return git(self.path, "ls-tree", "-r", "--name-only", ref).splitlines()

    def skips(self, sha: str) -> str:
        """The rule that keeps a push or pull request of this commit from starting a workflow, if its message does."""
        return SKIPS if rules.skips(git(self.path, "log", "-1", "--format=%B", sha)) else ""


def of_own(pull: Json, repo: Repo) -> bool:
    """Whether a pull request is from a branch of the repository itself."""
    return bool((pull["head"]["repo"] or {}).get("full_name") == repo.name)


class Hub:
    """Everything that exists; the HTTP side is in server.py, the event rules are in router.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""  # set by the server
        self.now: Callable[[], str] = lambda: datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.cancel: Callable[[Repo, int], bool] = lambda *_: False  # a run that waits; set by the router
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, Token] = {}
        self.events: list[Event] = []
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str, Json, int, Any]] = []  # method, path, request, status, reply
        self.lock = threading.RLock()
        self._last = 0

    def number(self) -> int:
        with self.lock:
            self._last += 1
            return self._last

    def repository(self, name: str, copy_of: Path | None = None, **options: Any) -> Repo:
        self.repos[name] = Repo(name, bare(self.folder / f"{name}.git", copy_of), **options)
        return self.repos[name]

    def fork(self, parent: str, owner: str) -> Repo:
        """As GitHub forks by default: the default branch only."""
        name, source = f"{owner}/{parent.partition('/')[2]}", self.repos[parent]
        repo = self.repository(name, source.path, parent=parent)
        for ref in refs(repo.path):
            if ref != f"refs/heads/{source.default}":
                git(repo.path, "update-ref", "-d", ref)
        return repo

    def token(self, login: str, repo: str, kind: Literal["person", "app", "job"], scopes: Json | None = None,
              subject: str = "") -> str:  # fmt: skip
        secret = f"{'ghs' if kind == 'job' else 'ghp'}_{secrets.token_hex(12)}"
        self.tokens[secret] = Token(login, repo, kind, scopes or {}, subject)
        return secret

    def fail(self, method: str, path: str, status: int, times: int = 1, **headers: str) -> None:
        """Plants `times` failures for requests in whose path the pattern `path` is found."""
        self.faults.append(Fault(method, path, status, times, {k.replace("_", "-"): v for k, v in headers.items()}))

    # What people and tokens set off

    def pushed(self, repo: Repo, before: dict[str, str], token: Token) -> None:
        """After a push: an event for each changed branch, and for each pull request whose head moved."""
        after = refs(repo.path)
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, NO_SUCH), after.get(ref, NO_SUCH)
            if old == new:
                continue
            if new != NO_SUCH:
                held = "GITHUB_TOKEN starts no workflow" if token.kind == "job" else repo.skips(new)
                payload = {"ref": ref, "before": old, "after": new, "created": old == NO_SUCH, "deleted": False}
                payload["repository"] = self.about(repo)
                self.events.append(Event("push", repo.name, ref, new, payload, token.login, held))
            self._head_moved(repo, ref.removeprefix("refs/heads/"), token)

    def open_pull(self, base: Repo, request: Json, token: Token) -> Json:
        owner, _, branch = request["head"].rpartition(":")
        head = next((r for r in self.repos.values() if r.name.split("/")[0] == owner), base) if owner else base
        number = self.number()
        pull = {
            "id": number, "number": number, "state": "open", "title": request["title"], "draft": False,
            "body": request.get("body") or "", "html_url": f"{self.url}/{base.name}/pull/{number}",
            "labels": [], "merged": False, "merged_at": None, "merged_by": None,
            "user": {"login": token.login}, "base": {"ref": request["base"], "repo": self.about(base)},
            "head": {"ref": branch, "label": f"{head.name.split('/')[0]}:{branch}", "repo": self.about(head)},
        }  # fmt: skip
        base.pulls[number] = pull
        self._pull_event(base, pull, "opened", token)
        return pull

    def merge(self, repo: Repo, number: int, login: str, *, squash: bool = False) -> str:
        """The green button: a merge commit on the base branch, or one commit with the message that GitHub proposes.

        What may be merged is the ruleset's business. The message of a squash lists those of all commits
        (docs.github.com: pull-requests/collaborating-with-pull-requests/incorporating-changes-from-a-pull-request/
        about-pull-request-merges).
        """
        pull = repo.pulls[number]
        before, merged = refs(repo.path), repo.sha(f"refs/pull/{number}/merge")
        if squash:
            base = pull["base"]["sha"]
            said = git(repo.path, "log", "--reverse", "--format=* %B", f"{base}..{pull['head']['sha']}")
            message = f"{pull['title']} (#{number})\n\n{said}"
            merged = git(repo.path, "commit-tree", f"{merged}^{{tree}}", "-p", base, "-m", message)
        git(repo.path, "update-ref", f"refs/heads/{pull['base']['ref']}", merged)
        pull |= {"state": "closed", "merged": True, "merge_commit_sha": merged, "merged_by": {"login": login}}
        pull["merged_at"] = "2026-01-01T00:00:00Z"
        self.pushed(repo, before, Token(login, repo.name, "person"))
        return merged

    def queue(self, repo: Repo, number: int, login: str) -> str:
        """The button "Merge when ready": a commit on a branch of its own, whose checks decide. Returns the commit.

        docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#merge_group
        """
        pull = repo.pulls[number]
        base, sha = pull["base"], repo.sha(f"refs/pull/{number}/merge")
        ref = f"refs/heads/gh-readonly-queue/{base['ref']}/pr-{number}-{base['sha']}"
        git(repo.path, "update-ref", ref, sha)
        group = {"head_sha": sha, "head_ref": ref, "base_sha": base["sha"], "base_ref": f"refs/heads/{base['ref']}"}
        payload = {"action": "checks_requested", "merge_group": group, "repository": self.about(repo)}
        self.events.append(Event("merge_group", repo.name, ref, sha, payload, login))
        return sha

    def merged(self, base: Repo, pull: Json) -> str | None:
        """The tree that merging would give, None where that conflicts."""
        tree = git(base.path, "merge-tree", "--write-tree", pull["base"]["ref"], pull["head"]["sha"], check=False)
        return None if "CONFLICT" in tree else tree

    def about(self, repo: Repo) -> Json:
        owner, _, name = repo.name.partition("/")
        return {
            "id": 1 + list(self.repos).index(repo.name), "name": name, "full_name": repo.name,
            "owner": {"login": owner, "type": repo.plan.owner}, "private": repo.private,
            "visibility": "private" if repo.private else "public", "fork": bool(repo.parent),
            "default_branch": repo.default, "is_template": repo.template, "html_url": f"{self.url}/{repo.name}",
            "clone_url": f"{self.url}/{repo.name}.git",
        }  # fmt: skip

    def _head_moved(self, repo: Repo, branch: str, token: Token) -> None:
        for base in self.repos.values():
            for pull in base.pulls.values():
                head = pull["head"]
                source = (head["repo"] or {}).get("full_name")  # none if the fork was deleted
                if pull["state"] == "open" and source == repo.name and head["ref"] == branch:
                    self._pull_event(base, pull, "synchronize", token)

    def label(self, base: Repo, number: int, name: str, token: Token, action: str = "labeled") -> None:
        """Set a label of a pull request, or remove it (`unlabeled`)."""
        pull = base.pulls[number]
        pull["labels"] = [label for label in pull["labels"] if label["name"] != name]
        pull["labels"] += [{"name": name}] if action == "labeled" else []
        self._pull_event(base, pull, action, token, label={"name": name})

    def retarget(self, base: Repo, number: int, branch: str, token: Token) -> None:
        """Another base branch: `edited` with `changes` (docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request)."""
        pull = base.pulls[number]
        old = pull["base"]
        pull["base"] = old | {"ref": branch}
        changes = {"base": {"ref": {"from": old["ref"]}, "sha": {"from": old["sha"]}}}
        self._pull_event(base, pull, "edited", token, changes=changes)

    def say(self, base: Repo, number: int, text: str, token: Token) -> None:
        """A person's comment; who may push is said in its `author_association`, which a reader of old may have as well.

        docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#issue_comment: runs on the
        default branch, whoever's pull request it is.
        """
        pull, ident = base.pulls[number], self.number()
        association = "COLLABORATOR" if token.login in base.people else "CONTRIBUTOR"
        comment = {"id": ident, "body": text, "user": {"login": token.login}, "author_association": association}
        base.comments[ident] = comment | {"number": number, "edits": 0}
        issue = {"number": number, "title": pull["title"], "pull_request": {"html_url": pull["html_url"]}}
        payload = {"action": "created", "issue": issue, "comment": comment, "repository": self.about(base)}
        ref = f"refs/heads/{base.default}"
        self.events.append(Event("issue_comment", base.name, ref, base.sha(ref), payload, token.login))

    def retitle(self, base: Repo, number: int, title: str, token: Token) -> None:
        pull = base.pulls[number]
        old, pull["title"] = pull["title"], title
        self._pull_event(base, pull, "edited", token, changes={"title": {"from": old}})

    def _pull_event(self, base: Repo, pull: Json, action: str, token: Token, **more: Any) -> None:
        number = pull["number"]
        if pull["head"]["repo"]:  # of a fork that was deleted the commits stay
            head = self.repos[pull["head"]["repo"]["full_name"]]
            git(base.path, "fetch", "--quiet", head.path, f"+refs/heads/{pull['head']['ref']}:refs/pull/{number}/head")
        pull["head"]["sha"] = base.sha(f"refs/pull/{number}/head")
        pull["base"]["sha"] = base.sha(pull["base"]["ref"])
        tree = self.merged(base, pull)
        pull["mergeable"] = tree is not None
        # Since 2026 such a run is created but waits for a person's approval: nothing runs by itself.
        held = "GITHUB_TOKEN starts no workflow" if token.kind == "job" else base.skips(pull["head"]["sha"])
        merged = pull["head"]["sha"]
        if tree:
            parents = ["-p", pull["base"]["sha"], "-p", pull["head"]["sha"]]
            merged = git(base.path, "commit-tree", tree, *parents, "-m", f"Merge pull request #{number}")
            git(base.path, "update-ref", f"refs/pull/{number}/merge", merged)
        else:
            held = "a pull request with conflicts runs no workflow"
        payload = {
            "action": action,
            "number": number,
            "pull_request": dict(pull),
            "repository": self.about(base),
        } | more
        ref = f"refs/pull/{number}/merge"
        self.events.append(Event("pull_request", base.name, ref, merged, payload, token.login, held))
