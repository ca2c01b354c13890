"""Verb `reproduce`: the model that the commit describes, from the cache or the store, else made again.

With --locked only the hashes of dvc.lock are good enough: what is delivered is what was reviewed.
"""

import argparse
import itertools
import os
import subprocess
import sys
from pathlib import Path

import yaml

from delivery import git, params
from delivery.baseline import LOCK, path_first
from delivery.errors import Failure
from delivery.fetch import into
from delivery.files import DATA, STORE

DATA_FILE = Path("data.dvc")
# What a run of the pipeline changes among the files that git keeps; dvc.yaml where another machinery was laid over it.
RESULTS = ("dvc.yaml", LOCK, "reports/metrics.json", "reports/validate.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--locked", action="store_true", help="refuse results that differ from the committed dvc.lock")


def main(options: argparse.Namespace) -> None:
    changed = run()
    if changed and options.locked:
        raise Failure(f"code, params and data give another {', '.join(changed)} than this commit says; {advice()}")
    print(f"reproduce: {'changed ' + ', '.join(changed) if changed else 'as the commit says'}")


def advice() -> str:
    return "run `python -m delivery reproduce`, commit what it changes and push"


def run() -> list[str]:
    """Data, then pipeline; returns the committed results that came out different."""
    data()
    dvc("repro", "--pull")
    return changed()


def changed() -> list[str]:
    lines = git.git("status", "--porcelain", "--untracked-files=all", "--", *RESULTS).splitlines()
    return [line.split()[-1] for line in lines]


def data() -> None:
    """Makes sure that data/ can be had as data.dvc says, else from the source, which must give the same bytes."""
    if held() or not dvc("pull", "--quiet", str(DATA_FILE), check=False, quiet=True).returncode:
        return  # `dvc repro --pull` takes it from the store
    said = DATA_FILE.read_text()
    into(DATA, params.load().fetch.until)
    dvc("commit", "--quiet", "--force", str(DATA_FILE))
    if DATA_FILE.read_text() != said:
        DATA_FILE.write_text(said)
        raise Failure(
            f"{DATA}/ from the source is not what {DATA_FILE} says; run `dvc add {DATA}` and commit {DATA_FILE}"
        )


def held() -> bool:
    """Whether the store has data/ in the form that data.dvc names."""
    digest = wanted()
    return (remote_folder() / "files" / "md5" / digest[:2] / digest[2:]).exists()


def wanted() -> str:
    """The digest of data/ that data.dvc names."""
    return yaml.safe_load(DATA_FILE.read_text())["outs"][0]["md5"]


def dvc(*words: str, check: bool = True, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """DVC's output goes on to the person unless `quiet`. Raises Failure with the stage's own error line."""
    command = [sys.executable, "-m", "dvc", *words]
    environment = os.environ | path_first()
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if not quiet:
        print(done.stdout, end="", flush=True)
    if check and done.returncode:
        raise Failure(reason(done.stdout))
    return done


def reason(output: str) -> str:
    """The words that name the cause: a stage's own `error: ` with its indented lines, else DVC's last word."""
    lines = output.rstrip().splitlines() or ["dvc said nothing"]
    for number, line in enumerate(lines):
        if line.startswith("error: "):
            more = itertools.takewhile(lambda rest: rest.startswith("  "), lines[number + 1 :])
            return "\n".join([line.removeprefix("error: "), *more])
    theirs = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (theirs or lines[-1:])[0]


def remote_folder() -> Path:
    """The DVC remote inside the store."""
    return STORE / "dvc"
