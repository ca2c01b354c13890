"""Verb `doctor`: what is set up, what is not, and the one click or command that mends it. Changes nothing."""

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from delivery.adapters import git, github, store
from delivery.core import params, workspace
from delivery.core.errors import Failure, GitHubError
from delivery.deploy.targets import rehearsal
from delivery.registry import history, registry, transitions

SIGN = {"ready": "✅", "optional": "➖", "missing": "❌", "unknown": "❔"}
RULESET = "gh api repos/{owner}/{repo}/rulesets --input .github/rulesets/main.json"


@dataclass(frozen=True)
class Finding:
    name: str
    state: str  # ready, optional (missing, and nothing fails for it), missing, unknown
    found: str
    fix: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(options: argparse.Namespace) -> int:
    """Exit code 1 only where something is missing without which deliveries fail."""
    findings = [examine() for examine in EXAMINATIONS]
    page = markdown(findings)
    github.summary(page)
    print(json.dumps([asdict(finding) for finding in findings], indent=1) if options.json else page)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def markdown(findings: list[Finding]) -> str:
    rows = [f"| {SIGN[f.state]} | {f.name} | {f.found} | {f.fix or '-'} |" for f in findings]
    todo = sum(finding.state == "missing" for finding in findings)
    head = f"**{todo} thing(s) to mend**" if todo else "**Nothing has to be mended**"
    return "\n".join([f"{head}; ➖ is optional, and what needs it skips with a reason.", "", "| | what | found | fix |",
                      "|---|---|---|---|", *rows]) + "\n"  # fmt: skip


def pipeline() -> Finding:
    absent = [name for name in ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc") if not Path(name).exists()]
    if absent:
        return Finding("pipeline", "missing", f"no {', '.join(absent)}", "`delivery reproduce`, commit what it makes")
    return Finding("pipeline", "ready", f"data until {params.load().fetch.until}")


def model_card() -> Finding:
    said = params.load().card
    name, fix = "model card", f"a sentence for each under `card` in {workspace.PARAMS}"
    if empty := [section for section in params.CARD_SECTIONS if not said.get(section, "").strip()]:
        return Finding(name, "missing", f"says nothing of {', '.join(empty)}: no version can be registered", fix)
    if unwritten := [section for section, text in said.items() if text.startswith(params.UNWRITTEN)]:
        return Finding(name, "optional", f"{', '.join(unwritten)}: to be written; versions are registered without", fix)
    return Finding(name, "ready", ", ".join(said))


def store_branch() -> Finding:
    if not git.remote():
        return Finding("store", "optional", "no remote; records stay on this machine", "`git remote add origin ...`")
    if git.git("ls-remote", "--heads", "origin", store.branch(), check=False):
        return Finding("store", "ready", f"branch `{store.branch()}`")
    return Finding(
        "store",
        "optional",
        f"no branch `{store.branch()}` yet",
        "made by the first promote, or `delivery store push`",
    )


def champion() -> Finding:
    if not registry.exists():
        return Finding(
            "registry",
            "optional",
            "no version yet: the gate's floors alone decide",
            "merge to `main`: promote registers",
        )
    versions = registry.versions(registry.connect())
    serving = [f"`{alias}` is version {version.version}" for version in versions for alias in version.aliases]
    where = registry.address() or f"{workspace.STORE}/mlflow"
    return Finding("registry", "ready", f"{where}: {', '.join(serving) or 'no alias yet'}")


def remote() -> Finding:
    text = Path(".dvc/config").read_text() if Path(".dvc/config").exists() else ""
    if "../.store/dvc" in text:
        return Finding("DVC remote", "ready", "the store branch", "outgrown? `dvc remote add --default ...`")
    return Finding(
        "DVC remote", "ready" if "remote" in text else "missing", "see .dvc/config", "`dvc remote add --default ...`"
    )


def pulls() -> Finding:
    fix = "Settings > Actions > General > tick `Allow GitHub Actions to create and approve pull requests`"
    reply, why = _asked("/actions/permissions/workflow")
    if reply is None:
        return Finding("retraining pull requests", "unknown", why, f"{fix}; without it drift says so and opens none")
    if reply["can_approve_pull_request_reviews"]:
        return Finding("retraining pull requests", "ready", "Actions may open them")
    return Finding("retraining pull requests", "optional", "Actions may not open them", fix)


def environments() -> Finding:
    wanted = {*params.load().promote.branches.values(), "production"}
    reply, why = _asked("/environments")
    if reply is None:
        return Finding("environments", "unknown", why, "Settings > Environments")
    absent = sorted(wanted - {entry["name"] for entry in reply["environments"]})
    if absent:
        fix = "Settings > Environments > New; give `production` required reviewers"
        return Finding("environments", "optional", f"no {', '.join(absent)}: GitHub makes them, without approval", fix)
    return Finding("environments", "ready", ", ".join(sorted(wanted)))


def protection() -> Finding:
    reply, why = _asked("/rulesets")
    if reply is None:
        return Finding("branch protection", "unknown", why, f"`{RULESET}`")
    if reply:
        return Finding("branch protection", "ready", ", ".join(rule["name"] for rule in reply))
    return Finding("branch protection", "optional", "none: a red pull request can be merged", f"`{RULESET}`")


def app() -> Finding:
    if os.environ.get("APP_CLIENT_ID"):
        return Finding("app token", "ready", "bot commits start checks by themselves")
    fix = "variable APP_CLIENT_ID, secret APP_PRIVATE_KEY in the environment `bot`"
    return Finding("app token", "optional", "checks of bot commits are started by dispatch", fix)


def target() -> Finding:
    places = params.load().deploy.environments
    lasting = [f"`{name}`: {place.target}" for name, place in sorted(places.items()) if place.target != "rehearsal"]
    if lasting:
        return Finding("deploy target", "ready", ", ".join(lasting), "`delivery status`")
    found = "the runner's Docker engine" if rehearsal.engine() else "a process"
    fix = "a row in params.yaml, `deploy.environments`; docs/how-to/deploy.md"
    return Finding("deploy target", "optional", f"{found}: a rehearsal, nothing lasts", fix)


def deliveries() -> Finding:
    events = transitions.events(registry.versions(registry.connect())) if registry.exists() else []
    if not events:
        return Finding("delivery figures", "optional", "no deployment on record yet", "`delivery history`")
    told = []
    for name in sorted({event.environment for event in events}):
        of = history.figures(events, name)
        share = history.NONE if of["failed_share"] is None else f"{of['failed_share']:.0%}"
        told.append(
            f"`{name}`: lead time {history.span(of['lead_hours'])}, {of['per_week']:.1f} a week, {share} rolled back, "
            f"restored in {history.span(of['restore_hours'])}"
        )
    return Finding("delivery figures", "ready", "; ".join(told), "`delivery history`")


def tools() -> Finding:
    absent = [name for name in ("git", "docker") if shutil.which(name) is None]
    return Finding(
        "programs", "optional" if absent else "ready", f"without {', '.join(absent)}" if absent else "git, docker"
    )


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    pipeline, model_card, store_branch, champion, remote, pulls, environments, protection, app, target, deliveries, tools,
)  # fmt: skip


def _asked(path: str):
    """GitHub's reply, or None and why there is none."""
    if not github.armed():
        return None, f"no token; {github.OWN_TOKEN}"
    try:
        return github.ask("GET", path), ""
    except Failure as failure:
        hidden = isinstance(failure, GitHubError) and failure.status == 403
        return None, f"this token may not see it; {github.OWN_TOKEN}" if hidden else str(failure)
