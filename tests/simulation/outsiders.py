"""Pull requests of those who may not push: a stranger's from a fork, and those in which Dependabot raises actions."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.gitserver import git, refs
from harness.hub import Json, Repo, Token, of_own

from simulation import people
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

STRANGER, BOT = "mallory", "dependabot[bot]"
DRAWN = {"fork": 1.0, "admit": 1.5, "take": 0.7, "gone": 0.3, "depend": 0.5}
WORKFLOW = ".github/workflows/pages.yml"


def fork(world: World, action: Action) -> Json | None:
    """A stranger opens a pull request from a fork; its runs wait for an approval. Nobody sees a private repository."""
    if world.repo.private:
        return None
    number = world.hub.number()
    branch, theirs = f"patch/{number}", forked(world)
    git(world.work, "checkout", "--quiet", "-b", branch)
    people.edit(world, action)
    git(world.work, "add", "--all")
    git(world.work, "commit", "--quiet", "--allow-empty", "--message", str(action))
    git(world.work, "push", "--quiet", theirs.path, f"HEAD:refs/heads/{branch}")
    git(world.work, "checkout", "--quiet", "main")
    request = {"head": f"{STRANGER}:{branch}", "base": "main", "title": str(action)}
    return world.hub.open_pull(world.repo, request, Token(STRANGER, theirs.name, "person"))


def forked(world: World) -> Repo:
    """The stranger's fork."""
    name = f"{STRANGER}/{world.repo.name.partition('/')[2]}"
    return world.hub.repos.get(name) or world.hub.fork(world.repo.name, STRANGER)


def strangers(world: World) -> list[Json]:
    return [pull for pull in people.opened(world, everybody=True) if pull["head"]["ref"].startswith("patch/")]


def admit(world: World, action: Action) -> Json | None:
    """Approve the newest run of a stranger's pull request."""
    waiting = {event.payload["number"]: event for event in world.hub.unapproved}
    found = [pull for pull in strangers(world) if pull["number"] in waiting]
    if not found:
        return None
    pull = found[int(action.value) % len(found)]
    world.hub.unapproved = [event for event in world.hub.unapproved if event.payload["number"] != pull["number"]]
    people.told(world, lambda: world.hub.events.append(waiting[pull["number"]]))
    return pull


def take(world: World, action: Action) -> Json | None:
    """The stranger takes the results that `/results` has made, as its answer says."""
    path = world.repo.path
    found = [pull for pull in strangers(world) if pull["head"]["repo"] and made(world, pull) in refs(path)]
    if not found:
        return None
    pull = found[int(action.value) % len(found)]
    theirs = forked(world)
    before = refs(theirs.path)
    if git(path, "merge-base", made(world, pull), people.tip(world, pull)) == people.tip(world, pull):
        git(path, "push", "--quiet", theirs.path, f"{made(world, pull)}:refs/heads/{pull['head']['ref']}")
        world.hub.pushed(theirs, before, Token(STRANGER, theirs.name, "person"))
    return pull


def made(world: World, pull: Json) -> str:
    """The branch of the results of a stranger's pull request."""
    return f"refs/heads/results/pull-{pull['number']}"


def gone(world: World, action: Action) -> None:
    """The stranger deletes the fork; the pull requests stay, from an unknown repository."""
    for pull in strangers(world):
        pull["head"]["repo"] = None
    if fork := world.hub.repos.pop(f"{STRANGER}/{world.repo.name.partition('/')[2]}", None):
        shutil.rmtree(fork.path)  # another one may come in its place


def depend(world: World, action: Action) -> Json | None:
    """Dependabot raises an action, in a workflow file."""
    if any(pull["head"]["ref"].startswith("dependabot/") for pull in people.opened(world, everybody=True)):
        return None
    branch = f"dependabot/github_actions/{world.hub.number()}"
    git(world.work, "checkout", "--quiet", "-b", branch)
    (world.work / WORKFLOW).write_text((world.work / WORKFLOW).read_text() + f"# {branch}\n")
    git(world.work, "commit", "--quiet", "--all", "--message", "Bump an action")
    git(world.work, "push", "--quiet", "origin", branch)
    git(world.work, "checkout", "--quiet", "main")
    token = Token(BOT, world.repo.name, "person")
    return people.told(
        world, lambda: world.hub.open_pull(world.repo, {"head": branch, "base": "main", "title": branch}, token)
    )


def judge(world: World, action: Action, pull: Json, before: dict[str, str], runs: set[int]) -> None:
    """Raise `Violation` if an outsider's pull request has moved a branch, got others' results or had its workflows obeyed."""
    after, path = refs(world.repo.path), world.repo.path
    moved = {
        ref
        for ref in before.keys() | after.keys()
        if ref.startswith("refs/heads/") and before.get(ref) != after.get(ref)
    }
    allowed = {"refs/heads/store"} | ({made(world, pull)} if action.what == "ask" else set())
    if action.what in ("fork", "admit", "take", "ask") and not of_own(pull, world.repo) and moved - allowed:
        text = f"#{pull['number']} has moved {min(moved - allowed)}"
        raise Violation("a stranger's pull request moves no branch", text)
    for record in (world.repo.runs[number] for number in world.repo.runs.keys() - runs):
        workflows = [git(path, "rev-parse", f"{sha}:.github") for sha in (record["head_sha"], "main")]
        if record["event"] == "workflow_dispatch" and workflows[0] != workflows[1]:
            raise Violation("no run obeys an outsider's workflows", f"#{pull['number']}: {record['head_branch']}")
    if action.what == "ask" and made(world, pull) in moved:
        people.own_model(world, made(world, pull))


ACTS = {"fork": fork, "admit": admit, "take": take, "gone": gone, "depend": depend}
