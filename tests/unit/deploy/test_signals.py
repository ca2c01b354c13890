"""A signal that ends a verb is an exception, and what undoes the verb's work is not interrupted."""

import os
import signal
import threading

import pytest

from delivery.deploy import signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_an_exception_within_the_block(number: signal.Signals, code: int) -> None:
    original = signal.signal(number, signal.SIG_DFL)  # these tests may run under nohup
    try:
        with pytest.raises(SystemExit) as end, signals.raised():
            os.kill(os.getpid(), number)
        assert end.value.code == code
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, original)


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.raised():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_undoing_is_not_interrupted() -> None:
    with signals.raised(), signals.held_off():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)


def test_in_another_thread_nothing_changes() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with signals.raised(), signals.held_off():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
