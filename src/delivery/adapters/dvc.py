"""DVC: run it as a program, and read the digests in its files."""

import configparser
import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from delivery.core import programs, workspace
from delivery.core.errors import Failure

LOGIN = "CLOUD_LOGIN"  # `refused` where the workflows' action `cloud` got no token for the login to a bucket


def run(*words: str, check: bool = True, quiet: bool = False) -> programs.Completed:
    """Run DVC and print its output unless `quiet`. Raise `Failure` with the stage's own error line, or why a bucket is closed."""
    completed = programs.run(command(*words), env=path_first(), merge=True)
    if not quiet:
        print(completed.stdout, end="", flush=True)
    if check and completed.returncode:
        raise Failure(closed_bucket(completed.stdout) or reason(completed.stdout))
    return completed


def closed_bucket(output: str) -> str:
    """Return what a maintainer does where DVC failed and the job may not log in to the bucket; empty if that is not the cause."""
    cause = reason(output)
    if os.environ.get(LOGIN) != "refused" or not in_bucket() or f"ERROR: {cause}" not in output.splitlines():
        return ""
    if cause.startswith("failed to reproduce"):
        return ""
    return (
        f"{default_remote()} cannot be read ({cause.removeprefix('unexpected error - ')}): GitHub lets no fork's pull request log in; "
        "a maintainer who has read the change can comment `/results` on it"
    )


def again(stage: str, seconds: float | None) -> bool:
    """Run one stage, whatever dvc.lock or a cache says of it, and print its output; return False if it took too long.

    Raise `Failure` with the stage's own error line.
    """
    completed = programs.run_group(
        command("repro", "--force", "--single-item", stage), env=path_first(), seconds=seconds
    )
    if completed is None:
        return False
    print(completed.stdout, end="", flush=True)
    if completed.returncode:
        raise Failure(reason(completed.stdout))
    return True


def ran(output: str) -> list[str]:
    """Return the stages that ran, from the output of `dvc repro`: not those that came from a cache."""
    return re.findall(r"(?m)^Running stage '([^']+)':$", output)


def command(*words: str) -> list[str]:
    """Return the command line of DVC in this environment."""
    return [sys.executable, "-m", "dvc", *words]


def path_first() -> dict[str, str]:
    """Return a PATH on which `python` in dvc.yaml is the one that runs now, even if its environment is not activated."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def reason(output: str) -> str:
    """Return the cause in DVC's output: a stage's `error: ` with its indented lines, else DVC's `ERROR: `, else the end."""
    lines = output.rstrip().splitlines() or ["dvc printed nothing"]
    for number, line in enumerate(lines):
        if line.startswith("error: "):
            more = itertools.takewhile(lambda rest: rest.startswith("  "), lines[number + 1 :])
            return "\n".join([line.removeprefix("error: "), *more])
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines[-1:])[0]


def stages(text: str) -> dict[str, Any]:
    """Return the stages of a dvc.lock or dvc.yaml by name."""
    known: dict[str, Any] = (yaml.safe_load(text) or {}).get("stages", {})
    return known


def outputs(lock: str, stage: str = "") -> dict[str, str]:
    """Return the path and digest of every output in a dvc.lock, or of those of one stage."""
    chosen = {name: entry for name, entry in stages(lock).items() if stage in ("", name)}
    return {out["path"]: out["md5"] for entry in chosen.values() for out in entry.get("outs", [])}


def made(stage: str) -> dict[str, str]:
    """Return the path and digest of every output of a stage on disk, as DVC will write them to dvc.lock.

    Empty if dvc.yaml has no such stage, or if an output is absent.
    """
    path = Path("dvc.yaml")
    entry = stages(path.read_text()).get(stage, {}) if path.exists() else {}
    # An output with options is a mapping from its path to them.
    paths = [Path(out if isinstance(out, str) else next(iter(out))) for out in entry.get("outs", [])]
    return {path.as_posix(): digest_of(path) for path in paths} if all(path.exists() for path in paths) else {}


def digest_of(path: Path) -> str:
    """Return DVC's digest of a file, or of a folder: that of the list of its files, with `.dir` at the end."""
    if path.is_file():
        return _digest_of_file(path)
    listed = sorted(
        ({"md5": _digest_of_file(file), "relpath": file.relative_to(path).as_posix()} for file in _files(path)),
        key=lambda entry: entry["relpath"],
    )
    return digest(json.dumps(listed, sort_keys=True).encode()) + ".dir"


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def same_outputs(lock: str, other: str) -> bool:
    """Return whether two dvc.locks name the same outputs, byte for byte. A text that is no lock names none."""
    try:
        known = outputs(lock)
        return bool(known) and known == outputs(other)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return False


def named(text: str) -> set[str]:
    """Return the digests of all outputs in a dvc.lock or a .dvc file."""
    document = yaml.safe_load(text) or {}
    owners = [document, *(document.get("stages") or {}).values()]
    return {out["md5"] for owner in owners for out in owner.get("outs") or [] if "md5" in out}


def with_contents(digests: Iterable[str]) -> set[str]:
    """Return these digests and those that the lists of folders among them name, as far as the store has the lists."""
    whole = set(digests)
    for digest in list(whole):
        listed = workspace.DVC_OBJECTS / digest[:2] / digest[2:]
        if digest.endswith(".dir") and listed.is_file():
            whole |= {entry["md5"] for entry in json.loads(listed.read_bytes())}
    return whole


def data_digest(text: str = "") -> str:
    """Return the digest of data/ from the text of a data.dvc, by default the file of this folder."""
    return str(yaml.safe_load(text or workspace.DATA_FILE.read_text())["outs"][0]["md5"])


def data_size() -> int:
    """Return the size of data/ in bytes, as data.dvc says; 0 without that file."""
    text = workspace.DATA_FILE.read_text() if workspace.DATA_FILE.exists() else ""
    return sum(int(out.get("size", 0)) for out in (yaml.safe_load(text) or {}).get("outs", []))


def in_store() -> bool:
    """Return whether the default remote is the store's folder, and not a bucket."""
    url = default_remote()
    return bool(url) and (workspace.DVC_CONFIG.parent / url).resolve() == workspace.DVC_REMOTE.resolve()


def in_bucket() -> bool:
    """Return whether there is a default remote that is not the store's folder."""
    return bool(default_remote()) and not in_store()


def default_remote() -> str:
    """Return the address of the default remote, or an empty string."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([workspace.DVC_CONFIG, workspace.DVC_CONFIG.with_suffix(".local")])
    name = config.get("core", "remote", fallback="")
    return config.get(f"'remote \"{name}\"'", "url", fallback="")


def digest(content: bytes) -> str:
    """Return DVC's digest of the content, an MD5: it names files and protects nothing."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def remove_corrupt() -> list[str]:
    """Remove objects of the default remote whose content does not match the digest in their name; return their names.

    DVC refuses them on a pull, and a push skips them because they exist. It also skips the objects in a folder's list
    if that list exists, so remove such lists too.
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
