"""GitHub's rules for when a workflow runs and with what rights, as plain functions over its YAML."""

import re
from typing import Any

import yaml

Json = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where it was built in
# Where a workflow leaves `permissions` out altogether, in a repository with today's default setting.
DEFAULT = {"contents": "read", "packages": "read"}
SKIP = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
ALL = ("actions", "attestations", "checks", "contents", "deployments", "id-token", "issues", "packages",
       "pages", "pull-requests", "security-events", "statuses")  # fmt: skip


def load(text: str) -> Json:
    """A workflow file; YAML 1.1 reads its key `on` as True."""
    document = yaml.load(text, Loader=LOADER)
    document["on"] = document.pop(True, document.get("on"))
    if not isinstance(document["on"], dict):
        names = [document["on"]] if isinstance(document["on"], str) else document["on"]
        document["on"] = dict.fromkeys(names)
    return document


def wants(document: Json, event: str, payload: Json, ref: str, changed: list[str]) -> bool:
    """Whether the workflow's `on:` takes this event; `changed` are the paths of a push or pull request."""
    if event not in document["on"]:
        return False
    on = document["on"][event] or {}
    if event == "push":
        branch = ref.removeprefix("refs/heads/")
        return _filtered(on, "branches", [branch]) and _filtered(on, "paths", changed)
    if event == "pull_request":
        if payload["action"] not in on.get("types", ["opened", "synchronize", "reopened"]):
            return False
        base = payload["pull_request"]["base"]["ref"]
        return _filtered(on, "branches", [base]) and _filtered(on, "paths", changed)
    if event == "workflow_run":
        run = payload["workflow_run"]
        named = run["name"] in on["workflows"] and payload["action"] in on.get("types", ["completed", "requested"])
        return named and _filtered(on, "branches", [run["head_branch"]])
    return event != "issue_comment" or payload["action"] in on.get("types", ["created", "edited", "deleted"])


def skips(message: str) -> bool:
    """Whether a commit with this message starts nothing by `push` and `pull_request`; of a pull request its newest counts.

    docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
    """
    last = [line.strip() for line in message.strip().splitlines()][-1:]
    return any(mark in message.lower() for mark in SKIP) or last in (["skip-checks:true"], ["skip-checks: true"])


def _filtered(on: Json, name: str, values: list[str]) -> bool:
    if name in on:
        return any(_listed(on[name], value) for value in values)
    if f"{name}-ignore" in on:
        return not all(_listed(on[f"{name}-ignore"], value) for value in values)
    return True


def _listed(patterns: list[str], value: str) -> bool:
    """The last pattern that matches decides; one that starts with `!` takes back."""
    taken = False
    for pattern in patterns:
        if re.fullmatch(_expression(pattern.removeprefix("!")), value):
            taken = not pattern.startswith("!")
    return taken


def _expression(pattern: str) -> str:
    """`*` stops at a slash, `**` does not, `**/` may be nothing."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(kinds.get(part, re.escape(part)) for part in parts)


def rights(document: Json, job: str, *, fork: bool) -> dict[str, str]:
    """What the token of this job may do; a pull request from a fork never gets more than reading."""
    granted = document["jobs"][job].get("permissions", document.get("permissions", DEFAULT))
    if isinstance(granted, str):
        granted = dict.fromkeys(ALL, granted.removesuffix("-all"))
    return {scope: "read" if fork and level == "write" else level for scope, level in granted.items()}


def refused_inputs(document: Json, given: Json) -> str:
    """Why GitHub would refuse a dispatch with these inputs, or "" where it takes them."""
    if "workflow_dispatch" not in document["on"]:
        return "Workflow does not have 'workflow_dispatch' trigger"
    declared = (document["on"]["workflow_dispatch"] or {}).get("inputs") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        return f"Unexpected inputs provided: {unknown}"
    wrong = (_wrong(name, about, given.get(name, about.get("default", ""))) for name, about in declared.items())
    return next(filter(None, wrong), "")


def _wrong(name: str, about: Json, value: Any) -> str:
    if about.get("required") and value == "":
        return f"Required input '{name}' not provided"
    kind, text = about.get("type"), str(value)
    if kind == "choice" and value not in about["options"]:
        return f"Provided value '{value}' for input '{name}' not in the list of allowed values"
    if kind == "boolean" and text.lower() not in ("true", "false"):
        return f"Provided value '{value}' for input '{name}' is not a boolean"
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return f"Provided value '{value}' for input '{name}' is not a number"
    return ""


def inputs(document: Json, given: Json) -> Json:
    """The inputs of a dispatch with their defaults."""
    declared = (document["on"]["workflow_dispatch"] or {}).get("inputs") or {}
    return {name: given.get(name, about.get("default", "")) for name, about in declared.items()}
