"""Verb `upgrade`: merge a newer version of the template, and keep the files that the fork owns.

GitHub's own merge (`Sync fork`) runs no merge drivers, so each of these files would be a conflict.
"""

import argparse
import re
import tempfile
from pathlib import Path

import yaml

from delivery.adapters import git
from delivery.core import files, ownership, params, workspace
from delivery.core.errors import Failure
from delivery.core.params_file import edited

SHOWN = 5
CHANGELOG = "CHANGELOG.md"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--source", default="upstream", metavar="REMOTE", help="remote or address of the template")
    parser.add_argument("--branch", default="main", help="branch of the template")


def main(options: argparse.Namespace) -> None:
    """Upgrade and print what is new."""
    print(run(options.source, options.branch))


def run(source: str, branch: str) -> str:
    """Merge the template in one commit; return what is new and what to do next.

    Raise `Failure` if changes are uncommitted, or if files conflict that the fork does not own; the branch stays then.
    """
    if git.git("status", "--porcelain", "--untracked-files=no"):
        raise Failure("there are uncommitted changes; commit or stash them first")
    git.git("fetch", "--quiet", source, branch)
    theirs, start = git.git("rev-parse", "FETCH_HEAD"), git.git("rev-parse", "HEAD")
    if recorded() == theirs or not git.git("rev-list", "--max-count=1", f"HEAD..{theirs}"):
        return "upgrade: nothing new"
    base = rejoined(theirs) or git.git("merge-base", "HEAD", theirs, check=False) or joined(theirs)
    git.run("merge", "--no-commit", "--no-ff", theirs)  # its conflicts are looked at below
    try:
        keep_ours()
        settle_params(base, theirs)
        left = git.git("diff", "--name-only", "--diff-filter=U").splitlines()
        if left:
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            raise Failure(f"changed here and in the template: {', '.join(left[:SHOWN])}{more}; merge these by hand")
        complete_params()
        files.write(workspace.TEMPLATE, f"{theirs}\n")
        git.git("add", "--force", str(workspace.TEMPLATE))
        git.git("commit", "--quiet", "--message", f"Upgrade to {theirs[:8]} of the template")
    except BaseException:
        git.run("merge", "--abort")
        git.run("reset", "--quiet", "--keep", start)
        raise
    news = changelog(git.show("HEAD~1", CHANGELOG) or "", git.show("HEAD", CHANGELOG) or "")
    done = (
        f"upgrade: merged {theirs[:8]}; now `make run`, commit what it changes, push a branch and open a pull request"
    )
    return f"{news}\n\n{done}" if news else done


def changelog(before: str, after: str) -> str:
    """Return the sections of the changelog `after` that `before` lacks, or has with another text."""
    known = set(before.split("\n## ")[1:])
    sections = [section for section in after.split("\n## ")[1:] if section not in known]
    return "\n\n".join(f"## {section.strip()}" for section in sections)


def joined(theirs: str) -> str:
    """Make the template's commit that this repository was created from its parent, and return that commit.

    `Use this template` copies files without history. Raise `Failure` if no commit of the template has the same files as
    the first commit here.
    """
    first = git.git("rev-list", "--max-parents=0", "HEAD").splitlines()[-1]
    files = git.git("rev-parse", f"{first}^{{tree}}")
    pairs = (line.split() for line in git.git("log", "--format=%H %T", theirs).splitlines())
    origin = next((commit for commit, tree in pairs if tree == files), None)
    if origin is None:
        join = "git merge --strategy ours --allow-unrelated-histories <commit>"
        raise Failure(f"no commit in common with the template; once: `{join}`, with the template's you began from")
    message = f"Begun as {origin[:8]} of the template"
    git.git("merge", "--quiet", "--strategy", "ours", "--allow-unrelated-histories", "--message", message, origin)
    return origin


def recorded() -> str:
    """Return the template's commit that the last upgrade merged, as its file says; empty without one."""
    text = workspace.TEMPLATE.read_text().strip() if workspace.TEMPLATE.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{40}", text) else ""


def rejoined(theirs: str) -> str:
    """Make the template's commit of the last upgrade a parent again if that was merged by squash, and return it.

    Return an empty string if that is not needed. A squash keeps the files and drops the parent: git would merge from the
    commit before, and see every line that the last upgrade brought as changed on both sides.
    """
    last = recorded()
    if not last or not git.precedes(last, theirs) or git.precedes(last, "HEAD"):
        return ""
    message = f"Upgraded to {last[:8]} of the template"
    git.git("merge", "--quiet", "--strategy", "ours", "--allow-unrelated-histories", "--message", message, last)
    return last


def keep_ours() -> None:
    """Restore every path that the fork owns to its state before the merge: changed, deleted or absent."""
    paths = [f":(glob){path}" for path in ownership.FORK]
    git.git("rm", "-r", "--quiet", "--force", "--cached", "--ignore-unmatch", "--", *paths)
    for name in git.git("ls-files", "--others", "--exclude-standard", "--", *paths).splitlines():
        path = Path(name)
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    ours = git.git("ls-files", "--with-tree=HEAD", "--", *paths).splitlines()
    if ours:
        git.git("checkout", "--quiet", "HEAD", "--", *dict.fromkeys(ours))


def settle_params(base: str, theirs: str) -> None:
    """Merge params.yaml line by line; where both sides changed a line or its neighbour, keep ours."""
    if ownership.SHARED not in git.git("diff", "--name-only", "--diff-filter=U").splitlines():
        return
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, name) for name in ("ours", "base", "theirs")]
        for file, revision in zip(files, ("HEAD", base, theirs), strict=True):
            file.write_text((git.show(revision, ownership.SHARED) or "") + "\n")
        git.git("merge-file", "--ours", *map(str, files))
        Path(ownership.SHARED).write_text(files[0].read_text())
    git.git("add", ownership.SHARED)


def complete_params() -> None:
    """Add an empty section for each that a new stage reads: DVC refuses a section that the file does not have."""
    pipeline = Path("dvc.yaml")
    stages = yaml.safe_load(pipeline.read_text())["stages"] if pipeline.exists() else {}
    before = text = params.read(Path(ownership.SHARED))
    for name in (name for stage in stages.values() for name in stage.get("params", []) if isinstance(name, str)):
        text = edited(text, name.partition(".")[0], {})
    if text != before:
        files.write(Path(ownership.SHARED), text)
        git.git("add", ownership.SHARED)
