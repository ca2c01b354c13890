"""Targets that a model is put on. `process`: the service on this machine, for as long as it is needed."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from delivery.errors import Failure

STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1  # of prctl(2)


def with_parent() -> Callable[[], object] | None:
    """What a child does first so that it ends with the thread that started it, even if that is killed.

    Left alone it would go on holding DVC's locks, or a port. Linux only.
    """
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def process(model: Path, version: str = "") -> Iterator[str]:
    """The address of a service that answers with `model`; it is stopped at the end, whatever happens.

    Raises Failure with the service's last line when it does not start.
    """
    command = [sys.executable, "-m", "delivery", "serve", "--model", str(model), "--port", "0", "--version", version]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=with_parent(),  # noqa: PLW1509  one call into the kernel
    ) as service:
        try:
            assert service.stdout is not None
            assert service.stderr is not None
            first = service.stdout.readline()  # the service prints its address once it listens
            if " on http://" not in first:
                last = (service.stderr.read().strip() or "it said nothing").splitlines()[-1]
                raise Failure(f"the service did not start: {last}")
            yield next(word for word in first.split() if word.startswith("http://"))
        finally:
            service.terminate()
            try:
                service.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()
