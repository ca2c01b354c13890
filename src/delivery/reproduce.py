"""Verb `reproduce`: the model that the commit describes, from the cache or the store, else made again.

With --locked only the hashes of dvc.lock are good enough: what is delivered is what was reviewed.
"""

import argparse

from delivery import dvc, git, params
from delivery.dvc import DATA_FILE
from delivery.errors import Failure
from delivery.fetch import into
from delivery.files import DATA

# What a run of the pipeline changes among the files that git keeps; dvc.yaml where another machinery was laid over it.
RESULTS = ("dvc.yaml", str(dvc.LOCK), "reports/metrics.json", "reports/validate.json")


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
        raise Failure(f"code, params and data give another {', '.join(changed)} than this commit says; {advice()}")


def advice() -> str:
    return "run `python -m delivery reproduce`, commit what it changes and push"


def run() -> list[str]:
    """Data, then pipeline; returns the committed results that came out different."""
    data()
    dvc.run("repro", "--pull")
    return changed()


def changed() -> list[str]:
    lines = git.git("status", "--porcelain", "--untracked-files=all", "--", *RESULTS).splitlines()
    return [line.split()[-1] for line in lines]


def data() -> None:
    """Makes sure that data/ can be had as data.dvc says, else from the source, which must give the same bytes."""
    if held() or not dvc.run("pull", "--quiet", str(DATA_FILE), check=False, quiet=True).returncode:
        return  # `dvc repro --pull` takes it from the store
    said = DATA_FILE.read_text()
    into(DATA, params.load().fetch.until)
    dvc.run("commit", "--quiet", "--force", str(DATA_FILE))
    if DATA_FILE.read_text() != said:
        DATA_FILE.write_text(said)
        raise Failure(
            f"{DATA}/ from the source is not what {DATA_FILE} says; run `dvc add {DATA}` and commit {DATA_FILE}"
        )


def held() -> bool:
    """Whether the store has data/ in the form that data.dvc names."""
    digest = dvc.data_digest()
    return (dvc.OBJECTS / digest[:2] / digest[2:]).exists()
