"""Progress on stderr for what takes longer than two seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 2.0  # seconds


@contextmanager
def progress(label: str) -> Iterator[None]:
    """Says how long `label` has been going on, every two seconds until it is done."""
    done, start = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(EVERY):
            print(f"  {label} … {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
