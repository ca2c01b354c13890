"""CML, where the workflow has brought it: comments and pull requests are its work, ours only where it fails."""

from delivery.core import programs, workspace
from delivery.core.errors import Failure

TIMEOUT = 300


def run(*words: str, key: str = "") -> str:
    """CML's reason for failing, or nothing. Of what it says the line with `key` is the reason, else the last one."""
    if not (workspace.CML.exists() and (workspace.CML.parent.parent / "node_modules").is_dir()):
        return "it is not installed"
    try:
        done = programs.run([workspace.CML.resolve(), *words], env={"ITERATIVE_DO_NOT_TRACK": "1"}, seconds=TIMEOUT)
    except (OSError, Failure) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["no message"]
    return next((line for line in lines if key and key in line), lines[-1])
