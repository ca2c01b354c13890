"""The steps of a job that something outside can see, and the faults that fall on them.

A step is a git command, a request to the API, or something done to a service. Each moves the clock.
"""

import contextvars
import datetime
import errno
import io
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from harness import api, routes  # noqa: F401  the routes register themselves
from harness.gitserver import refs
from harness.hub import Hub, Json, Repo

from delivery.core import programs
from simulation import answers, rulesets
from simulation.hosts import Hosts

START = datetime.datetime(2026, 1, 5, 8, 0, tzinfo=datetime.UTC)
REMOTE = ("push", "fetch", "clone", "ls-remote")
# What git writes to the disk of a runner, and what a deployment writes to the host's.
WRITES = {"add", "checkout", "clone", "commit", "commit-tree", "fetch", "hash-object", "init", "reset", "write-tree"}
HOST_WRITES = ("owe", "state.json", "start", "proxy")
FULL = "No space left on device"
# How wrong the clock of a job's machine is from a step on.
RIGHT = datetime.timedelta()
SKEWS = {"ahead": datetime.timedelta(hours=7), "behind": datetime.timedelta(minutes=-50)}
LIMIT = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
# Git starts no second process to clean up, and does not wait for disks.
CONFIG = "[gc]\nauto = 0\n[maintenance]\nauto = false\n[core]\nfsync = none\n[advice]\ndetachedHead = false\n"
run_program = programs.run


class Killed(BaseException):
    """The end of a job whose runner is gone."""


class Steps:
    """What all jobs share: the clock, the services, the planted fault, and who is at work."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        (folder / "config" / "git").mkdir(parents=True)
        (folder / "config" / "git" / "config").write_text(CONFIG)
        self.now = START
        self.hosts = Hosts(self.seconds)
        self.images: set[str] = set()
        self.attested: set[str] = set()
        self.secret = ""  # of the job at work; empty: a person is
        self.dead = self.interrupted = self.full = False
        self.skew = RIGHT  # of the clock of the machine at work
        self.moment = START.isoformat()  # that this clock has shown at the last step
        self.count = 0
        self.fault: tuple[str, int] | None = None
        self.lost = ""  # the last commit of the branch `store`, while that is deleted
        self.fired: list[str] = []
        self.cancelled: Callable[[], bool] = lambda: False  # whether the run at work is
        self.between: Callable[[], None] = lambda: None  # what comes in between

    def edge(self, what: str) -> None:
        self.now += datetime.timedelta(seconds=1)
        self.moment = self.own_now().isoformat()
        if not self.secret:
            return
        if self.dead:
            raise Killed(f"the runner was lost before {what}")
        self.count += 1
        if self.fault and self.count >= self.fault[1]:
            kind, self.fault = self.fault[0], None
            self.fired.append(f"{kind} at {what}")
            self._strike(kind, what)
        if self.full and what in HOST_WRITES:
            raise OSError(errno.ENOSPC, FULL)

    def dates(self) -> dict[str, str]:
        """The variables by which git knows what time it is."""
        return {"GIT_AUTHOR_DATE": self.moment, "GIT_COMMITTER_DATE": self.moment}

    def _strike(self, kind: str, what: str) -> None:
        if kind == "killed":
            self.dead = True
            raise Killed(f"the runner was lost at {what}")
        if kind == "cancelled":
            self.interrupted = True
            raise KeyboardInterrupt
        if kind == "overtaken":
            with self.aside():
                contextvars.Context().run(self.between)
            if self.cancelled():
                self.interrupted = True
                raise KeyboardInterrupt
        if kind == "api":
            self.hub.fail("POST", "", 502, times=6)
        if kind == "hiccup":
            self.hub.fail("POST", "", 502, times=2)
        if kind == "api down":
            self.hub.fail("", "", 503, times=6)
        if kind == "api limit":
            self.hub.fail("", "", 403, times=6)
        if kind == "limited":
            self.hub.fail("", "", 403, times=2, retry_after="20")
        if kind == "full":
            self.full = True
        if kind in SKEWS:
            self.skew = SKEWS[kind]

    @contextmanager
    def of_job(self, secret: str) -> Iterator[None]:
        before = (self.secret, self.dead, self.interrupted, self.full, self.skew)
        self.secret, self.dead, self.interrupted, self.full, self.skew = secret, False, False, False, RIGHT
        try:
            yield
        finally:
            self.secret, self.dead, self.interrupted, self.full, self.skew = before

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Somebody else is at work, in another place."""
        before, at = dict(os.environ), Path.cwd()
        with self.of_job(""):
            try:
                yield
            finally:
                os.chdir(at)
                os.environ.clear()
                os.environ.update(before)

    def refuse(self, repo: Repo, scope: str, level: str) -> None:
        if not self.hub.tokens[self.secret].may(repo.name, scope, level):
            raise RuntimeError(f"error: Resource not accessible by integration: {scope}: {level}")

    # In place of programs, the network and the clock

    def program(self, command, **options) -> programs.Completed:
        """In place of `programs.run`."""
        words = [str(word) for word in command]
        self.edge(" ".join(words[:3]))
        if words[0] == "gh":
            known = words[3].removeprefix("oci://") in self.attested
            return subprocess.CompletedProcess(words, int(not known), "", "" if known else "no attestation found")
        full = self.full and words[0] == "git" and WRITES & set(words)
        if full or words[0] == "grype":  # the simulation knows no vulnerabilities
            answer = (128, "", f"fatal: write error: {FULL}") if full else (0, '{"matches": []}', "")
            return subprocess.CompletedProcess(words, *answer)
        asked = next((word for word in words[1:] if word in REMOTE), "") if words[0] == "git" else ""
        return self._asked(asked, words, lambda: self._run(command, options))

    def _asked(self, asked: str, words: list[str], run: Callable[[], programs.Completed]) -> programs.Completed:
        """Run a program that may ask the remote, with the rights of the job's token, and as far as the rulesets allow."""
        if not asked or not self.secret:
            return run()
        token = self.hub.tokens.get(os.environ.get("GITHUB_TOKEN", ""))
        repo = next(iter(self.hub.repos.values()))
        level = "write" if asked == "push" else "read"
        if not (token and token.may(repo.name, "contents", level)) and (level == "write" or repo.private):
            return subprocess.CompletedProcess(words, 128, "", f"fatal: Permission to {repo.name}.git denied")
        before = refs(repo.path) if asked == "push" else {}
        done = run()
        if asked == "push":
            assert token
            if ref := rulesets.refused(repo, before, after := refs(repo.path)):
                rulesets.restore(repo, before, after)
                return subprocess.CompletedProcess(words, 1, "", f"remote: {rulesets.REFUSED.format(ref)}")
            self.hub.pushed(repo, before, token)
        return done

    def _run(self, command, options: dict) -> programs.Completed:
        """Run a program, or do what git would."""
        if command[0] == "git":
            folder = Path(options.get("cwd") or os.getcwd())
            options["env"] = {**(options.get("env") or {}), **self.dates()}
            variables = ChainMap(options["env"], os.environ)
            found = answers.answer([str(word) for word in command[1:]], folder, variables, options.get("text", ""))
            if found is not None:
                return subprocess.CompletedProcess(command, found[0], found[1], "")
        # With a time limit Python looks every few ms whether the program has ended, and each look would move the clock.
        return run_program(command, **(options | {"seconds": None}))

    def urlopen(self, request: urllib.request.Request, timeout: float = 0) -> "Reply":
        """In place of `urllib.request.urlopen`: the hub's API, with the rights of the token."""
        address = urlsplit(request.full_url)
        path, method = address.path.removeprefix("/api/v3"), request.get_method()
        self.edge(f"{method} {re.sub(r'[0-9]+', 'N', path)}")
        body: Json = json.loads(request.data or b"null") or {}  # type: ignore[arg-type]
        fault = next(
            (f for f in self.hub.faults if f.times and f.method in (method, "") and re.search(f.path, path)), None
        )
        headers: Json = {}
        if fault:
            fault.times -= 1
            status, headers = fault.status, dict(fault.headers)
            reply = {"message": LIMIT if status == 403 else "Bad gateway"}
        else:
            token = self.hub.tokens.get(request.get_header("Authorization", "").removeprefix("Bearer "))
            query = dict(parse_qsl(address.query))
            status, reply, headers = api.answer(self.hub, method, path, query, body, token)
        content = b"" if status == 204 else json.dumps(reply).encode()
        told = Message()
        for name, value in headers.items():
            told[name] = value
        if status >= 400:
            raise urllib.error.HTTPError(request.full_url, status, "", told, io.BytesIO(content))
        return Reply(content, told)

    def sleep(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    def seconds(self) -> float:
        return self.now.timestamp()

    def own_now(self) -> datetime.datetime:
        """What the clock of the machine at work says."""
        return self.now + self.skew

    def clock(self) -> type[datetime.datetime]:
        """A `datetime` whose now is that of the machine at work."""
        steps = self

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return steps.own_now().astimezone(tz)

        return Clock


class Reply(io.BytesIO):
    def __init__(self, content: bytes, headers: Message) -> None:
        super().__init__(content)
        self.headers = headers
