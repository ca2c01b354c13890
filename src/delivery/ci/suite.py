"""Verb `suite`: one folder of tests/, with its outcome in the summary of the run."""

import argparse
import subprocess
import sys
from xml.etree import ElementTree

from delivery.adapters import github
from delivery.core import workspace
from delivery.core.errors import Failure

SHOWN = 20  # failures in the summary
NO_TESTS = 5  # pytest's exit code


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of a folder in tests/")


def main(options: argparse.Namespace) -> int:
    folder = workspace.TESTS / options.name
    if not folder.is_dir():
        raise Failure(
            f"{folder} is missing; there are {', '.join(sorted(p.name for p in workspace.TESTS.iterdir() if p.is_dir()))}"
        )
    outcome = workspace.CACHE / f"{options.name}.xml"
    outcome.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-m", "pytest", str(folder), f"--junit-xml={outcome}"], check=False)
    if outcome.exists():
        github.summary(markdown(options.name, ElementTree.parse(outcome).getroot()))  # noqa: S314  pytest wrote it
    return 1 if done.returncode == NO_TESTS else done.returncode


def markdown(name: str, root: ElementTree.Element) -> str:
    """Counts, and the first failures with their last line."""
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
