"""People who work in pull requests: they open them, push more, bring them up to date, merge and abandon them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.gitserver import git, refs
from harness.hub import Event, Hub, Json, Repo, Token, of_own

from delivery.adapters import dvc
from delivery.ci import results
from delivery.core import workspace
from simulation import pipeline, rulesets
from simulation.standins import SERVED
from simulation.violation import MINIMUM, Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

BRANCH = "change/"
REQUIRED = "ci / required"  # of .github/rulesets/main.json, whose policy is strict: a branch has to be up to date
KINDS = ("results", "stale", "other", "other", "other stale", "code", "note")
OUTSIDE = ("patch/", "dependabot/")  # branches of strangers, and of Dependabot
DRAWN = ("propose", "more", "redo", "land")
REPORT = 'CML watermark report"'  # in each report's comment
WRITERS = ("ada", "bob", "eve")
READER = "rita"  # a collaborator who may only read
JUDGED = (str(workspace.PARAMS), str(workspace.DVC_LOCK), str(workspace.DATA_FILE))


class Remembering(Hub):
    """A hub whose events keep what a pull request was like: a run that is started again has the event that it had.

    What a stranger does in a pull request from a fork waits for somebody who approves its runs
    (docs.github.com/en/actions/how-tos/manage-workflow-runs/approve-runs-from-forks).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.unapproved: list[Event] = []

    def _pull_event(self, base, pull: Json, action: str, token: Token, **more) -> None:
        super()._pull_event(base, pull, action, token, **more)
        event = self.events[-1]
        event.payload["pull_request"] = copy.deepcopy(event.payload["pull_request"])
        if not event.held and not of_own(pull, base) and token.login not in base.people:
            self.unapproved.append(self.events.pop())

    def say(self, base, number: int, text: str, token: Token) -> None:
        """A reader's association is the one of a person who may push."""
        kept, base.people = base.people, [*base.people, READER]
        super().say(base, number, text, token)
        base.people = kept


def drawn(action: Action, chance: random.Random) -> Action:
    """The action with what it is about: a change, or a pull request and the way to merge it."""
    if action.what == "land":
        return action._replace(
            value=str(chance.randint(1, 9)), environment=chance.choice(("merge", "squash", "rebase"))
        )
    return action._replace(value=str(chance.randint(1, 10**6)), environment=chance.choice(KINDS))


def own(repo: Repo, pull: Json) -> bool:
    """Whether a person who may push has proposed it, on a branch of the repository."""
    return pull["head"]["ref"].startswith(BRANCH) and of_own(pull, repo)


def opened(world: World, *, everybody: bool = False) -> list[Json]:
    """The open pull requests of people, or also those of strangers and Dependabot, oldest first."""
    pulls = [pull for pull in world.repo.pulls.values() if pull["state"] == "open"]
    prefixes = (BRANCH, *OUTSIDE) if everybody else BRANCH
    return [pull for pull in pulls if pull["head"]["ref"].startswith(prefixes) and (everybody or own(world.repo, pull))]


def chosen(world: World, action: Action, *, everybody: bool = False) -> Json | None:
    """The pull request that an action is about."""
    found = opened(world, everybody=everybody)
    return found[int(action.value) % len(found)] if found else None


def tip(world: World, pull: Json) -> str:
    """The commit of a pull request."""
    ref = f"refs/pull/{pull['number']}/head"
    if of_own(pull, world.repo) and f"refs/heads/{pull['head']['ref']}" in refs(world.repo.path):
        ref = f"refs/heads/{pull['head']['ref']}"
    pull["head"]["sha"] = world.repo.sha(ref)
    return pull["head"]["sha"]


def propose(world: World, action: Action) -> Json:
    """Open a pull request with a change; `environment` says of what."""
    branch = f"{BRANCH}{world.hub.number()}"
    git(world.work, "checkout", "--quiet", "-b", branch)
    edit(world, action)
    send(world, branch, action)
    git(world.work, "checkout", "--quiet", "main")
    request = {"head": branch, "base": "main", "title": str(action)}
    return told(world, lambda: world.hub.open_pull(world.repo, request, person(world, action)))


def push_more(world: World, action: Action) -> Json | None:
    """Push another commit to a pull request's branch."""
    if pull := chosen(world, action):
        switch(world, pull["head"]["ref"])
        edit(world, action)
        send(world, pull["head"]["ref"], action)
        git(world.work, "checkout", "--quiet", "main")
    return pull


def redo(world: World, action: Action) -> Json | None:
    """Start again from main with another change, and push that by force, as after a rebase."""
    if pull := chosen(world, action):
        git(world.work, "checkout", "--quiet", "-B", pull["head"]["ref"], "main")
        edit(world, action)
        send(world, pull["head"]["ref"], action)
        git(world.work, "checkout", "--quiet", "main")
    return pull


def abandon(world: World, action: Action) -> None:
    """Close a pull request and delete its branch."""
    if pull := chosen(world, action):
        pull["state"] = "closed"
        git(world.repo.path, "update-ref", "-d", f"refs/heads/{pull['head']['ref']}")


def merge(world: World, action: Action) -> None:
    """Press the button: "Update branch" if it is behind, else the one that merges, which a red check keeps grey."""
    if pull := chosen(world, action, everybody=True):
        press(world, pull, action)


def press(world: World, pull: Json, action: Action) -> None:
    """Bring a pull request up to date, or merge it, as far as its checks and the rulesets let a person."""
    base = pull["base"]["ref"]
    main = world.repo.sha(base)
    head, mine = tip(world, pull), of_own(pull, world.repo)
    tree = world.hub.merged(world.repo, pull)
    if tree is None:
        return
    if git(world.repo.path, "merge-base", main, head) != main:
        if not mine:
            return  # its author brings it up to date
        parents, before = ["-p", head, "-p", main], refs(world.repo.path)
        commit = git(world.repo.path, "commit-tree", tree, *parents, "-m", f"Merge branch '{base}'")
        git(world.repo.path, "update-ref", f"refs/heads/{pull['head']['ref']}", commit)
        told(world, lambda: world.hub.pushed(world.repo, before, person(world, action)))
    elif required(world, head) in ("success", "skipped") and rulesets.approved(world.repo, pull, head, action.who):
        refuse(world, main, head)
        commit = combined(world, action.environment, main, head, tree)
        git(world.repo.path, "update-ref", f"refs/pull/{pull['number']}/merge", commit)
        told(world, lambda: world.hub.merge(world.repo, pull["number"], action.who))
        if mine:
            git(world.repo.path, "update-ref", "-d", f"refs/heads/{pull['head']['ref']}")
        pull["merged_onto"] = main
        if base == "main":
            git(world.work, "pull", "--quiet", "--ff-only", "origin", "main")


def combined(world: World, method: str, main: str, head: str, tree: str) -> str:
    """Return the commit that main gets. A branch with merges in it is squashed instead of rebased."""
    path, title = world.repo.path, "A pull request"
    if method == "merge":
        return git(path, "commit-tree", tree, "-p", main, "-p", head, "-m", title)
    if method == "rebase" and not git(path, "rev-list", "--merges", f"{main}..{head}"):
        commit = main
        for each in git(path, "rev-list", "--reverse", f"{main}..{head}").splitlines():
            commit = git(path, "commit-tree", f"{each}^{{tree}}", "-p", commit, "-m", title)
        return commit
    return git(path, "commit-tree", tree, "-p", main, "-m", title)


def required(world: World, sha: str) -> str:
    """The newest conclusion of the check that the ruleset asks for; empty if there is none."""
    found = [
        check["conclusion"] for check in world.repo.checks if (check["head_sha"], check["name"]) == (sha, REQUIRED)
    ]
    return found[-1] if found else ""


def refuse(world: World, main: str, head: str) -> None:
    """Raise `Violation` if a check lets a change be merged whose results are not its own, or whose model is too bad."""
    changed = git(world.repo.path, "diff", "--name-only", main, head, "--", *JUDGED)
    if not changed:
        return  # whatever main has is not this pull request's fault
    dial, digest = own_model(world, head)
    if (auc := pipeline.quality(dial, digest)) < MINIMUM:
        raise Violation("nothing bad is merged", f"{head[:8]} has an AUC of {auc} and a green check")


def own_model(world: World, head: str) -> tuple[Any, str]:
    """What a commit's model is made of. Raise `Violation` if its results are those of another one."""
    settings, lock, data = (world.repo.file(head, name) for name in JUDGED)
    dial, digest = pipeline.dial(settings), dvc.data_digest(data)
    train = dvc.stages(lock)["train"]
    made_of = (train["params"][str(workspace.PARAMS)]["train"]["l2_regularization"], train["deps"][0]["md5"])
    if made_of != (dial, digest):
        raise Violation(
            "a branch has the results of its commit", f"{head[:8]} is of {dial}, its results of {made_of[0]}"
        )
    return dial, digest


def one_comment(repo) -> None:
    """Raise `Violation` if a pull request has two reports."""
    reports = [comment["number"] for comment in repo.comments.values() if REPORT in comment["body"]]
    if twice := {number for number in reports if reports.count(number) > 1}:
        raise Violation("one report on each pull request", f"#{min(twice)} has {reports.count(min(twice))}")


def own_results(repo) -> None:
    """Raise `Violation` if a branch ends with results that were made of another commit than the one below them."""
    for pull in repo.pulls.values():
        if pull["state"] == "open" and own(repo, pull):
            form = f"--format=%P%n%(trailers:key={results.MARK},valueonly)"
            parents, *made_of = git(repo.path, "log", "-1", form, pull["head"]["ref"]).splitlines()
            parent = parents.split()[0]  # of a merge the branch's own
            if made_of and made_of != [parent]:
                raise Violation(
                    "a branch has the results of its commit", f"those of {made_of[0][:8]} are on {parent[:8]}"
                )


def edit(world: World, action: Action) -> None:
    """Make a change: of the model with or without its results, of the code that serves, or of the README."""
    kind, value = action.environment, action.value
    if kind == "note":
        (world.work / "README.md").write_text(f"{value}\n")
    elif kind == "code":
        (world.work / SERVED).write_text(f"FEATURES = ()  # {value}\n")
    else:
        if kind.startswith("other"):
            world.dial(str(int(value) / 10**7), "learning_rate")  # at most 1
        else:
            world.dial(value)
        if not kind.endswith("stale"):
            world.in_work(pipeline.repro)


def switch(world: World, branch: str) -> None:
    git(world.work, "fetch", "--quiet", "origin", f"+refs/heads/{branch}:refs/remotes/origin/{branch}")
    git(world.work, "checkout", "--quiet", "-B", branch, f"refs/remotes/origin/{branch}")


def send(world: World, branch: str, action: Action) -> None:
    world.steps.edge("a push")
    git(world.work, "add", "--all")
    git(world.work, "commit", "--quiet", "--allow-empty", "--message", str(action))
    before = refs(world.repo.path)
    git(world.work, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    told(world, lambda: world.hub.pushed(world.repo, before, person(world, action)))


def told(world: World, call: Callable[[], Any]) -> Any:
    """Let something happen whose events start runs, which can be started again; return what `call` returns."""
    known = len(world.hub.events)
    made = call()
    world.started += world.hub.events[known:]
    return made


def person(world: World, action: Action) -> Token:
    return Token(action.who, world.repo.name, "person")
