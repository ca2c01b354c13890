"""Ask an older version as its clients do: its own code runs on this machine for as long as it is asked."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from delivery.compatibility.asking import Ask, Reply, Row
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.registry import release, running

LONGEST = 200  # characters of a reason
SILENT = Reply(refusal="it gave no answer")


@contextmanager
def started(number: str) -> Iterator[tuple[Ask | None, str]]:
    """Yield a way to ask a version whose files were downloaded, or None and the reason why its code does not run here."""
    folder = workspace.CACHE / "versions" / number
    if not (folder / release.BUNDLE).is_dir():
        yield None, "it was registered without its code"
        return
    with ExitStack() as stack:
        service = running.process(folder / release.EXPORTED, number, folder / release.BUNDLE, guarded=False)
        try:
            url = stack.enter_context(service)
        except (Failure, OSError) as failure:
            yield None, str(failure)[:LONGEST]
            return
        yield patient(running.by_service(url)), ""


def patient(ask: Ask) -> Ask:
    """Return `ask` so that no answer is a refusal; a service that gave none once is not waited for again."""
    silent = False

    def asked(rows: Sequence[Row]) -> Reply:
        nonlocal silent
        try:
            return SILENT if silent else ask(rows)
        except Failure:
            silent = True
            return SILENT

    return asked
