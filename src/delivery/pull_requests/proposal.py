"""Open, update or leave the program's own pull requests on GitHub, and never overwrite anybody else's work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from delivery.adapters import cml, git, github, store
from delivery.core import workspace
from delivery.core.errors import Failure, GitHubError

MAY_NOT = "GitHub Actions is not permitted to create"
CLICK = (
    "this repository does not let Actions open pull requests: Settings > Actions > General > Workflow permissions > "
    "tick `Allow GitHub Actions to create and approve pull requests`, then run this again; the branch is pushed"
)


class Kind(Struct, frozen=True):
    """The subject of a proposal; at most one of each kind is open at a time."""

    prefix: str  # of its branch
    label: str
    changes: tuple[str, ...]  # the paths that it commits


RETRAINING = Kind("retrain/", "retraining", (str(workspace.PARAMS), str(workspace.DATA_FILE), *workspace.RESULTS))
DEPENDENCIES = Kind("bump/", "dependencies", (str(workspace.REQUIREMENTS), str(workspace.DOCKERFILE)))
SEARCH = Kind("search/", "model search", (str(workspace.PARAMS),))


class PullRequest(Struct, frozen=True):
    """A pull request as GitHub described it last."""

    number: int
    title: str
    branch: str
    base: str
    address: str
    merged: bool


class Branch(Struct, frozen=True):
    """A branch of the remote when it was inspected; everything but the name is empty if it does not exist."""

    name: str
    head: str = ""
    content: tuple[str, str] = ("", "")  # tree and parent of its head
    others: str = ""  # the people who have commits on it, except for this program


class Done(Struct, frozen=True):
    """A pull request, and whether it was opened, updated or left as it is."""

    branch: str
    number: int
    address: str
    how: str
    commit: str  # the head of its branch, which needs checks


def find_open(kind: Kind) -> PullRequest | None:
    """Return the open pull request of this kind, from a branch of this repository."""
    pulls = _of_this_repository(github.pages("/pulls"))
    return next((pull for pull in pulls if pull.branch.startswith(kind.prefix)), None)


def find_refused(branch: str, title: str) -> PullRequest | None:
    """Return a pull request of this branch or title that was closed unmerged, by a person or by `withdraw`."""
    pulls = _of_this_repository(github.ask("GET", "/pulls?state=closed&per_page=100"))
    same = (pull for pull in pulls if branch == pull.branch or title == pull.title)
    return next((pull for pull in same if not pull.merged), None)


def _of_this_repository(replies: list[dict[str, Any]]) -> list[PullRequest]:
    """Return the pull requests that are not from a fork."""
    own = github.repository()
    return [_pull_request(reply) for reply in replies if (reply["head"]["repo"] or {}).get("full_name") == own]


def _pull_request(reply: dict[str, Any]) -> PullRequest:
    return PullRequest(
        number=reply["number"],
        title=reply["title"],
        branch=reply["head"]["ref"],
        base=reply["base"]["ref"],
        address=reply["html_url"],
        merged=bool(reply.get("merged_at")),
    )


def inspect_branch(name: str) -> Branch:
    """Return the branch; `others` are the authors and committers of its commits who are not this program."""
    head = remote_head(name)
    if not head:
        return Branch(name)
    base = git.git("branch", "--show-current")
    commits = github.ask("GET", f"/compare/{quote(base, safe='')}...{head}")["commits"]
    people = [commit["commit"][role] for commit in commits for role in ("author", "committer")]
    others = ", ".join(sorted({person["name"] for person in people if person["email"] != store.EMAIL}))
    content = (commits[-1]["commit"]["tree"]["sha"], commits[-1]["parents"][0]["sha"]) if commits else ("", "")
    return Branch(name, head, content, others)


def remote_head(branch: str) -> str:
    """Return the commit that the remote's branch points to; empty if there is no such branch."""
    return git.git("ls-remote", "origin", f"refs/heads/{branch}").partition("\t")[0]


def offer(kind: Kind, name: str, title: str, why: str, make: Callable[[str], str]) -> tuple[str, Done | None]:
    """Open or update the one pull request of this kind; return a sentence about it, and the pull request.

    `make` changes the files for the branch that it gets, and returns the body. It is not called for a proposal that was
    refused before, nor for a branch that has other people's commits. Raise `Failure` if such a branch has no pull request.
    """
    pull = find_open(kind)
    branch = inspect_branch(pull.branch if pull else kind.prefix + name)
    if not pull and (closed := find_refused(branch.name, title)):
        return f"no pull request for {name}: #{closed.number} was closed without being merged; reopen it there", None
    if branch.others and not pull:
        raise Failure(f"{branch.name} has commits by {branch.others} and no pull request; open one, or rename it")
    if pull and branch.others:
        return leave_open(pull, f"{why} This branch has commits by {branch.others}, so nothing is changed here."), None
    body = make(branch.name)
    done = publish(kind, branch, title, body, pull)
    return f"#{done.number} {done.how}: {done.address}", done


def leave_open(pull: PullRequest, text: str) -> str:
    """Comment on a pull request whose branch has other people's commits; return a sentence about it."""
    if github.ask("GET", f"/pulls/{pull.number}").get("mergeable") is False:
        text += f" It conflicts with `{pull.base}`: merge `{pull.base}` into it, and run `delivery reproduce`."
    comment_once(pull.number, f"{text} Merge it or close it; no other is opened while it is open.")
    return f"#{pull.number} is left as it is: {text}"


def comment_once(number: int, text: str) -> None:
    """Post a comment unless the pull request has the same one already."""
    if text not in [entry["body"] for entry in github.pages(f"/issues/{number}/comments")]:
        github.ask("POST", f"/issues/{number}/comments", {"body": text})


def close(pull: PullRequest) -> None:
    """Close a pull request without merging it."""
    github.ask("PATCH", f"/pulls/{pull.number}", {"state": "closed"})


def publish(kind: Kind, branch: Branch, title: str, body: str, pull: PullRequest | None) -> Done:
    """Push the changes as one commit on top of the checked-out branch; update the open pull request or open one."""
    base = git.git("branch", "--show-current")
    if pull:
        how = "is brought up to date" if push(kind, branch, title) else "is up to date"
        github.ask("PATCH", f"/pulls/{pull.number}", {"title": title, "body": body})
    else:
        why = "its branch existed" if branch.head else by_cml(kind, branch.name, title, body, base)
        pull = find_open(kind)
        if not pull:
            push(kind, branch, title)
            pull = create(branch.name, title, body, base)
        how = f"is opened without CML ({why})" if why else "is opened by CML"
    github.ask("POST", f"/issues/{pull.number}/labels", {"labels": [kind.label]})
    return Done(branch.name, pull.number, pull.address, how, remote_head(branch.name))


def push(kind: Kind, branch: Branch, title: str) -> bool:
    """Return whether the branch had to be pushed. Raise `Failure` if somebody has pushed to it since it was inspected."""
    if git.git("branch", "--show-current") != branch.name:
        git.git("checkout", "--quiet", "-B", branch.name)
        git.git("add", "--force", "--", *_existing_paths(kind))
        git.git(*store.IDENTITY, "commit", "--quiet", "--message", title)
    if branch.content == (git.git("rev-parse", "HEAD^{tree}"), git.git("rev-parse", "HEAD^")):
        return False
    if remote_head(branch.name) != git.head():  # else CML has pushed it before it failed
        lease = f"--force-with-lease=refs/heads/{branch.name}:{branch.head}"
        git.git("push", "--quiet", lease, "origin", f"HEAD:refs/heads/{branch.name}")
    return True


def by_cml(kind: Kind, branch: str, title: str, body: str, base: str) -> str:
    """Open the pull request by CML, which only knows the workflow run's branch as base; return why it failed, or ""."""
    if github.branch() != base:
        return f"the run is not of {base}"
    options = [f"--branch={branch}", f"--title={title}", f"--message={title}", f"--body={body}"]
    options += [f"--user-name={store.NAME}", f"--user-email={store.EMAIL}"]
    return cml.run("pr", "create", *options, *_existing_paths(kind), key=MAY_NOT)


def create(branch: str, title: str, body: str, base: str) -> PullRequest:
    """Open a pull request by the API. Raise `Failure` with the setting to change if Actions may not open any."""
    try:
        reply = github.ask("POST", "/pulls", {"title": title, "head": branch, "base": base, "body": body})
    except GitHubError as error:
        if error.status == 403 and error.reason.startswith(MAY_NOT):
            raise Failure(CLICK) from None
        raise
    return _pull_request(reply)


def _existing_paths(kind: Kind) -> list[str]:
    return [path for path in kind.changes if Path(path).exists()]
