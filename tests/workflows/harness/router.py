"""The router: takes the hub's events in order and runs the workflows that GitHub would run for them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

from harness import rules
from harness.gitserver import git
from harness.hub import Event, Hub, Json, Repo
from harness.runner import Machine, Run, run

CHAIN = 3  # GitHub follows workflow_run no further


class Router:
    """`settle()` runs until nothing is left to do; `runs` is what the Actions page would list."""

    _read: ClassVar[dict[str, dict[str, Json]]] = {}  # by commit: the same for ever

    def __init__(self, hub: Hub, machine: Machine, *, disabled: tuple[str, ...] = ()) -> None:
        self.hub, self.machine = hub, machine
        self.disabled = disabled  # workflows that the owner has switched off, by file
        self.runs: list[Run] = []
        self.held: list[Event] = []

    def settle(self) -> list[Run]:
        """Everything that has happened, and what it sets off; returns the runs of this call, in order."""
        first = len(self.runs)
        while self.hub.events:
            self.deliver(self.hub.events.pop(0))
        return self.runs[first:]

    def deliver(self, event: Event) -> list[Run]:
        if event.held:
            self.held.append(event)
            return []
        if self.hub.repos[event.repo].parent:
            return []  # a fork has Actions switched off until its owner wants them
        return [self.execute(file, event) for file in self.listeners(event)]

    def at_once(self, *events: Event) -> list[Run]:
        """Several events in parallel, as GitHub would where no concurrency group holds one back."""
        with ThreadPoolExecutor(len(events)) as pool:
            return [run for runs in pool.map(self.deliver, events) for run in runs]

    def dispatch(self, repo: Repo, file: str, login: str = "ada", ref: str = "main", **inputs: str) -> list[Run]:
        """The button "Run workflow"; raises ValueError where GitHub would refuse the inputs."""
        why = rules.refused_inputs(self._workflows(repo, f"refs/heads/{ref}")[file], inputs)
        if why:
            raise ValueError(why)
        payload = {"inputs": inputs, "ref": f"refs/heads/{ref}", "workflow": file, "repository": self.hub.about(repo)}
        sha = repo.sha(f"refs/heads/{ref}")
        self.hub.events.append(Event("workflow_dispatch", repo.name, f"refs/heads/{ref}", sha, payload, login))
        return self.settle()

    def schedule(self, repo: Repo, file: str) -> list[Run]:
        """The clock strikes for one workflow."""
        document = self._workflows(repo, repo.default)[file]
        payload = {"schedule": document["on"]["schedule"][0]["cron"], "repository": self.hub.about(repo)}
        self.hub.events.append(Event("schedule", repo.name, f"refs/heads/{repo.default}", repo.sha(repo.default),
                                     payload | {"workflow": file}, "github-actions[bot]"))  # fmt: skip
        return self.settle()

    def listeners(self, event: Event) -> list[str]:
        """The workflow files that take this event, read at the commit that GitHub reads them at."""
        repo = self.hub.repos[event.repo]
        changed = self._changed(repo, event)
        found = []
        for file, document in self._workflows(repo, event.sha).items():
            named = event.payload.get("workflow", file) in (file, document["name"])
            wanted = rules.wants(document, event.name, event.payload, event.ref, changed)
            if named and wanted and file not in self.disabled:
                found.append(file)
        return found

    def execute(self, file: str, event: Event) -> Run:
        repo, run_id = self.hub.repos[event.repo], 1000 + self.hub.number()
        record = self._record(repo, file, event, run_id)
        repo.runs[run_id] = record
        result = run(self.hub, repo, file, event, self.machine, run_id)
        self.runs.append(result)
        record |= {"status": "completed", "conclusion": result.conclusion, "name": result.workflow}
        for job, conclusion in result.jobs.items():
            repo.checks.append({"name": job, "head_sha": record["head_sha"], "conclusion": conclusion, "run": run_id})
        if event.depth < CHAIN:
            self._completed(repo, event, record)
        return result

    def _completed(self, repo: Repo, event: Event, record: Json) -> None:
        """`workflow_run` for the listeners on the default branch, with that branch's code."""
        by_token = event.name == "workflow_dispatch" and event.actor.endswith("[bot]")
        # The strict reading: what a job's token started sets off nothing further by itself.
        held = "started by GITHUB_TOKEN" if by_token else ""
        payload = {"action": "completed", "workflow_run": dict(record), "repository": self.hub.about(repo)}
        ref = f"refs/heads/{repo.default}"
        done = Event("workflow_run", repo.name, ref, repo.sha(repo.default), payload, event.actor, held)
        self.hub.events.append(replace(done, depth=event.depth + 1))

    def _record(self, repo: Repo, file: str, event: Event, run_id: int) -> Json:
        head, branch, source = event.sha, event.ref.removeprefix("refs/heads/"), repo
        pulls: list[Json] = []
        if event.name == "pull_request":
            pull = event.payload["pull_request"]
            head, branch = pull["head"]["sha"], pull["head"]["ref"]
            source = self.hub.repos[pull["head"]["repo"]["full_name"]]
            # GitHub leaves this empty for forks: the reason why the artifact has to carry the number.
            pulls = [{"number": pull["number"]}] if source is repo else []
        return {
            "id": run_id, "name": file, "path": f".github/workflows/{file}", "event": event.name,
            "head_sha": head, "head_branch": branch, "head_repository": self.hub.about(source), "pull_requests": pulls,
            "status": "in_progress", "conclusion": None, "html_url": f"{self.hub.url}/{repo.name}/actions/runs/{run_id}",
            "actor": {"login": event.actor},
        }  # fmt: skip

    def _workflows(self, repo: Repo, ref: str) -> dict[str, Json]:
        sha, folder = repo.sha(ref), ".github/workflows/"
        if sha not in self._read:
            names = [path for path in repo.files(sha) if path.startswith(folder)]
            self._read[sha] = {path.removeprefix(folder): rules.load(repo.file(sha, path)) for path in names}
        return self._read[sha]

    def _changed(self, repo: Repo, event: Event) -> list[str]:
        if event.name == "push" and set(event.payload["before"]) != {"0"}:
            between = f"{event.payload['before']}..{event.sha}"
        elif event.name == "pull_request":
            pull = event.payload["pull_request"]
            between = f"{pull['base']['sha']}...{pull['head']['sha']}"
        else:
            return [] if event.name not in ("push", "pull_request") else repo.files(event.sha)
        return git(repo.path, "diff", "--name-only", between).splitlines()
