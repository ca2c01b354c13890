"""Verb `results`: push what the pipeline made to DVC's remote and, as dvc.lock and reports, to the branch.

The job that runs a pull request's code may only read, so it hands over a folder (`collect`). The job that may write
takes the folder (`push`) with the default branch's code. It fetches the pull request's branch and checks out none of it;
DVC's files are named by their digests, which are checked.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from delivery.adapters import dvc, dvc_remote, git, github, large_files, store
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.pull_requests import acceptance, checks

UNCHANGED = ", unchanged to the last bit"  # with newer libraries for example
MARK = "Results-Of"  # trailer of a commit of results, which does not get results again


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("action", choices=("push",))
    parser.add_argument("folder", type=Path, help="folder that `review` has written, reports/results")
    parser.add_argument("--branch", required=True, help="branch that gets the commit")
    parser.add_argument("--of", required=True, metavar="SHA", help="commit that the results were made from")
    parser.add_argument(
        "--number", type=int, default=0, metavar="N", help="number of the pull request, for its comment"
    )
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the checks, because a push with the workflow's token starts none",
    )


def main(options: argparse.Namespace) -> None:
    """Push the results and start the checks of their commit."""
    commit = push(options.folder, options.branch, options.of)
    if options.dispatch and options.number:  # else no pull request waits for checks of this commit
        reason = acceptance.of_event().reason
        checks.start(options.branch, commit, options.number, reason, checks.base_of_event())
    github.summary(f"Results committed to `{options.branch}` as {commit[:8]}.")


def collect(folder: Path) -> None:
    """Copy new files of DVC and the changed results into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    bucket = dvc.in_bucket()  # to which this job may not write
    dvc.run("push", "--quiet", *(["--remote", workspace.STORE_REMOTE] if bucket else []))
    listed = git.git("ls-files", "--others", "--", workspace.DVC_REMOTE.name, cwd=workspace.STORE).splitlines()
    new = [workspace.STORE / name for name in listed]
    for path in dvc_remote.absent(dvc_remote.opened(), new) if bucket else new:
        _copy(path, folder / path.relative_to(workspace.STORE))
    for name in workspace.RESULTS:
        if Path(name).exists():
            _copy(Path(name), folder / name)


def push(folder: Path, branch: str, of: str) -> str:
    """Push to the store first, then to the branch, so that no lock names a missing object; return the commit.

    Raise `Failure` if the content of a file does not match its name, if somebody has pushed since the commit `of`, or if that
    one is itself a commit of results.
    """
    suffix = git.suffix()
    head = fetch(branch)
    made_of = git.git("log", "-1", "--format=%(trailers:key=" + MARK + ",valueonly)", head).split()
    if made_of == [of + suffix]:  # made by this run before it was started again
        return head
    if head != of and not any(mark.startswith(of) for mark in made_of):  # those are of another model, by the same run
        raise Failure(
            f"{branch} has newer commits than {of[:8]}, whose results these are; the run of {head[:8]} makes its own"
        )
    if made_of and made_of[0][40:] == suffix:
        raise Failure(
            f"the results of {made_of[0][:8]} came out different a second time: the pipeline is not deterministic"
        )
    admit(folder)
    store.push(f"Results of {head[:8]}", redo=lambda: None)
    subject = f"Results of {head[:8]}{UNCHANGED if unchanged(folder, head) else ''}"
    return _push(folder, branch, head, f"{subject}\n\n{MARK}: {of}{suffix}")


def unchanged(folder: Path, head: str) -> bool:
    """Return whether the new dvc.lock names the outputs of the branch's, so that only what they are made of has changed."""
    lock = folder / workspace.DVC_LOCK
    before = git.show(head, (git.inside() / workspace.DVC_LOCK).as_posix())
    return (
        bool(before) and not lock.is_symlink() and lock.is_file() and dvc.same_outputs(before or "", lock.read_text())
    )


def fetch(branch: str) -> str:
    """Fetch the branch and return its commit."""
    shallow = git.git("rev-parse", "--is-shallow-repository") == "true"
    git.git("fetch", "--quiet", *(["--depth=1"] if shallow else []), "origin", f"refs/heads/{branch}")
    return git.git("rev-parse", "FETCH_HEAD")


def _push(folder: Path, branch: str, head: str, message: str) -> str:
    """Push, on top of what jobs of other models have pushed meanwhile. Raise `Failure` if somebody else has pushed."""
    for _ in range(store.TRIES):
        commit = committed(folder, head, message)
        completed = git.run("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        if not completed.returncode:
            return commit
        git.git("fetch", "--quiet", "origin", f"refs/heads/{branch}")
        if set(git.git("log", "--format=%ae", f"{head}..FETCH_HEAD").splitlines()) != {store.EMAIL}:
            break
        head = git.git("rev-parse", "FETCH_HEAD")
    raise Failure(f"{branch} was not pushed to: {git.reason(completed)}")


def committed(folder: Path, parent: str, message: str) -> str:
    """Return a new commit of the results in `folder` on top of `parent`, none of whose files is checked out.

    So nothing is written through a link that the branch has where a result belongs: git refuses such a path.
    """
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        git.git("read-tree", parent, env=index)
        for name in workspace.RESULTS:
            if (folder / name).is_file() and not (folder / name).is_symlink():
                blob = git.git("hash-object", "-w", "--no-filters", str(folder / name))
                entry = f"100644,{blob},{(git.inside() / name).as_posix()}"
                git.git("update-index", "--add", "--cacheinfo", entry, env=index)
        tree = git.git("write-tree", env=index)
    return git.git(*store.IDENTITY, "commit-tree", tree, "-p", parent, "-m", message)


def admit(folder: Path) -> None:
    """Send DVC's files from `folder` to its default remote: copy them to the store, or upload them to the bucket.

    Raise `Failure` if the content of one does not match its name, or if one is too large for the store.
    """
    source = folder / workspace.DVC_REMOTE.name
    files = sorted(source.rglob("*"))
    large_files.refuse(files, large_files.OBJECTS)
    files = [file for file in files if file.is_file()]
    for file in files:
        _refuse_misnamed(file, file.relative_to(source))
    if dvc.in_bucket():
        dvc_remote.send(dvc_remote.opened(), files)
        return
    for file in files:
        if not (kept := workspace.DVC_REMOTE / file.relative_to(source)).exists():
            _copy(file, kept)


def _refuse_misnamed(file: Path, name: Path) -> None:
    """Raise `Failure` if the content of a file does not have the digest in its name."""
    digest = (name.parent.name + name.name).removesuffix(".dir")
    if file.is_symlink() or name.parts[:2] != ("files", "md5") or dvc.digest(file.read_bytes()) != digest:
        raise Failure(f"{name} is not what its name says; the results are refused")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
