"""Verb `suite`: run folders of tests/, each by itself, and write the outcomes into the summary of the run."""

import argparse
import json
import subprocess
import sys
from xml.etree import ElementTree

from delivery.adapters import github
from delivery.core import workspace
from delivery.core.errors import Failure

SHOWN = 20  # failures in the summary
NO_TESTS = 5  # pytest's exit code


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("name", help="name of a folder in tests/, or a JSON list of several")


def main(options: argparse.Namespace) -> int:
    """Run the tests of every folder; return the first exit code that is not 0. Raise `Failure` if a folder is missing."""
    names = json.loads(options.name) if options.name.startswith("[") else [options.name]
    codes = [run(name) for name in names]
    return next(filter(None, codes), 0)


def run(name: str) -> int:
    """Run the tests of a folder; return pytest's exit code, and 1 if there are none. Raise `Failure` if it is missing."""
    folder = workspace.TESTS / name
    if not folder.is_dir():
        raise Failure(
            f"{folder} is missing; there are {', '.join(sorted(p.name for p in workspace.TESTS.iterdir() if p.is_dir()))}"
        )
    outcome = workspace.CACHE / f"{name.replace('/', '-')}.xml"
    outcome.unlink(missing_ok=True)
    completed = subprocess.run([sys.executable, "-m", "pytest", str(folder), f"--junit-xml={outcome}"], check=False)
    if outcome.exists():
        github.summary(markdown(name, ElementTree.parse(outcome).getroot()))  # noqa: S314  pytest wrote it
    return 1 if completed.returncode == NO_TESTS else completed.returncode


def markdown(name: str, root: ElementTree.Element) -> str:
    """Return the counts and the first failures with their messages."""
    suite = next(root.iter("testsuite"))
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    bad = count["failures"] + count["errors"]
    lines = [f"**{'❌' if bad else '✅'} {name}**: {count['tests']} tests, {bad} failed, {count['skipped']} skipped, "
             f"{float(suite.get('time', '0')):.0f} s"]  # fmt: skip
    for case in root.iter("testcase"):
        for failure in [*case.iter("failure"), *case.iter("error")][:1]:
            if len(lines) <= SHOWN:
                words = " ".join((failure.get("message") or "no message").split())[:200].replace("`", "'")
                lines.append(f"- `{case.get('classname')}::{case.get('name')}`: `{words}`")
    return "\n".join(lines)
