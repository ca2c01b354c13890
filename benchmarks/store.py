"""Size of the branch `store` over a simulated year, and the seconds that a job needs to get it.

    python benchmarks/store.py                # 52 weeks: a retraining and ten pull requests a week, compacted weekly
    python benchmarks/store.py --never        # without `compact`, as a comparison

The sizes are those of the sample: 3.2 MB of files for a version, 2.5 MB of data, model and plots for a pull request. Their
bytes are random, because models do not compress.
"""

import argparse
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

from delivery.adapters import dvc, github, store
from delivery.core import files, workspace
from delivery.registry import compact, needed, registry
from delivery.registry.version import Lineage

WEEK = 7 * 86_400
VERSION_MB, PULL_MB = 3.2, 2.5
OBJECTS = 5  # of a pull request
opened: dict[str, str] = {}  # branch to head of the open pull requests


def git(*words: str, cwd: Path | None = None) -> str:
    return subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def add_results(seed: random.Random) -> None:
    """New objects in the store, and the dvc.lock that names them."""
    digests = []
    for _ in range(OBJECTS):
        content = seed.randbytes(int(PULL_MB * 1e6 / OBJECTS))
        digests.append(dvc.digest(content))
        files.write(workspace.DVC_OBJECTS / digests[-1][:2] / digests[-1][2:], content)
    outs = "".join(f"    - path: artifacts/{number}\n      md5: {digest}\n" for number, digest in enumerate(digests))
    files.write(workspace.DVC_LOCK, f"stages:\n  all:\n    outs:\n{outs}")


def commit(message: str, branch: str) -> str:
    git("add", "--all")
    git("commit", "--quiet", "--message", message)
    git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    return git("rev-parse", "HEAD")


def week(number: int, pulls: int, seed: random.Random) -> None:
    """Merge a pull request of last week, close the others; register a version, and open new pull requests."""
    opened.clear()
    add_results(seed)
    base = commit(f"Merge of week {number}", "main")
    files.write(Path("made") / "export" / "model.onnx", seed.randbytes(int(VERSION_MB * 1e6)))
    files.write(Path("made") / "dvc.lock", workspace.DVC_LOCK.read_bytes())
    registry.add(Path("made"), Lineage(digest=files.digest(Path("made") / "export")), {"auc": 0.7})
    store.push(f"Version of week {number}")
    for pull in range(pulls):
        add_results(seed)
        opened[f"pull-{number}-{pull}"] = commit(f"Pull request {pull}", f"pull-{number}-{pull}")
        store.push(f"Results of {number}-{pull}")
        git("reset", "--quiet", "--hard", base)


def at(moment: float) -> None:
    """Let git, and the verb, take this for now."""
    os.environ |= {"GIT_TEST_DATE_NOW": str(int(moment)), "GIT_COMMITTER_DATE": f"@{int(moment)} +0000"}
    needed.time.time = lambda: moment


def clone_seconds(remote: Path) -> float:
    """Seconds in which a job gets the store, from this machine's disk, packed as a server packs it."""
    git("repack", "-a", "-d", "--quiet", cwd=remote)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        git("clone", "--quiet", "--depth", "1", "--branch", "store", f"file://{remote}", f"{scratch}/store")
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--pulls", type=int, default=10, help="pull requests a week")
    parser.add_argument("--never", action="store_true", help="never compact")
    options = parser.parse_args()
    seed, params, start = random.Random(1), Path("params.yaml").read_bytes(), time.time() - options.weeks * WEEK
    os.environ |= {
        f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    github.armed = lambda: True
    github.pages = lambda path: [{"head": {"ref": name, "sha": sha}} for name, sha in opened.items()]
    largest = history = slowest = 0.0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # git tidies up in the background
        remote, project = Path(place, "remote.git"), Path(place, "project")
        git("init", "--quiet", "--bare", "--initial-branch", "main", str(remote))
        git("config", "receive.autogc", "false", cwd=remote)
        git("clone", "--quiet", str(remote), str(project))
        os.chdir(project)
        files.write(workspace.PARAMS, params)
        files.write(Path(".gitignore"), "/.store/\n/made/\n/.cache/\n")
        git("checkout", "--quiet", "-B", "main")
        commit("First", "main")
        store.pull()
        for number in range(options.weeks):
            at(start + number * WEEK)
            week(number, options.pulls, seed)
            largest = max(largest, compact.size(workspace.STORE))
            history = max(history, int(git("rev-list", "--objects", "--disk-usage", "store", cwd=remote)) / 1e6)
            slowest = max(slowest, clone_seconds(remote)) if number % 4 == 3 else slowest
            at(start + number * WEEK + 5 * 86_400)  # the next Saturday
            if not options.never:
                print(f"week {number + 1}:", compact.run(10, 30), flush=True)
    print(
        f"{options.weeks} weeks with {options.weeks * options.pulls} pull requests: the files of the store have at most "
        f"{largest:.0f} MB, with their history {history:.0f} MB; a clone takes at most {slowest:.1f} s"
    )


if __name__ == "__main__":
    main()
