"""What `doctor` says of rulesets: whether each is there, and which one fits so many people."""

from collections.abc import Iterable, Mapping
from typing import Any

from delivery.adapters import store
from delivery.fork.settings import NO_RULESETS, PLANS_PAGE, Finding, asked

RULESETS = "gh api repos/{owner}/{repo}/rulesets --input .github/rulesets/"
GONE = "report / report"  # the check of a workflow that is now part of ci
APPEND_ONLY = {"deletion", "non_fast_forward"}  # rules with which nothing disappears from a branch


def protection() -> Finding:
    """Look for a ruleset of the default branch that fits the number of people who may push."""
    name, fix = "branch protection", _advice()
    reply, why = asked("/rulesets")
    if reply is None:
        return _unread(name, why, fix)
    # The list does not say which branches a ruleset is for; that of the store is known by its name.
    rulesets = [rule for rule in reply if rule.get("target") == "branch" and rule["name"] != store.NAMED]
    if not rulesets:
        return Finding(name, "optional", "none: a red pull request can be merged", fix)
    names = ", ".join(rule["name"] for rule in rulesets)
    if _people() == 1 and (ruleset := _approving(rulesets)):
        change = (
            f"gh api --method PUT repos/{{owner}}/{{repo}}/rulesets/{ruleset} --input .github/rulesets/main-solo.json"
        )
        found = (
            f"{names}: wants an approval, and only one person may push: nobody can approve that person's pull requests"
        )
        return Finding(name, "optional", found, f"`{change}`")
    if ruleset := _outdated(rulesets):
        found = f"{names}: requires `{GONE}`, which no workflow reports any more, so every pull request waits for it"
        return Finding(
            name,
            "optional",
            found,
            f"remove it from the required checks of ruleset {ruleset}, and keep `ci / required`",
        )
    return Finding(name, "ready", names)


def _people() -> int:
    """Return how many people may push; 0 if this token may not see it."""
    reply, _ = asked("/collaborators?permission=push&per_page=100")
    return sum(person.get("type", "User") == "User" for person in reply or ())


def _advice() -> str:
    """Return the command that imports the ruleset for so many people."""
    solo, team = f"`{RULESETS}main-solo.json`", f"`{RULESETS}main.json`"
    people = _people()
    if people == 1:
        return f"{solo} (one person may push)"
    return (
        f"{team} ({people} people may push)"
        if people
        else f"{team}; if you are the only one who may push, `main-solo.json`, which wants no approval"
    )


def _approving(rulesets: Iterable[Mapping[str, Any]]) -> int:
    """Return the id of the first ruleset that wants the approval of somebody else; 0 if none does."""
    for listed in rulesets:
        ruleset, _ = asked(f"/rulesets/{listed['id']}")
        for rule in (ruleset or {}).get("rules", ()):
            given = rule.get("parameters", {})
            if given.get("required_approving_review_count") or given.get("require_code_owner_review"):
                return int(listed["id"])
    return 0


def _outdated(rulesets: Iterable[Mapping[str, Any]]) -> int:
    """Return the id of the first ruleset that requires a check from before the report became part of ci; 0 if none does."""
    for listed in rulesets:
        ruleset, _ = asked(f"/rulesets/{listed['id']}")
        for rule in (ruleset or {}).get("rules", ()):
            checks = rule.get("parameters", {}).get("required_status_checks", ())
            if GONE in {check["context"] for check in checks}:
                return int(listed["id"])
    return 0


def _unread(name: str, why: str, fix: str) -> Finding:
    """Return the finding for rulesets that cannot be read, or that the plan does not have."""
    if why == NO_RULESETS:
        return Finding(name, "optional", f"none: {why}", PLANS_PAGE)
    return Finding(name, "unknown", why, fix)


def store_protection() -> Finding:
    """Look for rules that keep what the store has: data, models, and the registry with its history."""
    name, branch, fix = "store's protection", store.branch(), f"`{RULESETS}store.json`"
    reply, why = asked(f"/rules/branches/{branch}")
    if reply is None:
        return _unread(name, why, fix)
    if {rule["type"] for rule in reply} >= APPEND_ONLY:
        return Finding(name, "ready", f"only an administrator can delete `{branch}` or rewrite its history")
    found = f"none: whoever may push can delete `{branch}` or rewrite its history"
    return Finding(name, "optional", found, fix)


def version_records() -> Finding:
    """Look for a ruleset that protects the tags which record versions."""
    name, fix = "records of versions", f"`{RULESETS}model-tags.json`"
    reply, why = asked("/rulesets")
    if reply is None:
        return _unread(name, why, fix)
    if names := [rule["name"] for rule in reply if rule.get("target") == "tag"]:
        return Finding(name, "ready", ", ".join(names))
    return Finding(name, "optional", "none: whoever may push can delete the tags that record versions", fix)
