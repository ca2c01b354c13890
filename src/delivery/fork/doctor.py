"""Verb `doctor`: show what is set up, what is not, and the click or command that fixes it. Change nothing."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from delivery.adapters import git, github, store
from delivery.core import params, workspace
from delivery.core.errors import Failure, RegistryError
from delivery.data import freshness
from delivery.deploy.targets import rehearsal
from delivery.fork import cadence, cloud, delivered
from delivery.fork.rulesets import protection, store_protection, version_records
from delivery.fork.settings import Finding, default_branch, environments, plan, pulls, schedules
from delivery.pull_requests import issues
from delivery.registry import history, registry
from delivery.registry.version import events

SIGN = {"ready": "✅", "optional": "➖", "missing": "❌", "unknown": "❔"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--issue", action="store_true", help="open, update or close one issue on GitHub with what is missing"
    )


def main(options: argparse.Namespace) -> int:
    """Print the findings; return 1 if something is missing without which deliveries fail."""
    findings = [examine() for examine in EXAMINATIONS]
    page = markdown(findings)
    github.summary(page)
    print(json.dumps(msgspec.to_builtins(findings), indent=1) if options.json else page)
    missing = any(finding.state == "missing" for finding in findings)
    if options.issue:
        try:
            said = issues.keep(
                issues.TITLES["doctor"], markdown([one for one in findings if one.state != "ready"]) if missing else ""
            )
        except Failure as failure:  # issues may be disabled; the run is red in any case
            said = f"There is no issue: {failure}."
        print(said, file=sys.stderr)  # the other output may be JSON
    return 1 if missing else 0


def markdown(findings: list[Finding]) -> str:
    """Return the findings as Markdown."""
    rows = [f"| {SIGN[f.state]} | {f.name} | {f.found} | {f.fix or '-'} |" for f in findings]
    todo = sum(finding.state == "missing" for finding in findings)
    head = f"**{todo} thing(s) to fix**" if todo else "**Nothing has to be fixed**"
    return "\n".join([f"{head}; ➖ is optional, and what needs it skips with a reason.", "", "| | what | found | fix |",
                      "|---|---|---|---|", *rows]) + "\n"  # fmt: skip


def pipeline() -> Finding:
    """Look for the files of the pipeline."""
    absent = [name for name in ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc") if not Path(name).exists()]
    if absent:
        return Finding("pipeline", "missing", f"no {', '.join(absent)}", "`delivery reproduce`, commit what it makes")
    return Finding("pipeline", "ready", f"data until {params.load().fetch.until}")


def model_card() -> Finding:
    """Look for what only the authors of the model can write into its card."""
    written = params.load().card
    name, fix = "model card", f"a sentence for each under `card` in {workspace.PARAMS}"
    if empty := [section for section in params.CARD_SECTIONS if not written.get(section, "").strip()]:
        return Finding(name, "missing", f"says nothing of {', '.join(empty)}: no version can be registered", fix)
    if unwritten := [section for section, text in written.items() if text.startswith(params.UNWRITTEN)]:
        return Finding(
            name, "optional", f"{', '.join(unwritten)}: to be written; versions are registered without them", fix
        )
    return Finding(name, "ready", ", ".join(written))


def store_branch() -> Finding:
    """Look for the branch that holds data, models and the registry."""
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
    """List the aliases of the registry; look for a server that is set by half or does not answer."""
    half = [name for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_READ_URI") if os.environ.get(name)]
    if half and registry.address() is None:
        found = f"{' and '.join(half)} without MLFLOW_TRACKING_URI: versions are registered in the store"
        return Finding("registry", "missing", found, "variable MLFLOW_TRACKING_URI; docs/how-to/scale.md")
    if not registry.exists():
        return Finding(
            "registry",
            "optional",
            "no version yet: the gate's floors alone decide",
            "merge to `main`: promote registers a version",
        )
    try:
        known = registry.versions()
    except Failure as failure:
        return Finding("registry", "missing", str(failure), registry_fix(failure))
    serving = [f"`{alias}` is version {version.number}" for version in known for alias in version.aliases]
    address = registry.address() or f"{workspace.STORE}/mlflow"
    return Finding("registry", "ready", f"{address}: {', '.join(serving) or 'no alias yet'}")


def registry_fix(failure: Failure) -> str:
    """Return what helps against a registry that does not answer."""
    if not registry.address():
        return "`delivery store pull`"
    fix = "secret MLFLOW_TRACKING_TOKEN in the environment `bot` and those that you deploy to"
    if isinstance(failure, RegistryError) and failure.refused:
        return f"a token that the server takes: {fix}; docs/how-to/scale.md"
    return f"start the server, or correct the variable MLFLOW_TRACKING_URI; if it wants a token, the {fix}"


def app() -> Finding:
    """Look for the GitHub App whose token lets the bot's commits start workflows."""
    if os.environ.get("APP_CLIENT_ID"):
        return Finding("app token", "ready", "bot commits start checks by themselves")
    fix = "variable APP_CLIENT_ID, secret APP_PRIVATE_KEY in the environment `bot` (private, Free: of the repository)"
    return Finding("app token", "optional", "checks of bot commits are started by dispatch", fix)


def target() -> Finding:
    """Look for environments that last."""
    known = params.load().deploy.environments
    lasting = [f"`{name}`: {one.target}" for name, one in sorted(known.items()) if one.target != "rehearsal"]
    if lasting:
        return Finding("deploy target", "ready", ", ".join(lasting), "`delivery status`")
    found = "the runner's Docker engine" if rehearsal.engine() else "a process"
    fix = "a row in params.yaml, `deploy.environments`; docs/how-to/deploy.md"
    return Finding("deploy target", "optional", f"{found}: a rehearsal, nothing lasts", fix)


def arrivals() -> Finding:
    """Look whether the source still sends rows and labels."""
    name, limits = "rows and labels", params.load().drift
    try:
        found = freshness.read()
    except Failure as failure:
        return Finding(name, "unknown", str(failure))
    if not (limits.rows_late_after or limits.labels_late_after):
        fix = "`drift.rows_late_after` and `labels_late_after` in params.yaml, in days"
        return Finding(name, "optional", "a source that stops is noticed by nobody", fix)
    if not found.rows:
        return Finding(name, "optional", "no drift check has been recorded yet", "`gh workflow run drift.yml`")
    if late := freshness.late(found, limits):
        return Finding(name, "missing", "; ".join(late), f"{freshness.SOURCE}, or whoever feeds it")
    return Finding(name, "ready", f"rows until {found.rows[:10]}, labels until {found.labels[:10] or 'none'}")


def deliveries() -> Finding:
    """Show the DORA metrics of each environment."""
    try:
        listed = events(registry.versions()) if registry.exists() else []
    except Failure:
        return Finding("DORA metrics", "unknown", "the registry does not answer", "see the row of the registry")
    if not listed:
        return Finding("DORA metrics", "optional", "no deployment on record yet", "`delivery history`")
    lines = []
    for name in sorted({event.environment for event in listed}):
        figures = history.figures(listed, name)
        share = history.NONE if figures.failed_share is None else f"{figures.failed_share:.0%}"
        lines.append(
            f"`{name}`: lead time {history.span(figures.lead_hours)}, {figures.per_week:.1f} a week, {share} rolled back, "
            f"restored in {history.span(figures.restore_hours)}"
        )
    return Finding("DORA metrics", "ready", "; ".join(lines), "`delivery history`")


def tools() -> Finding:
    """Look for the programs that some verbs call."""
    absent = [name for name in ("git", "docker") if shutil.which(name) is None]
    return Finding(
        "programs", "optional" if absent else "ready", f"without {', '.join(absent)}" if absent else "git, docker"
    )


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    pipeline, model_card, store_branch, champion, cloud.remote, cloud.login, plan, default_branch, delivered.examine, schedules,
    cadence.examine, pulls, environments, protection, store_protection, version_records, app, target, arrivals, deliveries, tools,
)  # fmt: skip
