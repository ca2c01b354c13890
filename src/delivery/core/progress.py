"""Show progress on stderr for work that takes longer than two seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 2.0  # seconds


@contextmanager
def progress(label: str) -> Iterator[None]:
    """Print the label and the elapsed time every two seconds until the block ends."""
    ended, start = threading.Event(), time.monotonic()

    def report() -> None:
        while not ended.wait(EVERY):
            print(f"  {label} … {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
