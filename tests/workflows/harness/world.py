"""A world for a scenario: a repository on the hub, people who work in it, and what they see."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import openapi, server, template
from harness.gitserver import git
from harness.hub import NO_SUCH, Event, Hub, Json, Repo, Token
from harness.router import Router
from harness.runner import Machine, Run

NAME = "acme/demo"
MEMORY, ROOM = Path("/dev/shm"), 2 << 30


class World:
    """One repository and its people. Every question is answered from what GitHub would show, never from a log."""

    newest: "World | None" = None  # of this process, for what is shown when a scenario fails

    def __init__(self, hub: Hub, router: Router, repo: Repo) -> None:
        World.newest = self
        self.hub, self.router, self.repo = hub, router, repo
        router.needs = promoted_to

    # What people do

    def clone(self, login: str = "ada", repo: Repo | None = None) -> Path:
        """A clone that pushes with the person's own token."""
        repo = repo or self.repo
        folder = self.hub.folder / "clones" / f"{login}-{self.hub.number()}"
        address = self.hub.url.replace("http://", f"http://{login}:{self.hub.token(login, repo.name, 'person')}@")
        folder.parent.mkdir(exist_ok=True)
        git(folder.parent, "clone", "--quiet", f"{address}/{repo.name}.git", folder)
        return folder

    def push(self, folder: Path, message: str, branch: str = "main") -> str:
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", message)
        git(folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return git(folder, "rev-parse", "HEAD")

    def pushed_reproduced(self, folder: Path, edit: Callable[[Path], object], branch: str = "main") -> str:
        """A commit with the results that its author made; returns it."""
        edit(folder)
        template.python(self.router.machine.venv / "bin" / "python", folder, "-m", "delivery", "store", "pull")
        template.python(self.router.machine.venv / "bin" / "python", folder, "-m", "delivery", "reproduce")
        return self.push(folder, "A change with its results", branch)

    def propose(self, branch: str, edit: Callable[[Path], object], *, title: str = "A change", login: str = "ada",
                fork: bool = False, base: str = "main") -> int:  # fmt: skip
        """A pull request with an edit, from a branch of the repository or of the person's fork; its number."""
        source = self.hub.fork(self.repo.name, login) if fork else self.repo
        folder = self.clone(login, source)
        if base != "main":
            git(folder, "checkout", "--quiet", base)
        edit(folder)
        self.push(folder, title, branch)
        head = f"{login}:{branch}" if fork else branch
        token = Token(login, self.repo.name, "person")
        return self.hub.open_pull(self.repo, {"head": head, "base": base, "title": title}, token)["number"]

    def first_push(self) -> None:
        """Somebody has made the repository from the template."""
        sha, about = self.repo.sha("main"), self.hub.about(self.repo)
        payload = {"ref": "refs/heads/main", "before": NO_SUCH, "after": sha, "created": True, "repository": about}
        self.hub.events.append(Event("push", self.repo.name, "refs/heads/main", sha, payload, "ada"))

    def settle(self) -> list[Run]:
        return self.router.settle()

    def review(self, number: int, login: str, state: str = "APPROVED") -> None:
        found = self.repo.reviews.setdefault(number, [])
        found.append({"id": self.hub.number(), "user": {"login": login}, "state": state, "body": ""})

    def label(self, number: int, name: str, action: str = "labeled") -> None:
        self.hub.label(self.repo, number, name, Token("ada", self.repo.name, "person"), action)

    def knows_vulnerable(self, package: str) -> None:
        """From now on the world knows a severe vulnerability of a package, and a version without it."""
        known = [{"id": "GHSA-test", "severity": "High", "package": package, "fixed": ["99.0"]}]
        (self.hub.folder / "vulnerabilities.json").write_text(json.dumps(known))

    def merge(self, number: int, *, squash: bool = False) -> str:
        return self.hub.merge(self.repo, number, "ada", squash=squash)

    # What people see

    def head(self, number: int) -> str:
        return self.repo.pulls[number]["head"]["sha"]

    def comments(self, number: int) -> list[str]:
        return [entry["body"] for entry in self.repo.comments.values() if entry["number"] == number]

    def checks(self, sha: str) -> dict[str, str]:
        """The newest conclusion of each check of a commit."""
        return {check["name"]: check["conclusion"] for check in self.repo.checks if check["head_sha"] == sha}

    def mergeable(self, number: int) -> bool:
        """Whether the ruleset would let it be merged: every required check green or skipped at the head.

        docs.github.com: pull-requests/collaborating-with-pull-requests/collaborating-on-repositories-with-code-quality-features/
        troubleshooting-required-status-checks: a job that its condition skips reports success.
        """
        rules = json.loads(self.repo.file("main", ".github/rulesets/main.json"))["rules"]
        wanted = next(rule["parameters"] for rule in rules if rule["type"] == "required_status_checks")
        checks = self.checks(self.head(number))
        return all(checks.get(check["context"]) in ("success", "skipped") for check in wanted["required_status_checks"])

    def aliases(self) -> dict[str, str]:
        """Environment to the commit of the version that its alias points to, as the store's registry has it."""
        with self.registry() as rows:
            tags = dict(rows("select version, value from model_version_tags where key = 'git.commit'"))
            found = rows("select alias, version from registered_model_aliases")
            return {alias: tags[version] for alias, version in found}

    def versions(self) -> list[str]:
        """The commits that were registered, oldest first."""
        with self.registry() as rows:
            query = "select value from model_version_tags where key = 'git.commit' order by cast(version as integer)"
            return [value for (value,) in rows(query)]

    def tags(self, commit: str) -> dict[str, str]:
        """What the registry says of the version of a commit."""
        with self.registry() as rows:
            query = "select key, value from model_version_tags where version in (select version from model_version_tags where value = ?)"
            return dict(rows(query, commit))

    def audit(self) -> None:
        """Where GitHub's own description is at hand (test_harness.py brings it): every call was one that GitHub knows."""
        if openapi.FILE.exists():
            found = sorted({line for call in self.hub.calls for line in openapi.problems(*call)})
            assert not found, "\n".join(found)

    @contextmanager
    def registry(self) -> Iterator[Callable[..., list[tuple]]]:
        if "mlflow/mlflow.db" not in self.stored():
            yield lambda *_: []
            return
        copy = self.hub.folder / f"registry-{self.hub.number()}.db"
        with copy.open("wb") as file:
            _blob(self.repo.path, "store:mlflow/mlflow.db", file)
        connection = sqlite3.connect(copy)
        try:
            yield lambda query, *values: connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def stored(self) -> list[str]:
        """The files of the store branch; none where there is no such branch."""
        return git(self.repo.path, "ls-tree", "-r", "--name-only", "store", check=False).splitlines()

    def deployments(self, environment: str) -> list[str]:
        """The last state of each deployment, oldest first."""
        return [d["statuses"][-1]["state"] for d in self.repo.deployments.values() if d["environment"] == environment]

    def releases(self) -> dict[str, str]:
        """Tag of each release, and its text."""
        return {release["tag_name"]: release["body"] for release in self.repo.releases}

    def records(self) -> dict[str, Json]:
        """The annotated tags that record versions, and what they say."""
        form = "--format=%(objecttype) %(refname:strip=2) %(contents:subject)"
        lines = git(self.repo.path, "for-each-ref", form, "refs/tags/model-*").splitlines()
        entries = (line.split(" ", 2) for line in lines)
        return {name: json.loads(text) for kind, name, text in entries if kind == "tag"}

    def decisions(self) -> list[tuple[str, str]]:
        """Month and verdict of every drift check in the store's log."""
        lines = map(json.loads, self.repo.file("store", "drift/log.jsonl").splitlines())
        return [(line["month"], line["verdict"]) for line in lines]

    def installed(self) -> int:
        """How often a job has installed the locked packages."""
        file = self.hub.folder / "installed"
        return len(file.read_text().split()) if file.exists() else 0

    def images(self) -> dict[str, Json]:
        folder = self.hub.folder / "registry"
        return {f"sha256:{path.stem}": json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def promoted_to(event: Event) -> Json:
    """The environment that `measure` of promote says, as params.yaml has it."""
    environment = {"refs/heads/main": "staging", "refs/heads/develop": "development"}.get(event.ref, "")
    return {"measure": {"outputs": {"environment": environment}}}


@contextmanager
def world(folder: Path, origin: Path, machine: Machine, certificate: Path | None = None) -> Iterator[World]:
    """A fresh hub whose repository is a copy of `origin`."""
    hub = Hub(folder)
    with server.running(hub, certificate) as secure, _quick(folder / "runs") as runs:
        repo = hub.repository(NAME, origin)
        if other := os.environ.get("DELIVERY_GITHUB"):  # mutate.py's workflows in place of ours
            _replace(repo, Path(other))
        extra = machine.environment
        if certificate:  # the real CML speaks TLS to a server that is not github.com
            trusted = {"NODE_EXTRA_CA_CERTS": str(certificate), "GIT_SSL_CAINFO": str(certificate)}
            extra = extra | trusted | {"CML_REPO": f"{secure}/{NAME}", "CML_DRIVER": "github"}
        made = replace(machine, work=runs, environment=extra)
        made_world = World(hub, Router(hub, made), repo)
        yield made_world
        made_world.audit()


@contextmanager
def _quick(folder: Path) -> Iterator[Path]:
    """The folder, or one in memory where the machine has room there: runs make and delete files by the thousand."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        with tempfile.TemporaryDirectory(prefix="runs-", dir=MEMORY) as made:
            yield Path(made)
    else:
        yield folder


def run(worlds: World, name: str) -> Run:
    """The newest run of a workflow."""
    return [run for run in worlds.router.runs if run.workflow == name][-1]


def _blob(path: Path, name: str, file) -> None:
    subprocess.run(["git", "-C", str(path), "show", name], stdout=file, check=True)


def _replace(repo: Repo, github: Path) -> None:
    """Another .github on main, as if it had always been so."""
    work = repo.path.with_suffix(".work")
    git(work.parent, "clone", "--quiet", repo.path, work)
    shutil.rmtree(work / ".github")
    shutil.copytree(github, work / ".github")
    git(work, "add", "--all")
    if git(work, "status", "--porcelain"):
        git(work, "commit", "--quiet", "--message", "Other workflows")
        git(work, "push", "--quiet", "origin", "HEAD:main")
