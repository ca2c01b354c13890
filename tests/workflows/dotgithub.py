"""The files of .github, read once, for the rules."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml
from harness import rules
from harness.template import ROOT

GITHUB = Path(os.environ.get("DELIVERY_GITHUB", ROOT / ".github"))  # mutate.py gives another
FILES = sorted(GITHUB.glob("workflows/*.yml"))
ACTIONS = sorted(GITHUB.glob("actions/*/action.yml"))
WORKFLOWS = {path.name: rules.load(path.read_text()) for path in FILES}
SETUP = "$/.github/actions/setup"
JOBS = [
    (file, job)
    for file, document in WORKFLOWS.items()
    for job, about in document["jobs"].items()
    if "uses" not in about
]
# Jobs that call a workflow of this repository, and its file.
CALLS = {
    (file, job): about["uses"].removeprefix("$/.github/workflows/")
    for file, document in WORKFLOWS.items() for job, about in document["jobs"].items() if "uses" in about
}  # fmt: skip


def job(file: str, name: str) -> dict:
    return WORKFLOWS[file]["jobs"][name]


def condition(file: str, name: str) -> str:
    """When the job runs, in one line; nothing where it always does."""
    return " ".join(job(file, name).get("if", "").split())


def steps() -> Iterator[tuple[str, dict]]:
    """Every step, with where it stands."""
    for path in ACTIONS:
        for step in yaml.safe_load(path.read_text())["runs"]["steps"]:
            yield f"{path.parent.name}/action.yml", step
    for file, name in JOBS:
        for step in job(file, name)["steps"]:
            yield f"{file}: {name}", step


def lines() -> Iterator[str]:
    """Every line of every workflow and action."""
    for path in [*FILES, *ACTIONS]:
        yield from path.read_text().splitlines()
