"""Verb `engine`: where work is done, on this machine or on a Dask cluster, and whether that answers with our code.

Work is a plain function and a list of what it is to be done for. It reads and writes files of the project's folder,
which all machines of a cluster share, and is done again where a worker is lost.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from delivery.core import params
from delivery.core.errors import Failure

if TYPE_CHECKING:
    from distributed import Client

HERE = ("memory", "stream")  # the engines that need no cluster
PACKAGES = ("delivery", "problem")
LIBRARIES = ("numpy", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "scipy")  # that decide a result's last bit
PATIENCE = 30  # seconds for a scheduler to answer and for its first worker
TRIES = 3  # of joblib, which gives up where results are lost with a worker
BACK = "or set engine: memory in params.yaml"

Item = TypeVar("Item")
Done = TypeVar("Done")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose: params.yaml says the engine."""


def main(options: argparse.Namespace) -> None:  # noqa: ARG001
    engine = params.load().engine
    if not cluster(engine):
        print(f"engine: {engine}, this machine alone")
        return
    with connected(engine) as client:
        there = client.scheduler_info(n_workers=-1)["workers"]
        for address, worker in sorted(there.items()):
            print(f"{address}: {worker['nthreads']} thread(s), {worker['memory_limit'] / 1e9:.1f} GB")
        client.run(here, Path.cwd(), code())
        print(f"engine: {len(there)} worker(s) at {engine}, with this code, in this folder")


def cluster(engine: str) -> bool:
    return engine not in HERE


def cores() -> int:
    """That this process may use; where the system does not say, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Item], Done], items: Iterable[Item], engine: str) -> Iterator[Done]:
    """What `work` gives for each item, in their order."""
    early: dict[int, Done] = {}
    following = 0
    for place, done in as_done(work, items, engine):
        early[place] = done
        while following in early:
            yield early.pop(following)
            following += 1


def as_done(work: Callable[[Item], Done], items: Iterable[Item], engine: str) -> Iterator[tuple[int, Done]]:
    """The place of each item and what `work` gives for it, as they end: here one by one, on a cluster all at once.

    Raises Failure where `work` does, or when the cluster does not answer, has other code, or goes away.
    """
    if not cluster(engine):
        yield from enumerate(map(work, items))
        return
    with connected(engine) as client:
        from distributed import KilledWorker, as_completed

        there = functools.partial(do, work, Path.cwd(), code())
        places = {future: place for place, future in enumerate(client.map(there, list(items), pure=False))}
        try:
            for future in as_completed(places, loop=client.loop):
                if future.cancelled():
                    raise Failure(f"the scheduler at {engine} went away; start it and run this again, {BACK}")
                yield places.pop(future), future.result()
        except KilledWorker as error:
            raise Failure(
                f"the same task has ended {error.allowed_failures + 1} workers, the last one {error.last_worker.address}: "
                "give each more memory, or look at its log"
            ) from None
        finally:
            client.cancel(list(places))


def spread(work: Callable[[], Done], engine: str) -> Done:
    """What scikit-learn does at once by joblib (`n_jobs`) within `work` is done on the cluster: the trees of a forest.

    Each is grown from a seed of its own, so that the model is the same wherever it was. Every worker gets all rows.
    Joblib gives up where trees are lost with the worker that grew them: `work` is then done again.
    """
    if not cluster(engine):
        return work()
    with connected(engine) as client:
        import joblib
        from distributed.client import FutureCancelledError

        for _ in range(TRIES):
            client.run(here, Path.cwd(), code())
            try:
                with joblib.parallel_config("dask", n_jobs=-1, client=client):
                    return work()
            except FutureCancelledError:
                continue
    raise Failure(
        f"{TRIES} times a worker ended with results that were not fetched yet: give each more memory, or look at its log"
    )


@contextmanager
def connected(engine: str) -> Iterator["Client"]:
    """The cluster at an address, or with `dask` one of this machine's cores for as long as it is needed."""
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise Failure(f"engine is {engine} and the set `scale` is not installed: run `make scale`, {BACK}") from None
    with ExitStack() as stack:
        address: Any = engine
        if engine == "dask":
            local = LocalCluster("127.0.0.1", n_workers=cores(), threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(local)
        try:
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise Failure(
                f"no Dask scheduler answers at {engine} ({error}): start one with `dask scheduler`, {BACK}"
            ) from None
        try:
            client.wait_for_workers(1, PATIENCE)
        except TimeoutError:
            raise Failure(
                f"the scheduler at {engine} has no workers: start some with `dask worker {engine} --nthreads 1`, {BACK}"
            ) from None
        yield client


def do(work: Callable[[Item], Done], folder: Path, expected: str, item: Item) -> Done:
    """On a worker: what `work` gives, in the project's folder, with one thread, and by the same code."""
    from threadpoolctl import threadpool_limits

    here(folder, expected)
    with threadpool_limits(1):  # a model fitted with two threads is another file
        return work(item)


def here(folder: Path, expected: str) -> None:
    """Makes the folder the current one. Raises Failure where it is not there, or the code is not the one expected."""
    import psutil

    who = f"the worker {os.getpid()} on {platform.node()}"
    try:
        os.chdir(folder)
    except OSError as error:
        raise Failure(f"{who} has no {folder} ({error.strerror}): all machines of a cluster share the folder") from None
    newest = max(path.stat().st_mtime for path in sources())
    if newest > psutil.Process().create_time():
        raise Failure(f"{who} was started before the code was changed; restart the workers")
    if code() != expected:
        raise Failure(f"{who} has other code or libraries; install there what is installed here, from this folder")


@functools.cache
def code() -> str:
    """The digest of what decides a result: our code, the problem's, Python and the libraries."""
    about = [platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)]
    about += [f"{path.parent.name}/{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources()]
    return hashlib.sha256("\n".join(about).encode()).hexdigest()


def sources() -> list[Path]:
    """The files of our packages, from where they are imported."""
    root = Path(__file__).parents[2]
    return sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
