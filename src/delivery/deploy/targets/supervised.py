"""Keep a slot's process running: a supervisord of its own starts it again when it dies (supervisord.org).

It has the slot's folder among its arguments, as the service does: whoever ends the processes of a slot ends both, and
SIGTERM tells it not to start the service again.
"""

import shlex
import sys
from pathlib import Path

from delivery.core import files

STOP = 15  # seconds from SIGTERM to SIGKILL
CONFIG = """; Written by `delivery`; replaced at the next deployment.
[supervisord]
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/{name}.pid
[program:service]
command = {command}
; A service that ends within a second is tried again after one second, then two, three and so on.
startsecs = 1
startretries = 1000000
autorestart = true
stopwaitsecs = {stop}
stdout_logfile = NONE
stderr_logfile = NONE
"""


def command(folder: Path, name: str, mark: Path, words: list[str]) -> list[str]:
    """Return the command that runs `words` and runs them again whenever they end; `mark` is among its arguments.

    Their output goes straight to the slot's log: it does not depend on the supervisor.
    """
    config = folder / f"{name}.conf"
    logging = f'exec "$0" "$@" >>{shlex.quote(str(folder / f"{name}.log"))} 2>&1'
    run = shlex.join(["sh", "-c", logging, *words])
    fields = {"folder": folder, "name": name, "command": run, "stop": STOP}
    escaped = {
        key: str(value).replace("%", "%%") for key, value in fields.items()
    }  # it expands %(ENV_HOME)s and the like
    files.write(config, CONFIG.format(**escaped))
    supervisor = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--silent"]
    return [*supervisor, "--configuration", str(config), "--identifier", str(mark)]
