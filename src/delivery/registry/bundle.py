"""Start the service of a release from its bundle: its own code and libraries, whatever is checked out or installed.

The libraries of each lock are installed once on this machine, by uv from its cache, and shared by all releases with it.
"""

import fcntl
import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from delivery.core import files, programs
from delivery.core.errors import Failure
from delivery.registry import release

HOME = Path("~/.local/state/delivery/libraries")
MODULE = "delivery.service"
# What a service inherits. A job's tokens and cloud keys stay out: /proc shows a process's environment for as long as it runs.
INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def command(bundle: Path, model: Path, port: int, version: str, *words: str) -> list[str]:
    """Return the command that serves an exported model with the bundle's code; run it in the bundle's folder.

    Raise `Failure` if its libraries cannot be installed.
    """
    options = ["--model", str(model), "--port", str(port), "--version", version]
    return [str(python(bundle / release.LOCK)), "-m", MODULE, *options, *words]


def environment(bundle: Path) -> Mapping[str, str]:
    """Return the environment variables of a service that is started from the bundle."""
    return inherited() | ONE_THREAD | {"PYTHONPATH": str(bundle.resolve() / "src"), "PYTHONHASHSEED": "0"}


def inherited() -> dict[str, str]:
    """Return this process's environment variables that a process which outlives it may have.

    RUNNER_TRACKING_ID is empty, so that a GitHub runner does not kill the process at the end of its job.
    """
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"RUNNER_TRACKING_ID": ""}


def python(lock: Path) -> Path:
    """Return the Python that has exactly the libraries of a lock; install them if no release with this lock ran before.

    Raise `Failure` with uv's last line if they cannot be installed.
    """
    made_of = lock.read_bytes() + f"{platform.python_version()} {sys.platform} {platform.machine()}".encode()
    home = HOME.expanduser()
    folder = home / hashlib.sha256(made_of).hexdigest()[:16]
    interpreter = folder / "bin" / "python"
    if interpreter.exists():
        return interpreter
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not interpreter.exists():
            with files.replacing(folder) as scratch:
                install(lock, scratch)
    return interpreter


def install(lock: Path, folder: Path) -> None:
    """Install the libraries of a lock into a new virtual environment; the package index is asked only if uv's cache lacks one."""
    uv = [sys.executable, "-m", "uv"]
    made = programs.run([*uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)])
    sync = [*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(folder / "bin" / "python"), str(lock)]
    if made.returncode == 0 and programs.run([*sync, "--offline"]).returncode:
        made = programs.run(sync)
    if made.returncode:
        raise Failure(f"the release's libraries cannot be installed: {programs.last_line(made)}")
