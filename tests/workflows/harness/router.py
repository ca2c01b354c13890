"""The router: takes the hub's events in order and runs the workflows that GitHub would run for them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

from harness import callers, expressions, queues, rules
from harness.gitserver import git
from harness.hub import Event, Hub, Json, Repo
from harness.plans import NO_OWN_PATHS
from harness.queues import Entry, Queues
from harness.runner import Machine, Run, run

CHAIN = 3  # GitHub follows workflow_run no further


class Router:
    """`settle()` runs until nothing is left to do; `runs` is what the Actions page would list.

    What has happened by then has happened at the same time: runs start together and share their concurrency groups, and
    those that nothing holds back are carried out one after the other.
    """

    _read: ClassVar[dict[str, dict[str, Json]]] = {}  # by commit: the same for ever

    def __init__(self, hub: Hub, machine: Machine, *, disabled: tuple[str, ...] = ()) -> None:
        self.hub, self.machine = hub, machine
        self.disabled = disabled  # workflows that the owner has switched off, by file
        self.quiet: tuple[str, ...] = ("alert.yml",)  # a run after every scheduled one, for the scenarios of its own
        self.runs: list[Run] = []
        self.held: list[Event] = []
        self.queues: dict[str, Queues] = {}  # by repository
        # Outputs of jobs that the name of a group uses: it is read before the job has made them.
        self.needs: Callable[[Event], Json] = lambda _: {}
        hub.cancel = self.cancel

    def settle(self) -> list[Run]:
        """Everything that has happened, and what it sets off; returns the runs of this call, in order."""
        first = len(self.runs)
        while self.hub.events or any(each.ready for each in self.queues.values()):
            while self.hub.events:
                self.start(self.hub.events.pop(0))
            for each in self.queues.values():
                if each.ready:
                    self.execute(entry := each.ready.pop(0))
                    each.end(entry)
                    break
        return self.runs[first:]

    def approve(self, repo: Repo, environment: str) -> list[Run]:
        """The reviewers of an environment let the runs go on that wait for them."""
        self.queues[repo.name].approve(environment)
        return self.settle()

    def started(self, event: Event) -> list[Entry]:
        """The runs of an event, each with the groups that it has to enter."""
        if event.held:
            self.held.append(event)
            return []
        if self.hub.repos[event.repo].parent:
            return []  # a fork has Actions switched off until its owner wants them
        return [self._entry(file, event) for file in self.listeners(event)]

    def start(self, event: Event) -> None:
        each = self.queues.setdefault(event.repo, Queues(self.cancelled))
        for entry in self.started(event):
            each.start(entry)
            if entry.record["status"] == "pending" and entry.ahead:
                self.execute_free(entry)

    def at_once(self, *events: Event) -> list[Run]:
        """Several events in parallel, as if no concurrency group held one back."""
        entries = [entry for event in events for entry in self.started(event)]
        with ThreadPoolExecutor(len(entries)) as pool:
            return list(pool.map(self.execute, entries))

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
            if named and wanted and file not in (*self.disabled, *self.quiet, *repo.off):
                found.append(file)
        return found

    def execute(self, entry: Entry) -> Run:
        repo, run_id = self.hub.repos[entry.event.repo], entry.record["id"]
        entry.record["status"] = "in_progress"
        document = self._workflows(repo, entry.event.sha)[entry.file]
        if not repo.plan.own_paths and "'$/" in str(document):
            refused = {entry.file: "failure"}
            return self._ended(entry, Run(run_id, document["name"], entry.event.name, refused, "", NO_OWN_PATHS))
        done = run(self.hub, repo, entry.file, entry.event, self.machine, run_id, entry.environments)
        return self._ended(entry, done)

    def execute_free(self, entry: Entry) -> None:
        """Jobs that start at once though their run waits. One simplification: they start again with the rest of it."""
        repo, run_id = self.hub.repos[entry.event.repo], entry.record["id"]
        for job in entry.free:
            run(self.hub, repo, entry.file, entry.event, self.machine, run_id, entry.environments, job)

    def cancel(self, repo: Repo, run_id: int) -> bool:
        """Cancel a run that waits; return whether there is one."""
        each = self.queues[repo.name]
        for entry in [*each.held_back, *each.ready, *(one for entries in each.waiting.values() for one in entries)]:
            if entry.record["id"] == run_id:
                each.cancel(entry)
                return True
        return False

    def cancelled(self, entry: Entry) -> None:
        """A run that a later one of its group has cancelled before it did anything."""
        document = self._workflows(self.hub.repos[entry.event.repo], entry.event.sha)[entry.file]
        jobs = dict.fromkeys(document["jobs"], "cancelled")
        self._ended(entry, Run(entry.record["id"], document["name"], entry.event.name, jobs, "", ""))

    def _ended(self, entry: Entry, result: Run) -> Run:
        repo, record = self.hub.repos[entry.event.repo], entry.record
        self.runs.append(result)
        record |= {"status": "completed", "conclusion": result.conclusion, "name": result.workflow}
        about = {"annotation_level": "failure", "path": ".github", "start_line": 1, "end_line": 1, "title": ""}
        for place, (job, conclusion) in enumerate(result.jobs.items()):
            ident = 100 * record["id"] + place
            red = [{"name": step, "status": "completed", "conclusion": "failure"} for step in result.red.get(job, [])]
            state = {"status": "completed", "conclusion": conclusion, "steps": red}
            repo.jobs.setdefault(record["id"], []).append({"id": ident, "run_id": record["id"], "name": job} | state)
            repo.annotations[ident] = [about | {"message": said} for said in result.errors.get(job, [])]
            check = {"name": job, "head_sha": record["head_sha"], "conclusion": conclusion, "run": record["id"]}
            repo.checks.append(check)
        if entry.event.depth < CHAIN:
            self._completed(repo, entry.event, record)
        return result

    def _entry(self, file: str, event: Event) -> Entry:
        """A run with its groups, the workflow's first, and the environments of its jobs that have reviewers.

        docs.github.com: actions/how-tos/deploy/configure-and-manage-deployments/manage-environments: a job waits for the
        reviewers of its environment. It is in its own group meanwhile.
        """
        repo, run_id = self.hub.repos[event.repo], 1000 + self.hub.number()
        document = self._workflows(repo, event.sha)[file]
        record = self._record(repo, file, event, run_id)
        repo.runs[run_id] = record
        contexts = self._contexts(repo, document, event, record)
        entry = Entry(file, event, record)
        if "concurrency" in document:
            entry.ahead.append(queues.group(document["concurrency"], contexts))
        called = lambda uses: self._called(repo, event, uses)  # noqa: E731
        for job_id, job, theirs in queues.jobs(document, contexts, called, skipped=True):
            about = job.get("environment") or {}
            name = expressions.filled(about if isinstance(about, str) else about.get("name"), theirs)
            entry.environments |= {job_id: name} if name else {}
        for job_id, job, theirs in queues.jobs(document, contexts, called):
            if repo.plan.reviewers:
                entry.approvals |= {entry.environments.get(job_id)} & repo.reviewers.keys()
            if "concurrency" in job:
                entry.ahead.append(queues.group(job["concurrency"], theirs))
        repo.approvals[run_id] = entry.approvals
        if "concurrency" not in document:
            alone = lambda job: "run_id" in str(job.get("concurrency", "run_id"))  # noqa: E731 - in no group, or one of its run
            free = {name for name, job in document["jobs"].items() if not job.keys() & {"environment", "needs", "uses"}}
            entry.free = [name for name in document["jobs"] if name in free and alone(document["jobs"][name])]
        return entry

    def _contexts(self, repo: Repo, document: Json, event: Event, record: Json) -> Json:
        pull = event.payload.get("pull_request", {})
        github = {
            "event": event.payload, "event_name": event.name, "ref": event.ref, "sha": event.sha, "run_id": record["id"],
            "ref_name": event.ref.removeprefix("refs/heads/"), "actor": event.actor, "repository": repo.name,
            "workflow": document["name"], "head_ref": pull.get("head", {}).get("ref", ""),
            "base_ref": pull.get("base", {}).get("ref", ""),
        }  # fmt: skip
        given = rules.inputs(document, event.payload["inputs"]) if event.name == "workflow_dispatch" else {}
        return {"github": github, "inputs": given, "vars": repo.variables, "needs": self.needs(event)}

    def _called(self, repo: Repo, event: Event, uses: str) -> Json | None:
        """The workflow that a job calls: of this repository at the event's commit, or of another one at the commit it names."""
        if uses.startswith("$/.github/workflows/"):
            return self._workflows(repo, event.sha)[uses.rpartition("/")[2]]
        found = callers.SHARED.fullmatch(f"uses: {uses}")
        assert found, uses
        other = self.hub.repos[found[1]]
        return rules.load(other.file(found[3], found[2]))

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
        head, branch = event.sha, event.ref.removeprefix("refs/heads/")
        source: Repo | None = repo
        pulls: list[Json] = []
        if event.name == "pull_request":
            pull = event.payload["pull_request"]
            head, branch = pull["head"]["sha"], pull["head"]["ref"]
            source = self.hub.repos[pull["head"]["repo"]["full_name"]] if pull["head"]["repo"] else None
            # GitHub leaves this empty for forks: the reason why the artifact has to carry the number.
            pulls = [{"number": pull["number"]}] if source is repo else []
        return {
            "id": run_id, "name": file, "path": f".github/workflows/{file}", "event": event.name,
            "head_sha": head, "head_branch": branch, "head_repository": source and self.hub.about(source), "pull_requests": pulls,
            "status": "queued", "conclusion": None, "html_url": f"{self.hub.url}/{repo.name}/actions/runs/{run_id}",
            "actor": {"login": event.actor}, "created_at": self.hub.now(),
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
