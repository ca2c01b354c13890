"""A real `mlflow server` on loopback, for as long as a test needs it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from delivery.deploy.targets.slots import free_port


@contextmanager
def server(database: str, *words: str, **environment: str) -> Iterator[str]:
    """`mlflow server` over the database; its address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, *words]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | environment
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = threading.Timer(120, process.kill)
    deadline.start()
    said = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "Application startup complete" in line:
                break
        else:
            pytest.fail("".join(said))
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the server
        yield f"http://127.0.0.1:{port}"
    finally:
        deadline.cancel()
        process.terminate()
        process.wait()
