"""CML, if the workflow installed it: it writes comments and opens pull requests, and we do so only if it fails."""

from delivery.core import programs, workspace
from delivery.core.errors import Failure

TIMEOUT = 300


def run(*words: str, key: str = "") -> str:
    """Run CML and return an empty string, or why it failed: the line of its errors that contains `key`, else the last."""
    if not (workspace.CML.exists() and (workspace.CML.parent.parent / "node_modules").is_dir()):
        return "it is not installed"
    try:
        completed = programs.run(
            [workspace.CML.resolve(), *words], env={"ITERATIVE_DO_NOT_TRACK": "1"}, seconds=TIMEOUT
        )
    except (OSError, Failure) as error:
        return str(error)
    if completed.returncode == 0:
        return ""
    lines = completed.stderr.strip().splitlines() or ["no message"]
    return next((line for line in lines if key and key in line), lines[-1])
