"""A Python whose imports are done already: what scenarios start as `python -m ...`, in half the time.

Every verb, every stage and every step of a workflow is such a start, and each would import pandas, scikit-learn and DVC
anew. One process of each test worker imports them once; a start then forks it. The project's own modules are never
among them: they come from the scenario's checkout. `DELIVERY_COLD=1` leaves all this out.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin", "_pytest.junitxml",
    "alembic.command", "anyio._backends._asyncio", "configobj", "dulwich.ignore", "dulwich.worktree", "dvc.cachemgr",
    "dvc.cli.parser", "dvc.data_cloud", "dvc.lock", "dvc.repo.artifacts", "dvc.repo.brancher", "dvc.repo.datasets",
    "dvc.repo.experiments.utils", "dvc.repo.graph", "dvc.repo.index", "dvc.repo.metrics.show", "dvc.repo.open_repo",
    "dvc.repo.params.show", "dvc.repo.plots", "dvc.repo.push", "dvc.repo.reproduce", "dvc.repo.stage", "dvc.repo.trie",
    "dvc.repo.worktree", "dvc.rwlock", "dvc.scm", "dvc.utils.strictyaml", "dvc_data.hashfile.db.index",
    "dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "dvc_data.index.checkout", "dvc_data.index.collect",
    "dvc_data.index.fetch", "dvc_data.index.push", "dvc_render.vega", "fastapi", "fsspec.implementations.memory",
    "hypothesis.extra.pandas", "matplotlib.backends.backend_agg", "matplotlib.pyplot",
    "mlflow.store.model_registry.sqlalchemy_workspace_store", "mlflow.store.tracking.sqlalchemy_workspace_store",
    "msgspec", "narwhals._pandas_like.namespace", "narwhals.stable.v2", "networkx", "onnxruntime", "pandas",
    "pandas.core.arrays.arrow.extension_types", "pandera.pandas", "platformdirs.unix", "prometheus_client.parser",
    "pyarrow.dataset", "pyarrow.parquet", "pydantic.v1", "ruamel.yaml", "scipy.stats", "scmrepo.git", "skl2onnx",
    "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics", "skops.io",
    "sqlalchemy.dialects.sqlite", "uvicorn.lifespan.on", "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip
_open = contextlib.ExitStack()
COLD = ("locust", "pip", "uv", "venv")  # these change the interpreter when they are imported
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "MPLBACKEND": "agg"}
# What stands in for .venv/bin/python: hands its arguments, folder, environment and files over, and waits.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
argv = sys.argv[1:]
if argv[:1] != ["-m"] or argv[1].partition(".")[0] in {cold!r}:
    os.execv({python!r}, [{python!r}, *argv])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([argv, os.getcwd(), dict(os.environ), os.path.abspath(__file__)]).encode()
socket.send_fds(server, [len(request).to_bytes(4)], [0, 1, 2])
server.sendall(request)
pid = int.from_bytes(server.recv(4))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, frame: os.kill(pid, number))
code = server.recv(1)
os._exit(code[0] if code else 137)
"""


@functools.cache
def environment() -> Path:
    """Return the warm environment of this process, made when it is first asked for; `stop` ends it."""
    folder = Path(_open.enter_context(tempfile.TemporaryDirectory(prefix="warm.")))
    return _open.enter_context(python(folder))


def stop() -> None:
    """End the warm environment of this process, if it has one."""
    _open.close()
    environment.cache_clear()


@contextlib.contextmanager
def python(folder: Path) -> Iterator[Path]:
    """Yield a folder like a virtual environment whose bin/python is warm; with DELIVERY_COLD the tests' own."""
    if os.environ.get("DELIVERY_COLD"):
        yield Path(sys.prefix)
        return
    address = folder / "warm.sock"
    client = folder / "venv" / "bin" / "python"
    client.parent.mkdir(parents=True)
    client.write_text(CLIENT.format(python=sys.executable, cold=COLD, address=str(address)))
    client.chmod(0o755)
    command_line = client.with_name("delivery")  # the console script
    command_line.write_text('#!/bin/sh\nexec "${0%/*}/python" -m delivery "$@"\n')
    command_line.chmod(0o755)
    command = [sys.executable, __file__, str(address)]
    with subprocess.Popen(command, env=os.environ | THREADS, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()  # it listens
        try:
            yield folder / "venv"
        finally:
            server.terminate()


def serve(address: str) -> None:
    """Imports, listens, and forks for each request, for ever."""
    gc.disable()  # nothing that an import makes is garbage: looking for it takes a tenth of the time
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is there stays: no child looks through it again, and its pages stay shared
    gc.enable()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os._exit(answer(connection))
        connection.close()


def answer(connection: socket.socket) -> int:
    """One start of Python, in the child; ends with the exit code on the connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    content = b""
    while len(content) < int.from_bytes(size):
        content += connection.recv(1 << 20)
    argv, folder, environment, executable = json.loads(content)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    random.seed()
    sys.executable = executable
    paths = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:0] = [folder, *(str(Path(folder, part)) for part in paths)]
    sys.argv = ["-m", *argv[2:]]
    connection.sendall(os.getpid().to_bytes(4))
    code = run(argv[1])
    connection.sendall(bytes([code]))
    return code


def run(module: str) -> int:
    """`python -m module`, to its end: exit handlers and threads included."""
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return int(code or 0) & 255  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its names are not modules
    serve(sys.argv[1])
