"""A pull request of this program on GitHub: which one is open, whose its branch is, and how it is made or moved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from delivery.adapters import cml, git, github, store
from delivery.core import workspace
from delivery.core.errors import Failure, GitHubError

MAY_NOT = "GitHub Actions is not permitted to create"
CLICK = (
    "this repository does not let Actions open pull requests: Settings > Actions > General > Workflow permissions > "
    "tick `Allow GitHub Actions to create and approve pull requests`, then run this again; the branch is pushed"
)


class Kind(NamedTuple):
    """What a proposal is about; of each kind one is open at a time."""

    prefix: str  # of its branch
    label: str
    changes: tuple[str, ...]  # the paths that it commits


RETRAINING = Kind("retrain/", "retraining", (str(workspace.PARAMS), str(workspace.DATA_FILE), *workspace.RESULTS))
SEARCH = Kind("search/", "model search", (str(workspace.PARAMS),))


class Branch(NamedTuple):
    """A branch of the remote as it was when it was looked at; all empty where it is not there."""

    name: str
    head: str = ""
    content: tuple[str, str] = "", ""  # tree and parent of its head
    others: str = ""  # who but us has commits on it


class Done(NamedTuple):
    branch: str
    number: int
    address: str
    how: str
    commit: str  # the head of its branch, which wants checks


def opened(kind: Kind) -> dict[str, Any] | None:
    """The open pull request from a branch of this repository that is of this kind."""
    return next(
        (pull for pull in github.pages("/pulls") if _ours(pull) and pull["head"]["ref"].startswith(kind.prefix)), None
    )


def refused(branch: str, title: str) -> dict[str, Any] | None:
    """One that was closed without being merged, by a person or by `withdraw`: it is not opened again."""
    recent = github.ask("GET", "/pulls?state=closed&per_page=100")
    same = (pull for pull in recent if _ours(pull) and (pull["head"]["ref"] == branch or pull["title"] == title))
    return next((pull for pull in same if not pull["merged_at"]), None)


def _ours(pull: dict[str, Any]) -> bool:
    return (pull["head"]["repo"] or {}).get("full_name") == github.repository()


def look(name: str) -> Branch:
    """The branch and whose it is: a commit whose author and committer is not this program is somebody else's."""
    head = remote_head(name)
    if not head:
        return Branch(name)
    base = git.git("branch", "--show-current")
    commits = github.ask("GET", f"/compare/{quote(base, safe='')}...{head}")["commits"]
    people = [commit["commit"][who] for commit in commits for who in ("author", "committer")]
    others = ", ".join(sorted({person["name"] for person in people if person["email"] != store.EMAIL}))
    content = (commits[-1]["commit"]["tree"]["sha"], commits[-1]["parents"][0]["sha"]) if commits else ("", "")
    return Branch(name, head, content, others)


def remote_head(branch: str) -> str:
    return git.git("ls-remote", "origin", f"refs/heads/{branch}").partition("\t")[0]


def offer(kind: Kind, name: str, title: str, why: str, make: Callable[[str], str]) -> tuple[str, Done | None]:
    """The one open pull request of this kind as it should be now. `make` changes the files and returns the body.

    Nothing is made where it was refused before, or where the branch is somebody else's; returns what was done.
    """
    pull = opened(kind)
    branch = look(pull["head"]["ref"] if pull else kind.prefix + name)
    if not pull and (closed := refused(branch.name, title)):
        return f"no pull request for {name}: #{closed['number']} was closed without being merged; reopen it there", None
    if branch.others and not pull:
        raise Failure(f"{branch.name} has commits by {branch.others} and no pull request; open one, or rename it")
    if pull and branch.others:
        return leave(pull, f"{why} This branch has commits by {branch.others}, so nothing is changed here."), None
    body = make(branch.name)
    done = put(kind, branch, title, body, pull)
    return f"#{done.number} {done.how}: {done.address}", done


def leave(pull: dict[str, Any], text: str) -> str:
    """A word to those who made the branch theirs."""
    base = pull["base"]["ref"]
    if github.ask("GET", f"/pulls/{pull['number']}").get("mergeable") is False:
        text += f" It conflicts with `{base}`: merge `{base}` into it, and run `delivery reproduce`."
    tell(pull["number"], f"{text} Merge it or close it; no other is opened while it is open.")
    return f"#{pull['number']} is left as it is: {text}"


def tell(number: int, text: str) -> None:
    """A comment, unless the same was said before."""
    if text not in [entry["body"] for entry in github.pages(f"/issues/{number}/comments")]:
        github.ask("POST", f"/issues/{number}/comments", {"body": text})


def put(kind: Kind, branch: Branch, title: str, body: str, pull: dict[str, Any] | None) -> Done:
    """Its changes as one commit on top of the checked-out branch, and a pull request: the open one, else a new one."""
    base = git.git("branch", "--show-current")
    if pull:
        how = "is brought up to date" if push(kind, branch, title) else "is up to date"
        github.ask("PATCH", f"/pulls/{pull['number']}", {"title": title, "body": body})
    else:
        why = "its branch was there" if branch.head else by_cml(kind, branch.name, title, body, base)
        pull = opened(kind)
        if not pull:
            push(kind, branch, title)
            pull = create(branch.name, title, body, base)
        how = f"is opened without CML ({why})" if why else "is opened by CML"
    github.ask("POST", f"/issues/{pull['number']}/labels", {"labels": [kind.label]})
    return Done(branch.name, pull["number"], pull["html_url"], how, remote_head(branch.name))


def push(kind: Kind, branch: Branch, title: str) -> bool:
    """False where the branch has just this already. Raises Failure where somebody has pushed to it meanwhile."""
    if git.git("branch", "--show-current") != branch.name:
        git.git("checkout", "--quiet", "-B", branch.name)
        git.git("add", "--force", "--", *_there(kind))
        git.git(*store.IDENTITY, "commit", "--quiet", "--message", title)
    if branch.content == (git.git("rev-parse", "HEAD^{tree}"), git.git("rev-parse", "HEAD^")):
        return False
    if remote_head(branch.name) != git.head():  # else CML has come as far as this
        lease = f"--force-with-lease=refs/heads/{branch.name}:{branch.head}"
        git.git("push", "--quiet", lease, "origin", f"HEAD:refs/heads/{branch.name}")
    return True


def by_cml(kind: Kind, branch: str, title: str, body: str, base: str) -> str:
    """CML's reason for failing, or nothing. It knows one base: the branch that the workflow run is of."""
    if github.branch() != base:
        return f"the run is not of {base}"
    words = [f"--branch={branch}", f"--title={title}", f"--message={title}", f"--body={body}"]
    words += [f"--user-name={store.NAME}", f"--user-email={store.EMAIL}"]
    return cml.run("pr", "create", *words, *_there(kind), key=MAY_NOT)


def create(branch: str, title: str, body: str, base: str) -> dict[str, Any]:
    try:
        return github.ask("POST", "/pulls", {"title": title, "head": branch, "base": base, "body": body})
    except GitHubError as error:
        if error.status == 403 and error.reason.startswith(MAY_NOT):
            raise Failure(CLICK) from None
        raise


def _there(kind: Kind) -> list[str]:
    return [path for path in kind.changes if Path(path).exists()]


CHECKS = ("ci.yml", "report.yml")


def start_checks(branch: str, commit: str, number: int) -> None:
    """By dispatch, those that were not yet started so for this commit: what failed half-way is made good by a rerun."""
    runs = github.ask("GET", f"/actions/runs?event=workflow_dispatch&head_sha={commit}&per_page=100")["workflow_runs"]
    started = {Path(run["path"].partition("@")[0]).name for run in runs}
    for workflow in (name for name in CHECKS if name not in started):
        inputs = {"number": str(number)} if workflow == "report.yml" else {}
        github.ask("POST", f"/actions/workflows/{workflow}/dispatches", {"ref": branch, "inputs": inputs})
