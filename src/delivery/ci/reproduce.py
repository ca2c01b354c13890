"""Verb `reproduce`: the model that the commit describes, from the cache or the store, else made again.

With --locked only the hashes of dvc.lock are good enough: what is delivered is what was reviewed.
"""

import argparse

from delivery.adapters import dvc, git
from delivery.ci.advice import REPRODUCE
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.data.fetch import into


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--locked", action="store_true", help="refuse results that differ from the committed dvc.lock")


def main(options: argparse.Namespace) -> None:
    changed = run()
    if options.locked:
        refuse(changed)
    print(f"reproduce: {'changed ' + ', '.join(changed) if changed else 'as the commit says'}")


def refuse(changed: list[str]) -> None:
    """Raises Failure when a committed result has come out different."""
    if changed:
        raise Failure(f"code, params and data give another {', '.join(changed)} than this commit says; {REPRODUCE}")


def run() -> list[str]:
    """Data, then pipeline; returns the committed results that came out different."""
    data()
    dvc.run("repro", "--pull")
    return changed()


def changed() -> list[str]:
    lines = git.git("status", "--porcelain", "--untracked-files=all", "--", *workspace.RESULTS).splitlines()
    return [line.split()[-1] for line in lines]


def data() -> None:
    """Makes sure that data/ can be had as data.dvc says, else from the source, which must give the same bytes."""
    if held() or not dvc.run("pull", "--quiet", str(workspace.DATA_FILE), check=False, quiet=True).returncode:
        return  # `dvc repro --pull` takes it from the store
    said = workspace.DATA_FILE.read_text()
    into(workspace.DATA, params.load().fetch.until)
    dvc.run("commit", "--quiet", "--force", str(workspace.DATA_FILE))
    if workspace.DATA_FILE.read_text() != said:
        workspace.DATA_FILE.write_text(said)
        raise Failure(
            f"{workspace.DATA}/ from the source is not what {workspace.DATA_FILE} says; "
            f"run `dvc add {workspace.DATA}` and commit {workspace.DATA_FILE}"
        )


def held() -> bool:
    """Whether the store has data/ in the form that data.dvc names."""
    digest = dvc.data_digest()
    return (workspace.DVC_OBJECTS / digest[:2] / digest[2:]).exists()
