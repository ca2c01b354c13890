"""Verb `engine`: show where work runs, on this machine or on a Dask cluster, and check that workers have the same code.

Work is a function and a list of items to call it with. It reads and writes files in the project's folder, which all
machines of a cluster share, and is repeated if a worker is lost.
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
from typing import Any, TypeVar

from delivery.core import params, retries
from delivery.core.errors import Failure

HERE = ("memory", "stream")  # the engines that need no cluster
PACKAGES = ("delivery", "problem")
LIBRARIES = ("numpy", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "scipy")  # they decide a result's last bit
PATIENCE = 30  # seconds for a scheduler to answer and for its first worker to appear
TRIES = 3  # runs of joblib, which gives up if a worker is lost with its results
BACK = "or set engine: memory in params.yaml"

Item = TypeVar("Item")
Done = TypeVar("Done")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add no options: params.yaml sets the engine."""


def main(options: argparse.Namespace) -> None:  # noqa: ARG001
    """Print the engine, and the workers of a cluster once they are known to run this code."""
    engine = params.load().engine
    if not cluster(engine):
        print(f"engine: {engine}, this machine alone")
        return
    with connected(engine) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        for address, worker in sorted(workers.items()):
            print(f"{address}: {worker['nthreads']} thread(s), {worker['memory_limit'] / 1e9:.1f} GB")
        client.run(here, Path.cwd(), code())
        print(f"engine: {len(workers)} worker(s) at {engine}, with this code, in this folder")


def cluster(engine: str) -> bool:
    """Return whether the engine is a cluster."""
    return engine not in HERE


def cores() -> int:
    """Return the number of cores this process may use, or of the machine on systems without CPU affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Item], Done], items: Iterable[Item], engine: str) -> Iterator[Done]:
    """Yield the result of `work` for each item, in their order."""
    early: dict[int, Done] = {}
    following = 0
    for index, done in as_done(work, items, engine):
        early[index] = done
        while following in early:
            yield early.pop(following)
            following += 1


def as_done(work: Callable[[Item], Done], items: Iterable[Item], engine: str) -> Iterator[tuple[int, Done]]:
    """Yield each item's index and the result of `work` for it, as they finish: one by one here, in parallel on a cluster.

    Raise `Failure` if `work` does, or the cluster does not answer, has different code, or goes away.
    """
    if not cluster(engine):
        yield from enumerate(map(work, items))
        return
    with connected(engine) as client:
        import distributed

        as_completed: Any = distributed.as_completed  # without annotations
        remote = functools.partial(do, work, Path.cwd(), code())
        indices = {future: index for index, future in enumerate(client.map(remote, list(items), pure=False))}
        try:
            for future in as_completed(indices, loop=client.loop):
                if future.cancelled():
                    raise Failure(f"the scheduler at {engine} went away; start it and run this again, {BACK}")
                yield indices.pop(future), future.result()
        except distributed.KilledWorker as error:
            raise Failure(
                f"the same task has ended {error.allowed_failures + 1} workers, the last one {error.last_worker.address}: "
                "give each more memory, or look at its log"
            ) from None
        finally:
            client.cancel(list(indices))


def spread(work: Callable[[], Done], engine: str) -> Done:
    """Return the result of `work`, with the parts that scikit-learn runs through joblib (`n_jobs`) on the cluster.

    These are the trees of a forest. Each has its own seed, so that the model is the same wherever they grow. Every
    worker gets all rows. Joblib gives up if a worker is lost with its trees; then run `work` again, TRIES times at most.
    """
    if not cluster(engine):
        return work()
    with connected(engine) as client:
        import joblib
        from distributed.client import FutureCancelledError

        def attempt() -> Done:
            client.run(here, Path.cwd(), code())
            with joblib.parallel_config("dask", n_jobs=-1, client=client):
                return work()

        try:
            return retries.call(attempt, attempts=TRIES, worth=lambda error: isinstance(error, FutureCancelledError))
        except FutureCancelledError:
            raise Failure(
                f"{TRIES} times a worker ended with results that were not fetched yet: give each more memory, or look "
                "at its log"
            ) from None


@contextmanager
def connected(engine: str) -> Iterator[Any]:
    """Connect to the cluster at an address, or start one on this machine for the duration if `engine` is "dask".

    The client is `Any`, because distributed annotates few of its functions.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise Failure(f"engine is {engine} and the set `scale` is not installed: run `make scale`, {BACK}") from None
    library: Any = distributed
    with ExitStack() as stack:
        address: Any = engine
        if engine == "dask":
            local = library.LocalCluster("127.0.0.1", n_workers=cores(), threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(local)
        try:
            client = stack.enter_context(library.Client(address, timeout=PATIENCE, set_as_default=False))
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
    """Return the result of `work`, called on a worker in the project's folder with one thread. Check its code first."""
    from threadpoolctl import threadpool_limits

    here(folder, expected)
    with threadpool_limits(1):  # a model fitted with two threads differs in its last bits
        return work(item)


def here(folder: Path, expected: str) -> None:
    """Change to the folder. Raise `Failure` if it does not exist, or the code differs from `expected`."""
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
    """Return the digest of all that decides a result: our code, the problem's, Python and the libraries."""
    lines = [platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)]
    lines += [f"{path.parent.name}/{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sources() -> list[Path]:
    """Return the source files of our packages, at the path they are imported from."""
    root = Path(__file__).parents[2]
    return sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
