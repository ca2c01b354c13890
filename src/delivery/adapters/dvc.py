"""DVC, asked as a program of its own, and what its files say by digest."""

import hashlib
import itertools
import json
import os
import sys
from pathlib import Path

import yaml

from delivery.core import programs, workspace
from delivery.core.errors import Failure


def run(*words: str, check: bool = True, quiet: bool = False) -> programs.Completed:
    """Its output goes on to the person unless `quiet`. Raises Failure with the stage's own error line."""
    done = programs.run(command(*words), env=path_first(), merge=True)
    if not quiet:
        print(done.stdout, end="", flush=True)
    if check and done.returncode:
        raise Failure(reason(done.stdout))
    return done


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *words]


def path_first() -> dict[str, str]:
    """So that `python` in dvc.yaml is the one that runs now, whether or not its environment is activated."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def reason(output: str) -> str:
    """The words that name the cause: a stage's own `error: ` with its indented lines, else DVC's last word."""
    lines = output.rstrip().splitlines() or ["dvc said nothing"]
    for number, line in enumerate(lines):
        if line.startswith("error: "):
            more = itertools.takewhile(lambda rest: rest.startswith("  "), lines[number + 1 :])
            return "\n".join([line.removeprefix("error: "), *more])
    theirs = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (theirs or lines[-1:])[0]


def outputs(lock: str) -> dict[str, str]:
    """Output path to digest, of a dvc.lock."""
    stages = (yaml.safe_load(lock) or {}).get("stages", {})
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def data_digest(text: str = "") -> str:
    """The digest of data/ that a data.dvc names, without one the file that is here."""
    return yaml.safe_load(text or workspace.DATA_FILE.read_text())["outs"][0]["md5"]


def digest(content: bytes) -> str:
    """DVC's own: it names files, and protects nothing that the token does not."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def mend() -> list[str]:
    """Removes objects of REMOTE that are not what their name, their digest, says; returns their names.

    DVC refuses them on a pull, and never pushes the right ones over them, nor beside a folder's list that names
    them: such lists go too.
    """
    removed: list[str] = []
    for path in sorted(workspace.DVC_OBJECTS.glob("??/[0-9a-f]*"), key=lambda path: path.suffix):
        content, name = path.read_bytes(), path.parent.name + path.stem
        if digest(content) != name:
            removed.append(name)
        elif path.suffix != ".dir" or not any(entry["md5"] in removed for entry in json.loads(content)):
            continue
        path.unlink()
    return removed
