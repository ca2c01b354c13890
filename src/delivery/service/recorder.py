"""Record predictions after they were answered: update metrics and log, in bulk, on a separate thread."""

import logging
import threading

from delivery.service.log import Event, Log
from delivery.service.metrics import Metrics

EVERY = (
    0.05  # seconds; the most a kill -9 loses. Five times longer doubles p99, because each batch then stalls the loop
)
WAITING_BYTES = 64 << 20  # of request bodies that wait for the disk; more are dropped and counted
logger = logging.getLogger(__name__)


class Recorder:
    """A queue of answered requests. `add` costs a request one append; the thread does the rest."""

    def __init__(self, metrics: Metrics, log: Log | None):
        self.metrics, self.log = metrics, log
        self.waiting: list[Event] = []
        self.waiting_bytes = 0
        self.lock = threading.Lock()  # held by the thread or a scrape, never by a request
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self.stopping.clear()
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop the thread and write all answered requests to disk."""
        self.stopping.set()
        if self.thread:
            self.thread.join()
        self.flush()
        if self.log:
            self.log.close()

    def add(self, event: Event) -> None:
        """Queue an answered request; only count it if the disk is too slow."""
        self.waiting_bytes += len(event.body)
        if self.waiting_bytes > WAITING_BYTES:
            self.metrics.answered += 1
            if event.client:
                self.metrics.clients[event.client, 200] += 1
            if self.log:
                self.log.drop(1, "the disk is too slow")
            return
        self.waiting.append(event)

    def flush(self) -> None:
        """Count and log all queued requests."""
        with self.lock:
            events, self.waiting = self.waiting, []
            self.waiting_bytes = 0
            try:
                self.metrics.add(events)
            finally:  # a line is logged even if it cannot be counted
                if self.log:
                    self.log.write(events)

    def _run(self) -> None:
        while not self.stopping.wait(EVERY):
            try:
                self.flush()
            except Exception:  # one failing batch must not end the thread
                logger.exception("recorder")
