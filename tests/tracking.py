"""A real `mlflow server` on loopback, for as long as a test needs it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from delivery.deploy.targets.loopback import free_port


@contextmanager
def server(database: str, *words: str, **environment: str) -> Iterator[str]:
    """`mlflow server` over the database; its address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, *words]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | environment
    # A session of its own: MLflow starts uvicorn as a child, which outlives it and holds the pipe unless both are ended.
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    deadline = threading.Timer(120, os.killpg, (process.pid, signal.SIGKILL))
    deadline.start()
    said = []
    reader = None
    try:
        for line in process.stderr:
            said.append(line)
            if "Application startup complete" in line:
                break
        else:
            pytest.fail("".join(said))
        deadline.cancel()  # it is for the start: a scenario may take longer on a busy machine
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # a full pipe would stop the server
        reader.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        deadline.cancel()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        if reader:
            reader.join()
        process.stderr.close()
