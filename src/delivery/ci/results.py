"""Verb `results`: what a run of the pipeline made goes to the store and, as dvc.lock and reports, to the branch.

The job that runs a pull request's code may only read, so it hands over a folder (`collect`); the job that may
write takes it (`push`) and runs none of that code: DVC's files are named by their digests, which are checked.
"""

import argparse
import shutil
from pathlib import Path

from delivery.adapters import dvc, git, github, store
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.pull_requests import proposal

MARK = "Results-Of"  # the trailer of a commit of ours, so that we never answer ourselves


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("push",))
    parser.add_argument("folder", type=Path, help="what `review` left in reports/results")
    parser.add_argument("--branch", required=True, help="that gets the commit")
    parser.add_argument("--of", required=True, metavar="SHA", help="the commit that the results are of")
    parser.add_argument("--number", type=int, default=0, metavar="N", help="of the pull request, for its comment")
    parser.add_argument(
        "--dispatch", action=argparse.BooleanOptionalAction, help="start the checks: our token's push starts none"
    )


def main(options: argparse.Namespace) -> None:
    commit = push(options.folder, options.branch, options.of)
    if options.dispatch:
        proposal.start_checks(options.branch, commit, options.number)
    github.summary(f"Results committed to `{options.branch}` as {commit[:8]}.")


def collect(folder: Path) -> None:
    """New files of DVC and the changed results, side by side in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    dvc.run("push", "--quiet")
    new = git.git("ls-files", "--others", "--", workspace.DVC_REMOTE.name, cwd=workspace.STORE).splitlines()
    for name in new:
        _copy(workspace.STORE / name, folder / name)
    for name in workspace.RESULTS:
        if Path(name).exists():
            _copy(Path(name), folder / name)


def push(folder: Path, branch: str, of: str) -> str:
    """Store first, then the branch, so that no lock names what cannot be had. Returns the commit.

    Raises Failure when a file is not what its name says, or when the last commit is ours already, of another one.
    """
    suffix = git.suffix()
    parent = git.git("log", "-1", "--format=%H %(trailers:key=" + MARK + ",valueonly)").split()
    if parent[1:] == [of + suffix]:  # this run's own, before it was started again
        return parent[0]
    if len(parent) > 1 and parent[1][40:] == suffix:
        raise Failure(
            f"the results of {parent[1][:8]} came out different a second time: the pipeline is not deterministic"
        )
    admit(folder)
    store.push(f"Results of {parent[0][:8]}", redo=lambda: None)
    for name in workspace.RESULTS:
        if (folder / name).is_file() and not (folder / name).is_symlink():
            _copy(folder / name, Path(name))
    git.git("add", "--force", "--", *[name for name in workspace.RESULTS if Path(name).exists()])
    message = f"Results of {parent[0][:8]}\n\n{MARK}: {of}{suffix}"
    git.git(*store.IDENTITY, "commit", "--quiet", "--message", message)
    _push(branch)
    return git.head() or ""


def _push(branch: str) -> None:
    """After what jobs of other models have pushed meanwhile, if that is all. Raises Failure when somebody else has."""
    for _ in range(store.TRIES):
        done = git.run("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        if not done.returncode:
            return
        git.git("fetch", "--quiet", "origin", f"refs/heads/{branch}")
        if set(git.git("log", "--format=%ae", "HEAD..FETCH_HEAD").splitlines()) != {store.EMAIL}:
            break
        git.git(*store.IDENTITY, "rebase", "--quiet", "FETCH_HEAD")
    raise Failure(f"{branch} was not pushed to: {git.reason(done)}")


def admit(folder: Path) -> None:
    """DVC's files in `folder` to the store on this machine. Raises Failure when one is not what its name says."""
    for file in sorted((folder / workspace.DVC_REMOTE.name).rglob("*")):
        if file.is_file():
            _admit(file, folder)


def _admit(file: Path, folder: Path) -> None:
    """A file of DVC's remote, if its content has the digest that its name gives it."""
    name = file.relative_to(folder / workspace.DVC_REMOTE.name)
    digest = (name.parent.name + name.name).removesuffix(".dir")
    if file.is_symlink() or name.parts[:2] != ("files", "md5") or dvc.digest(file.read_bytes()) != digest:
        raise Failure(f"{name} is not what its name says; the results are refused")
    if not (workspace.DVC_REMOTE / name).exists():
        _copy(file, workspace.DVC_REMOTE / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
