"""Workflows and actions of a repository at one commit: what `uses: owner/name/.github/...@sha` and `$/...` bring."""

import re
from dataclasses import dataclass
from pathlib import Path

from harness import rules
from harness.gitserver import git
from harness.hub import Hub, Json

SHARED = re.compile(r"uses:\s*([\w.-]+/[\w.-]+)/(\.github/[\w./-]+)@([0-9a-f]{40})")
LEVELS = ("none", "read", "write")


@dataclass(frozen=True)
class Shared:
    """A repository of the hub, as a folder at the commit that callers name."""

    name: str
    sha: str
    folder: Path


def bring(hub: Hub, checkout: Path, place: Path) -> list[Shared]:
    """What the workflows of the checkout use of other repositories."""
    texts = [path.read_text() for path in (checkout / ".github").rglob("*.yml")]
    named = {(name, sha) for text in texts for name, _, sha in SHARED.findall(text) if name in hub.repos}
    found = []
    for name, sha in sorted(named):
        folder = place / "shared" / f"{name.replace('/', '-')}-{sha}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        git(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", hub.repos[name].path, folder)
        git(folder, "checkout", "--quiet", "--detach", sha)
        found.append(Shared(name, sha, folder))
    return found


def called(document: Json, shared: list[Shared]) -> dict[str, tuple[Path, Json]]:
    """For each job that calls a workflow: that file and what it says."""
    found = {}
    for job, about in document["jobs"].items():
        if match := SHARED.fullmatch(f"uses: {about.get('uses', '')}"):
            name, path, sha = match.groups()
            (where,) = [one.folder for one in shared if (one.name, one.sha) == (name, sha)]
            found[job] = (where / path, rules.load((where / path).read_text()))
            assert "workflow_call" in found[job][1]["on"], f"{path} cannot be called"
    return found


def rights(document: Json, caller: str, theirs: Json, job: str, *, fork: bool) -> dict[str, str]:
    """What a called job may do. GitHub refuses the whole run where that is more than the caller's job may."""
    most = rules.rights(document, caller, fork=False)
    asked = rules.rights(theirs, job, fork=False)
    for scope, level in asked.items():
        if LEVELS.index(level) > LEVELS.index(most.get(scope, "none")):
            raise ValueError(f"{caller} is only allowed {scope}: {most.get(scope, 'none')}, {job} asks for {level}")
    return rules.rights(theirs, job, fork=fork)


def needed(theirs: Json) -> dict[str, str]:
    """The rights that a caller has to grant: of each the most that a job of the called workflow asks for."""
    most: dict[str, str] = {}
    for job in theirs["jobs"]:
        for scope, level in rules.rights(theirs, job, fork=False).items():
            most[scope] = max(level, most.get(scope, "none"), key=LEVELS.index)
    return most


def inputs_refused(document: Json, caller: str, theirs: Json) -> str:
    """Why GitHub would refuse what a job passes on, or nothing."""
    declared = (theirs["on"]["workflow_call"] or {}).get("inputs") or {}
    given = (document["jobs"][caller].get("with") or {}).keys()
    if unknown := sorted(given - declared.keys()):
        return f"{caller}: unknown inputs {unknown}"
    missing = sorted({name for name, about in declared.items() if about.get("required")} - given)
    return f"{caller}: missing inputs {missing}" if missing else ""


def defaults(theirs: Json) -> Json:
    """What the inputs of a called workflow are where its caller says nothing."""
    declared = (theirs["on"]["workflow_call"] or {}).get("inputs") or {}
    return {name: about.get("default", "") for name, about in declared.items()}


def own(text: str, one: Shared) -> str:
    """What stands in a file for its own repository and commit, spelled out: act does not know these."""
    text = re.sub(r"uses: \$/(\S+)", rf"uses: {one.name}/\1@{one.sha}", text)
    return text.replace("job.workflow_repository", f"'{one.name}'")
