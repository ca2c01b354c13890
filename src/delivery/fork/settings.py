"""What `doctor` asks GitHub: the plan, who may push, and the settings that only the repository's page changes."""

from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import Failure, GitHubError

UPGRADE = "Upgrade to GitHub"  # GitHub's first words if the plan has no rulesets
NO_RULESETS = "your plan has no rulesets for a private repository"
PLANS_PAGE = "docs/reference/plans.md says what to do without"
# What a private repository has by its plan (docs/reference/plans.md), and how many minutes and packages
# (docs.github.com/en/get-started/learning-about-github/githubs-plans).
PRIVATE = {
    "Free": "no rulesets, required reviewers, secrets of environments or attestations; 2,000 minutes a month, 500 MB of packages",
    "Pro": "rulesets; no required reviewers or attestations; 3,000 minutes a month, 2 GB of packages",
    "Team": "rulesets; no required reviewers or attestations; 3,000 minutes a month, 2 GB of packages",
    "Enterprise Cloud": "rulesets, required reviewers, attestations; 50,000 minutes a month, 50 GB of packages",
}
WHY_OFF = {
    "disabled_fork": "a fork starts with its schedules off",
    "disabled_inactivity": "60 days without a commit",
    "disabled_manually": "somebody has disabled them",
}


class Finding(Struct, frozen=True):
    """What was found about one part of the set-up."""

    name: str
    state: Literal["ready", "optional", "missing", "unknown"]
    """`optional`: missing, and nothing fails because of it."""
    found: str
    fix: str = ""


def asked(path: str) -> tuple[Any, str]:
    """Return GitHub's reply, or None and why there is none."""
    if not github.armed():
        return None, f"no token; {github.OWN_TOKEN}"
    try:
        return github.ask("GET", path), ""
    except Failure as failure:
        if not isinstance(failure, GitHubError) or failure.status != 403:
            return None, str(failure)
        without = failure.reason.startswith(UPGRADE)
        return None, NO_RULESETS if without else f"this token may not see it; {github.OWN_TOKEN}"


def plan() -> Finding:
    """Say what the repository's visibility and its owner's plan mean."""
    about, why = asked("")
    if about is None:
        return Finding("plan", "unknown", why, PLANS_PAGE)
    if not about["private"]:
        return Finding(
            "plan", "ready", "public: rulesets, required reviewers, attestations; minutes and packages are free"
        )
    likely = ["Pro"] if about["owner"]["type"] == "User" else ["Team", "Enterprise Cloud"]
    if about.get("visibility") == "internal":
        likely = ["Enterprise Cloud"]
    elif asked("/rulesets")[1] == NO_RULESETS:
        likely = ["Free"]
    found = "; or ".join(f"{name}: {PRIVATE[name]}" for name in likely)
    return Finding(
        "plan",
        "optional" if likely == ["Free"] else "ready",
        f"private, {about['owner']['login']} has {found}",
        PLANS_PAGE,
    )


def pulls() -> Finding:
    """Look whether GitHub Actions may open pull requests."""
    fix = "Settings > Actions > General > tick `Allow GitHub Actions to create and approve pull requests`"
    reply, why = asked("/actions/permissions/workflow")
    if reply is None:
        return Finding("retraining pull requests", "unknown", why, f"{fix}; without it drift says so and opens none")
    if reply["can_approve_pull_request_reviews"]:
        return Finding("retraining pull requests", "ready", "Actions may open them")
    return Finding("retraining pull requests", "optional", "Actions may not open them", fix)


def environments() -> Finding:
    """Look for GitHub's environments of the branches that promote, and `production`."""
    wanted = {*params.load().promote.branches.values(), "production"}
    reply, why = asked("/environments")
    if reply is None:
        return Finding("environments", "unknown", why, "Settings > Environments")
    absent = sorted(wanted - {entry["name"] for entry in reply["environments"]})
    if absent:
        fix = "Settings > Environments > New; give `production` required reviewers"
        return Finding(
            "environments", "optional", f"no {', '.join(absent)}: GitHub creates them, without approval", fix
        )
    return Finding("environments", "ready", ", ".join(sorted(wanted)))


def schedules() -> Finding:
    """Look for workflows that GitHub has switched off."""
    reply, why = asked("/actions/workflows?per_page=100")
    if reply is None:
        return Finding("schedules", "unknown", why, "Actions > the workflow > Enable workflow")
    off = {Path(entry["path"]).name: entry["state"] for entry in reply["workflows"] if entry["state"] in WHY_OFF}
    if not off:
        return Finding("schedules", "ready", "every workflow is enabled")
    found = "; ".join(f"{file} does not run: {WHY_OFF[state]}" for file, state in sorted(off.items()))
    return Finding("schedules", "optional", found, "; ".join(f"`gh workflow enable {file}`" for file in sorted(off)))


def default_branch() -> Finding:
    """Look whether the workflows start on pushes to the default branch."""
    about, why = asked("")
    if about is None:
        return Finding("default branch", "unknown", why)
    name, branches = about["default_branch"], params.load().promote.branches
    if name in branches:
        return Finding("default branch", "ready", f"`{name}` is delivered to `{branches[name]}`")
    fix = f"`gh api repos/{{owner}}/{{repo}}/branches/{name}/rename -f new_name={next(iter(branches))}`"
    return Finding("default branch", "missing", f"nothing starts on a push to `{name}`", fix)
