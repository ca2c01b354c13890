"""Retry what may succeed a moment later, with tenacity: the one place that does."""

from collections.abc import Callable
from time import sleep
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

Answer = TypeVar("Answer")


def call(
    work: Callable[[], Answer],
    *,
    attempts: int,
    worth: Callable[[BaseException], bool],
    base: float = 0.0,
    jitter: float = 0.0,
    asked: Callable[[BaseException], float | None] | None = None,
) -> Answer:
    """Return the result of `work`, called up to `attempts` times while it raises an error that is `worth` a retry.

    Wait `base` seconds and a random time of up to `jitter` seconds before the first retry, twice as long before each
    further one: two callers that collided should not collide again. Where `asked` returns a number, wait that many
    seconds instead, because the other side knows better. Raise the error that is not worth a retry, or the last one.
    """
    # Imported here: verbs that ask nobody do not wait for it, and the service's image does not hold it.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random_exponential

    backoff = wait_exponential(base) + wait_random_exponential(jitter)

    def wait(state: "RetryCallState") -> float:
        error = state.outcome.exception() if state.outcome else None
        requested = asked(error) if asked and error else None
        return backoff(state) if requested is None else requested

    retrying = Retrying(
        retry=retry_if_exception(worth), stop=stop_after_attempt(attempts), wait=wait, sleep=sleep, reraise=True
    )
    return retrying(work)
