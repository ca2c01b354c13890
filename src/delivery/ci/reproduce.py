"""Verb `reproduce`: get the model that the commit describes, from the cache or the store, or by running the pipeline.

With --locked results must have the hashes of dvc.lock: what is delivered is what was reviewed. With --remake every stage
runs, because dvc.lock is only a claim about results that came from a cache or the store.
"""

import argparse

from delivery.adapters import dvc, git, large_files
from delivery.ci import remake
from delivery.ci.advice import REMAKE, REPRODUCE
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.data.fetch import into


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--locked", action="store_true", help="refuse results that differ from the committed dvc.lock")
    parser.add_argument(
        "--remake",
        action="store_true",
        help="run every stage, also those whose results dvc.lock already names",
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="limit of a stage that --remake runs; default: reproduce.minutes"
    )


def main(options: argparse.Namespace) -> None:
    """Reproduce the model. Raise `Failure` with --locked if a committed result differs."""
    ran = pipeline()
    remade = verify(ran, minutes=options.minutes) if options.remake else remake.NOTHING
    different = changed()
    if options.locked:
        refuse(different, remade)
    for stage in remade.unverified:
        print(f"reproduce: {unverified(stage, options.minutes)}")
    print(f"reproduce: {'changed ' + ', '.join(different) if different else 'as the commit says'}")


def unverified(stage: str, minutes: float | None = None) -> str:
    """Return a sentence about a stage that took too long to be made again."""
    limit = f"reproduce.minutes ({params.load().reproduce.minutes:g})" if minutes is None else f"{minutes:g} minutes"
    return f"{stage} was not made again, because that takes more than {limit}"


def refuse(changed: list[str], remade: remake.Remade = remake.NOTHING) -> None:
    """Raise `Failure` if a committed result has come out different."""
    if remade.refuted:
        stages = ", ".join(remade.refuted)
        raise Failure(f"{stages}, made again from its inputs, gives other results than dvc.lock names; {REMAKE}")
    if changed:
        raise Failure(
            f"code, params and data produce a different {', '.join(changed)} than the one committed; {REPRODUCE}"
        )


def pipeline() -> list[str]:
    """Get the data, run the pipeline, and return the stages that ran; the results of others came from a cache or the store.

    Raise `Failure` as early as possible if a file is too large for the store.
    """
    ran: list[str] = []

    def repro(*stages: str) -> None:
        ran.extend(dvc.ran(dvc.run("repro", "--pull", *stages).stdout))

    data()
    large_files.refuse_before_training(lambda: repro("prepare"))
    repro()
    large_files.refuse_objects(workspace.ARTIFACTS)
    return ran


def verify(ran: list[str], base: str = "", minutes: float | None = None) -> remake.Remade:
    """Make again what only dvc.lock claims: the stages that have not just run and are not those of the base, if there is one.

    A stage has `minutes`, or else reproduce.minutes.
    """
    stages = remake.claims(ran, remake.trusted_lock(base) if base else "")
    return remake.run(stages, params.load().reproduce.minutes if minutes is None else minutes)


def changed() -> list[str]:
    """Return the committed results that differ from the commit."""
    lines = git.git("status", "--porcelain", "--untracked-files=all", "--", *workspace.RESULTS).splitlines()
    return [line.split()[-1] for line in lines]


def data() -> None:
    """Make sure that data/ is available as data.dvc says, or fetch it from the source.

    Raise `Failure` if the source gives other bytes.
    """
    if held() or not dvc.run("pull", "--quiet", str(workspace.DATA_FILE), check=False, quiet=True).returncode:
        return  # `dvc repro --pull` takes it from the store
    committed = workspace.DATA_FILE.read_text()
    into(workspace.DATA, params.load().fetch.until)
    dvc.run("commit", "--quiet", "--force", str(workspace.DATA_FILE))
    if workspace.DATA_FILE.read_text() != committed:
        workspace.DATA_FILE.write_text(committed)
        raise Failure(
            f"{workspace.DATA}/ from the source is not what {workspace.DATA_FILE} says; "
            f"run `dvc add {workspace.DATA}` and commit {workspace.DATA_FILE}"
        )


def held() -> bool:
    """Return whether the store has the data/ that data.dvc names."""
    digest = dvc.data_digest()
    return (workspace.DVC_OBJECTS / digest[:2] / digest[2:]).exists()
