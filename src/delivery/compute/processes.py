"""Do the same work for many parts, in several processes of this machine or on a cluster."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from delivery.compute import engine
from delivery.core.errors import Failure

PROCESSES = 4  # at most, because each holds a part of the data in memory
Part = TypeVar("Part")
Done = TypeVar("Done")


def each(work: Callable[[Part], Done], parts: Iterable[Part], engine_name: str = "stream") -> Iterator[Done]:
    """Yield the result of `work` for each part, in their order.

    Run on a cluster if the engine is one, otherwise in as many processes as there are cores, up to PROCESSES. Start
    no more parts than there are processes, so that finished results do not pile up. Raise `Failure` if `work` does, or
    a process is killed from outside.
    """
    if engine.cluster(engine_name):
        yield from engine.in_order(work, parts, engine_name)
        return
    parts = list(parts)
    number = min(engine.cores(), PROCESSES, len(parts))
    if number <= 1:
        yield from map(work, parts)
        return
    context = multiprocessing.get_context("spawn")  # a fork may inherit a lock that one of Arrow's threads holds
    try:
        with ProcessPoolExecutor(number, context, _end_with_parent) as pool:
            ahead: deque[Future[Done]] = deque()
            for part in parts:
                ahead.append(pool.submit(work, part))
                if len(ahead) > number:
                    yield ahead.popleft().result()
            yield from (done.result() for done in ahead)
    except BrokenProcessPool:
        raise Failure(
            f"one of {number} processes was killed, most likely for lack of memory; use a machine with more memory, or "
            "fewer cores: taskset -c 0 ..."
        ) from None


def _end_with_parent() -> None:
    """End this process when its parent ends: a worker that waits for work does not notice that the parent was killed."""

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
