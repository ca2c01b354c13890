"""What happens to a prediction after it was answered: metrics and log, in bulk, on a thread of its own."""

import logging
import threading

from delivery.service.log import Event, Log
from delivery.service.metrics import Metrics

EVERY = 0.05  # seconds: a kill -9 loses no more; five times longer doubles p99, as each batch then stalls the loop
WAITING_BYTES = 64 << 20  # of request bodies that wait for the disk; beyond it they are dropped and counted
logger = logging.getLogger(__name__)


class Recorder:
    """`add` costs the request an append; all else is the thread's."""

    def __init__(self, metrics: Metrics, log: Log | None):
        self.metrics, self.log = metrics, log
        self.waiting: list[Event] = []
        self.waiting_bytes = 0
        self.lock = threading.Lock()  # between the thread and a scrape, never taken by a request
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        self.stopping.clear()
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Everything that was answered is on disk when this returns."""
        self.stopping.set()
        if self.thread:
            self.thread.join()
        self.flush()
        if self.log:
            self.log.close()

    def add(self, event: Event) -> None:
        self.waiting_bytes += len(event.body)
        if self.waiting_bytes > WAITING_BYTES:
            self.metrics.answered += 1
            if self.log:
                self.log.drop(1, "the disk is too slow")
            return
        self.waiting.append(event)

    def flush(self) -> None:
        with self.lock:
            events, self.waiting = self.waiting, []
            self.waiting_bytes = 0
            self.metrics.add(events)
            if self.log:
                self.log.write(events)

    def _run(self) -> None:
        while not self.stopping.wait(EVERY):
            try:
                self.flush()
            except Exception:  # the thread outlives whatever one batch did to it
                logger.exception("recorder")
