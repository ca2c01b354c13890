"""The engines that take the place of the embedded ones, started for the tests on loopback and stopped after them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optional

from delivery.deploy.targets.loopback import free_port

WANTED = ("distributed", "dvc_s3", "moto", "psycopg")  # of the set `scale`
USERS = ("postgres", "nobody")  # PostgreSQL refuses to run as root
BUCKET = "delivery"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def absent() -> str:
    """Return why the engines cannot be used here; an empty string if they can."""
    missing = next((name for name in WANTED if find_spec(name) is None), None)
    return f"the set `scale` is not installed (make scale): no {missing}" if missing else ""


@contextmanager
def postgresql() -> Iterator[str]:
    """The system's PostgreSQL in a temporary folder as an unprivileged user; its address for SQLAlchemy."""
    bin_ = optional.postgresql()
    assert bin_
    person: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="postgresql.") as place:
        folder = Path(place)
        if os.geteuid() == 0:
            person = {"user": _first_user(), "group": None, "extra_groups": []}
            shutil.chown(folder, person["user"])
        data, port = folder / "data", free_port()
        command: list[str] = [str(bin_ / "initdb"), "--auth=trust", "--username=delivery", "--no-sync", str(data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **person)
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder}
        words = " ".join(f"-c {name}={value}" for name, value in settings.items())
        control = [str(bin_ / "pg_ctl"), "--pgdata", str(data), "--log", str(folder / "log"), "--wait"]
        subprocess.run(
            [*control, "--options", words, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **person
        )
        try:
            yield f"postgresql://delivery@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "--mode", "fast", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **person
            )


def _first_user() -> str:
    import pwd

    there = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in there)


@contextmanager
def s3() -> Iterator[str]:
    """moto's S3 server with one bucket; its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[tuple[str, int]]:
    """A scheduler and its workers, each a process that another one starts again when it dies; the scheduler's address and process."""
    host, port = "127.0.0.1", free_port()
    address = f"tcp://{host}:{port}"
    cli, quiet = "distributed.cli.dask", subprocess.DEVNULL
    scheduler = [f"{cli}_scheduler", "--host", host, "--port", str(port)]
    worker = [f"{cli}_worker", address, "--nthreads", "1"]
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])  # for `dying`
    environment = os.environ | settings | {"PYTHONPATH": path}
    running: list[subprocess.Popen] = []
    try:
        for words in [scheduler, *[worker] * workers]:
            command = [sys.executable, "-m", *words, "--no-dashboard"]
            running.append(subprocess.Popen(command, env=environment, cwd=folder, stdout=quiet, stderr=quiet))
        yield address, running[0].pid
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


def dying(mark: str, after: int, work: Callable[..., Any], *item: Any, **more: Any) -> Any:
    """`work`, but the first process that comes to so manieth an item of its own is killed with it in its hands."""
    count[mark] = count.get(mark, 0) + 1
    if count[mark] == after and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*item, **more)


def deadly(pid: int, item: Any) -> None:
    """Kills a process, this one if it is 0."""
    os.kill(pid or os.getpid(), signal.SIGKILL)


count: dict[str, int] = {}  # items of this process
