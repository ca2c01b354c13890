"""Programs that a machine may lack. A test that needs one is skipped at collection and says why.

A test or a fixture asks for the fixture `needs_<program>` (conftest.py), and everything that uses the fixture is skipped.
"""

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

MOUNTS = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])


def installed(*names: str) -> bool:
    """Return whether all these programs are on the path."""
    return all(map(shutil.which, names))


def succeeds(*words: str) -> bool:
    """Return whether the program is on the path and exits with 0."""
    return installed(words[0]) and not subprocess.run(words, capture_output=True, check=False).returncode


def postgresql() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps them off the path."""
    initdb = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    return Path(initdb).parent if initdb else None


def unshare() -> list[str]:
    """Return the command that gives a process its own mounts: as root, or as anybody where the kernel allows it."""
    return next((words for words in MOUNTS if succeeds(*words, "true")), [])


PROGRAMS: dict[str, tuple[Callable[[], object], str]] = {
    "docker": (lambda: succeeds("docker", "info"), "no Docker engine answers"),
    "haproxy": (lambda: installed("haproxy"), "haproxy is missing (apt-get install haproxy)"),
    "kubectl": (lambda: installed("kubectl"), "kubectl is missing"),
    "mounts": (unshare, "mounting a small or read-only disk needs root, or user namespaces"),
    "postgresql": (postgresql, "PostgreSQL is missing (apt-get install postgresql)"),
    "prometheus": (lambda: installed("prometheus", "promtool"), "prometheus is missing (apt-get install prometheus)"),
}


@functools.cache
def missing(name: str) -> str:
    """Return why the program cannot be used; an empty string if it can."""
    usable, reason = PROGRAMS[name]
    return "" if usable() else reason


def coverage_floor() -> int | None:
    """Return the coverage in per cent to require where tests of deployments are skipped, else None for pyproject.toml's.

    It stands at 83.5 without any of the programs, and at 90.6 with HAProxy and kubectl.
    """
    return 83 if missing("haproxy") or missing("kubectl") else None
