"""Run a release as a service on this machine, for as long as it is needed, and ask it as its clients do."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from delivery.compatibility.asking import Ask, Reply, answered
from delivery.core import programs, waiting
from delivery.core.errors import Failure
from delivery.probe.client import Client
from delivery.registry import bundle

READY = 60  # seconds that a service may take to start
STOP_SECONDS = 15
OUTPUT, ERRORS = "output", "errors"  # files of what a service prints
ADDRESS = re.compile(r" on (http://\S+)\s")


def asked() -> dict[str, str]:
    """Return the variables with which a service asks the same tokens as the deployment that is rehearsed."""
    return {name: os.environ[name] for name in ("SERVE_TOKENS", "SERVE_TOKENS_FILE") if name in os.environ}


@contextmanager
def process(model: Path, version: str = "", code: Path | None = None, *, guarded: bool = True) -> Iterator[str]:
    """Yield the address of a service that answers with `model`; it is stopped at the end, whatever happens.

    It runs the bundle `code`, or what is checked out; a bundle that is not `guarded` asks no token. Raise `Failure` with
    the service's last line if it does not start.
    """
    words = ["--model", str(model), "--port", "0", "--version", version]
    command = (
        bundle.command(code, model.resolve(), 0, version)
        if code
        else [sys.executable, "-m", "delivery", "serve", *words]
    )
    tokens = asked() if guarded else {}
    # Files, because a pipe that nobody reads would stop a service that has much to say.
    with (
        tempfile.TemporaryDirectory() as scratch,
        Path(scratch, OUTPUT).open("wb") as output,
        Path(scratch, ERRORS).open("wb") as errors,
        subprocess.Popen(
            command,
            cwd=code,
            env={**bundle.environment(code), **tokens} if code else None,
            stdout=output,
            stderr=errors,
            preexec_fn=programs.with_parent(),  # noqa: PLW1509  one call into the kernel
        ) as service,
    ):
        try:
            yield address(service, Path(scratch))
        finally:
            service.terminate()
            try:
                service.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


def address(service: subprocess.Popen[bytes], written: Path) -> str:
    """Return the address that a service prints once it listens. Raise `Failure` with its last line if it does not."""

    def printed() -> re.Match[str] | None:
        return ADDRESS.search((written / OUTPUT).read_text(errors="replace"))

    waiting.until(lambda: printed() or service.poll() is not None, READY)
    if found := printed():
        return found[1]
    if service.poll() is None:
        raise Failure(f"the service did not start: it did not listen within {READY:g} s")
    lines = (written / ERRORS).read_text(errors="replace").strip().splitlines()
    raise Failure(f"the service did not start: {lines[-1] if lines else 'it printed nothing'}")


def by_service(url: str) -> Ask:
    """Return a way to ask a version that runs. It raises `Failure` if the version does not answer."""
    client = Client(url, os.environ.get("SERVE_TOKEN"))

    def ask(rows: Sequence[dict[str, object]]) -> Reply:
        answer = client.predict(list(rows))
        return answered(answer.status, answer.json())  # what it quotes of a request must not come into a public issue

    return ask
