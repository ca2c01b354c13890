"""The same work for many parts, in several processes of this machine, or on the cluster that the engine is."""

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

PROCESSES = 4  # at most: each holds a part of the data
Part = TypeVar("Part")
Done = TypeVar("Done")


def each(work: Callable[[Part], Done], parts: Iterable[Part], where: str = "stream") -> Iterator[Done]:
    """What `work` gives for each part, in their order: on a cluster if the engine is one, else in as many processes
    as there are cores, up to PROCESSES.

    No more is started than there are processes, so that finished work does not pile up. Raises Failure where `work`
    does, or when one of the processes is ended from outside.
    """
    if engine.cluster(where):
        yield from engine.in_order(work, parts, where)
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
            f"one of {number} processes was ended from outside, most likely for want of memory; run this where there is "
            "more, or on fewer cores: taskset -c 0 ..."
        ) from None


def _end_with_parent() -> None:
    """A process that waits for work does not notice that who gives it was killed."""

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
