"""CML, where the workflow has brought it: comments and pull requests are its work, ours only where it fails."""

import os
import subprocess

from delivery.core import workspace

TIMEOUT = 300


def run(*words: str, key: str = "") -> str:
    """CML's reason for failing, or nothing. Of what it says the line with `key` is the reason, else the last one."""
    if not (workspace.CML.exists() and (workspace.CML.parent.parent / "node_modules").is_dir()):
        return "it is not installed"
    environment = os.environ | {"ITERATIVE_DO_NOT_TRACK": "1"}
    command = [str(workspace.CML.resolve()), *words]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if key and key in line), lines[-1])
