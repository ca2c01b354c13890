"""Signals that end a verb: the first one is an exception that undoes what was begun; the undoing is not interrupted."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None] | signal.Handlers
ENDING = (signal.SIGTERM, signal.SIGHUP)  # a workflow run that is cancelled, a terminal that is closed


@contextmanager
def raised() -> Iterator[None]:
    """Raise `SystemExit` within at SIGTERM or SIGHUP. One that is ignored, as under nohup, stays ignored."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handled({number: end for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}):
        yield


@contextmanager
def held_off() -> Iterator[None]:
    """Ignore these signals and Ctrl-C within: a runner that cancels sends SIGTERM 7.5 seconds after SIGINT."""
    with _handled(dict.fromkeys((*ENDING, signal.SIGINT), signal.SIG_IGN)):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python takes signals in the main thread only
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
