"""GitHub's API: what is retried and after how long, and which error a refusal becomes."""

import email.message
import io
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from delivery.adapters import github
from delivery.core import retries
from delivery.core.errors import Failure, GitHubError

NOW = 1_000_000.0


class Reply(io.BytesIO):
    """An answer of GitHub."""

    def __init__(self, body: bytes, link: str = "") -> None:
        super().__init__(body)
        self.headers = {"Link": link}


REFUSED = b'{"message": "not now"}'
SECONDARY = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}'


def refusal(status: int, body: bytes = REFUSED, **headers: str) -> urllib.error.HTTPError:
    message = email.message.Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return urllib.error.HTTPError("https://x", status, "refused", message, io.BytesIO(body))


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time and have no random part."""
    pauses: list[float] = []
    monkeypatch.setattr(retries, "sleep", pauses.append)
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    monkeypatch.setattr(github.time, "time", lambda: NOW)
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    return pauses


@pytest.fixture
def answers(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Set the answers in their order; the requests are collected in the returned list."""

    def use(*given: Reply | Exception) -> list[str]:
        requests, remaining = [], iter(given)

        def answer(request: urllib.request.Request, timeout: float) -> Reply:
            requests.append(f"{request.get_method()} {request.full_url}")
            reply = next(remaining)
            if isinstance(reply, urllib.error.HTTPError):  # whoever gets one closes it, and a test may give one twice
                reply.seek(0)
                body = io.BytesIO(reply.read())
                raise urllib.error.HTTPError(reply.url, reply.code, reply.reason, reply.headers, body)
            if isinstance(reply, Exception):
                raise reply
            return reply

        monkeypatch.setattr(urllib.request, "urlopen", answer)
        return requests

    return use


def test_the_reply_is_returned_as_values(answers: Callable[..., list[str]], slept: list[float]) -> None:
    requests = answers(Reply(b'{"id": 7}'), Reply(b""))
    assert github.ask("GET", "/pulls/1") == {"id": 7}
    assert github.ask("DELETE", "/pulls/1") is None
    assert requests == [f"{method} https://api.github.com/repos/o/r/pulls/1" for method in ("GET", "DELETE")]
    assert slept == []


@pytest.mark.parametrize("error", [refusal(500), refusal(502), OSError("reset"), urllib.error.URLError("no route")])
def test_server_errors_and_silence_are_retried_with_growing_pauses(
    error: Exception, answers: Callable[..., list[str]], slept: list[float]
) -> None:
    answers(error, error, Reply(b"1"))
    assert github.ask("GET", "") == 1
    assert slept == [0.25, 0.5]


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (refusal(429, Retry_After="3"), 3),
        (refusal(403, Retry_After="60"), 60),
        (refusal(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(NOW + 20)), 20),
        (refusal(429, X_RateLimit_Reset=str(NOW - 20)), 0),
        (refusal(429), 0.25),
        (refusal(403, SECONDARY), 60),
        (refusal(429, SECONDARY, Retry_After="5"), 5),
        (refusal(503, Retry_After="3"), 0.25),
    ],
    ids=["429", "403", "reset", "reset is past", "nothing said", "secondary", "secondary, 5 s", "server error"],
)
def test_a_rate_limit_is_waited_out_as_github_asks(
    error: Exception, pause: float, answers: Callable[..., list[str]], slept: list[float]
) -> None:
    answers(error, Reply(b"1"))
    assert github.ask("GET", "") == 1
    assert slept == [pause]


@pytest.mark.parametrize(
    "error",
    [
        refusal(403),
        refusal(403, X_RateLimit_Remaining="5", X_RateLimit_Reset=str(NOW + 1)),
        refusal(404),
        refusal(422, Retry_After="1"),
        refusal(429, Retry_After="61"),
        refusal(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(NOW + 61)),
    ],
    ids=["rights", "rights, rate left", "missing", "invalid", "an hour", "reset in an hour"],
)
def test_what_no_retry_can_change_fails_at_once(
    error: urllib.error.HTTPError, answers: Callable[..., list[str]], slept: list[float]
) -> None:
    requests = answers(error)
    with pytest.raises(GitHubError, match=f"^GitHub refused POST /x: {error.code} not now$") as raised:
        github._ask("POST", "/x", {"a": 1})
    assert (raised.value.status, raised.value.reason) == (error.code, "not now")
    assert (len(requests), slept) == (1, [])


def test_it_gives_up_after_five_attempts(answers: Callable[..., list[str]], slept: list[float]) -> None:
    requests = answers(*[refusal(500)] * 5)
    with pytest.raises(GitHubError, match="500 not now"):
        github.ask("GET", "")
    assert (len(requests), slept) == (5, [0.25, 0.5, 1.0, 2.0])
    answers(*[OSError("reset")] * 5)
    with pytest.raises(Failure, match=r"^GitHub does not answer at https://api\.github\.com: reset$"):
        github.ask("GET", "")


def test_the_random_part_of_a_pause_is_at_most_as_long_as_the_fixed_one(
    answers: Callable[..., list[str]], slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    answers(refusal(500), refusal(500), Reply(b"1"))
    github.ask("GET", "")
    assert slept == [0.5, 1.0]


def test_a_list_is_read_to_its_last_page(answers: Callable[..., list[str]]) -> None:
    requests = answers(Reply(b"[1, 2]", '<https://x>; rel="next"'), Reply(b"[3]"))
    assert github.pages("/issues") == [1, 2, 3]
    assert [request.rpartition("/")[2] for request in requests] == [f"issues?per_page=100&page={n}" for n in (1, 2)]
