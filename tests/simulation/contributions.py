"""What else becomes of pull requests: another base, a revert, a second life, labels, and `/results` as a comment."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

from harness.gitserver import git, refs
from harness.hub import Json, Token, of_own

from simulation import losses, operations, outsiders, owners, people, rulesets
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

DRAWN = {
    "retarget": 1.0,
    "undo": 0.7,
    "reopen": 0.7,
    "ask": 1.5,
    "label": 1.0,
    "approve": 3.0,
    **outsiders.DRAWN,
}  # and how often
OTHER = "develop"
LABELS = ("compatibility: breaking", "question")
STRANGER = outsiders.STRANGER
SPEAKERS = ("ada", "bob", "eve", STRANGER, people.READER)
RUN = re.compile(r"/actions/runs/(\d+)\)")
CHECKED = (
    "propose",
    "more",
    "redo",
    "retarget",
    "undo",
    "reopen",
    "admit",
    "depend",
)  # after which a pull request has to be checked


def drawn(action: Action, chance: random.Random) -> Action:
    """The action with the pull request that it is about."""
    made = action._replace(value=str(chance.randint(1, 9)))
    if action.what == "ask":
        return made._replace(who=chance.choice(SPEAKERS))
    if action.what == "fork":
        return made._replace(value=str(chance.randint(1, 10**6)), environment=chance.choice(people.KINDS))
    return made._replace(environment=chance.choice(LABELS)) if action.what == "label" else made


def retarget(world: World, action: Action) -> Json | None:
    """Give a pull request another base, or its first one again."""
    pull = people.chosen(world, action, everybody=True)
    if pull is None:
        return None
    other = OTHER if pull["base"]["ref"] == "main" else "main"
    person = people.person(world, action)
    if f"refs/heads/{OTHER}" not in refs(world.repo.path):
        before = refs(world.repo.path)
        git(world.repo.path, "branch", OTHER, "main")
        people.told(world, lambda: world.hub.pushed(world.repo, before, person))
    people.told(world, lambda: world.hub.retarget(world.repo, pull["number"], other, person))
    return pull


def undo(world: World, action: Action) -> Json | None:
    """Press "Revert" on a merged pull request, which opens another one; not where that conflicts."""
    merged = [pull for pull in world.repo.pulls.values() if "merged_onto" in pull]
    if not merged:
        return None
    pull = merged[int(action.value) % len(merged)]
    base, path = pull["base"]["ref"], world.repo.path
    start = git(path, "commit-tree", f"{pull['merge_commit_sha']}^{{tree}}", "-m", "with it")
    sides = [
        git(path, "commit-tree", f"{ref}^{{tree}}", "-p", start, "-m", "a side") for ref in (base, pull["merged_onto"])
    ]
    tree = git(path, "merge-tree", "--write-tree", *sides, check=False)
    if "CONFLICT" in tree:
        return None
    before, branch = refs(path), f"{people.BRANCH}revert-{pull['number']}-{world.hub.number()}"
    commit = git(path, "commit-tree", tree, "-p", world.repo.sha(base), "-m", f"Revert #{pull['number']}")
    git(path, "branch", branch, commit)
    person = people.person(world, action)
    people.told(world, lambda: world.hub.pushed(world.repo, before, person))
    request = {"head": branch, "base": base, "title": f"Revert #{pull['number']}"}
    return people.told(world, lambda: world.hub.open_pull(world.repo, request, person))


def reopen(world: World, action: Action) -> Json | None:
    """Reopen a pull request that was closed, and restore its branch first."""
    closed = [
        pull
        for pull in world.repo.pulls.values()
        if pull["state"] == "closed" and not pull["merged"] and people.own(world.repo, pull)
    ]
    if not closed:
        return None
    pull = closed[int(action.value) % len(closed)]
    git(world.repo.path, "update-ref", f"refs/heads/{pull['head']['ref']}", pull["head"]["sha"])
    pull["state"] = "open"
    people.told(world, lambda: world.hub._pull_event(world.repo, pull, "reopened", people.person(world, action)))
    return pull


def ask(world: World, action: Action) -> Json | None:
    """Write `/results`, as somebody who may push, who may only read, or a stranger."""
    pull = people.chosen(world, action, everybody=True)
    if pull and not (world.repo.private and action.who == STRANGER):
        token = Token(action.who, "" if action.who == STRANGER else world.repo.name, "person")
        world.hub.say(world.repo, pull["number"], "/results", token)
    return pull


def label(world: World, action: Action) -> Json | None:
    """Set a label, or remove it."""
    if pull := people.chosen(world, action, everybody=True):
        there = any(each["name"] == action.environment for each in pull["labels"])
        how, person = "unlabeled" if there else "labeled", people.person(world, action)
        people.told(world, lambda: world.hub.label(world.repo, pull["number"], action.environment, person, how))
    return pull


def merges(world: World, pull: Json) -> bool:
    """Whether an open pull request merges without a conflict; GitHub runs nothing for another one."""
    people.tip(world, pull)
    return pull["state"] == "open" and world.hub.merged(world.repo, pull) is not None


class Before:
    """What was there before an action, to compare with when all runs have ended."""

    def __init__(self, world: World) -> None:
        self.world, self.fired = world, len(world.steps.fired)
        self.runs = set(world.repo.runs)
        self.refs, self.said, self.written = refs(world.repo.path), self.answers(), self.edits()

    def answers(self) -> int:
        return sum(comment["user"]["login"].endswith("[bot]") for comment in self.world.repo.comments.values())

    def edits(self) -> int:
        return sum(1 + comment["edits"] for comment in self.world.repo.comments.values())

    def judge(self, action: Action, pull: Json | None) -> None:
        """Raise `Violation` if an action that no fault has struck did not have its effect, or had one that it may not have."""
        if len(self.world.steps.fired) > self.fired or self.world.steps.lost:
            return
        if action.what == "rollback" and action.environment == owners.REVIEWED:
            owners.unblocked(self.world, action)
        if pull is None:
            return
        if action.what == "ask":
            self.asked(action, pull)
        if pull["head"]["ref"].startswith(people.OUTSIDE):
            outsiders.judge(self.world, action, pull, self.refs, self.runs)
        if action.what == "label" and action.environment == LABELS[1] and self.edits() > self.written:
            raise Violation("a label without a meaning starts nothing", f"#{pull['number']} has another comment")
        if action.what in CHECKED and merges(self.world, pull):
            self.checked(pull)

    def asked(self, action: Action, pull: Json) -> None:
        if action.who in (STRANGER, people.READER):
            if refs(self.world.repo.path) != self.refs or self.edits() > self.written + 1:
                raise Violation("only who may push is obeyed", f"{action.who} wrote /results in #{pull['number']}")
            return
        if self.answers() == self.said:
            raise Violation("/results is answered", f"#{pull['number']} has no answer")
        if of_own(pull, self.world.repo) and merges(self.world, pull):
            people.own_model(self.world, pull["head"]["sha"])

    def checked(self, pull: Json) -> None:
        """Its head has checks, and its report compares with its base."""
        head, repo = pull["head"]["sha"], self.world.repo
        if not any(check["head_sha"] == head for check in repo.checks):
            raise Violation("a pull request is checked", f"nothing has run for {head[:8]} of #{pull['number']}")
        reports = [each["body"] for each in repo.comments.values() if each["number"] == pull["number"]]
        runs = [found[1] for body in reports if people.REPORT in body and (found := RUN.search(body))]
        for run in runs:
            document = json.loads((self.world.hub.folder / "artifacts" / run / "review" / "review.json").read_text())
            if document["base"].removeprefix("origin/") != pull["base"]["ref"]:
                text = f"#{pull['number']} is into {pull['base']['ref']}, its report compares with {document['base']}"
                raise Violation("a report is of the pull request's base", text)


ACTS = {
    "propose": people.propose, "more": people.push_more, "redo": people.redo, "land": people.merge, "abandon": people.abandon,
    "retarget": retarget, "undo": undo, "reopen": reopen, "ask": ask, "label": label, **outsiders.ACTS,
    **owners.ACTS, **losses.ACTS, **operations.ACTS, **rulesets.ACTS,
}  # fmt: skip
DRAW = (
    dict.fromkeys(people.DRAWN, people.drawn)
    | dict.fromkeys(DRAWN, drawn)
    | dict.fromkeys(operations.DRAWN, operations.drawn)
)
