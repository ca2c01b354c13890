"""The runner: one workflow run, executed by `act` in host mode, with a token of its own for every job."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import sample

from harness import callers, rules
from harness.gitserver import environment, git
from harness.hub import Event, Hub, Json, Repo, of_own

HERE = Path(__file__).parent
ACTIONS = HERE / "actions"  # stand-ins: actions/<owner>/<name>/action.yml
PIN = re.compile(r"uses:\s*([\w.-]+/[\w.-]+)[\w./-]*@([0-9a-f]{40})")
# A run that hangs is a failure of its own. A report takes 14 s, and on a machine with ten others 100.
LIMIT = 900


@dataclass
class Run:
    """What a person sees of a run on the Actions page."""

    id: int
    workflow: str
    event: str
    jobs: dict[str, str]
    summary: str
    log: str
    failed: str = ""  # what the jobs that failed printed
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: list[tuple[str, str, str]] = field(default_factory=list)  # that ran: id of the job, its matrix, the step
    red: dict[str, list[str]] = field(default_factory=dict)  # steps that failed, by job
    errors: dict[str, list[str]] = field(default_factory=dict)  # annotations of that level, by job

    @property
    def conclusion(self) -> str:
        states = set(self.jobs.values())
        worst = next((state for state in ("failure", "cancelled") if state in states), "success")
        return "skipped" if states == {"skipped"} else worst


@dataclass(frozen=True)
class Machine:
    """What every runner of a scenario has: programs, a place to work, and the environment of the host."""

    venv: Path
    cml: Path
    work: Path
    environment: dict[str, str]
    libraries: Path | None = None  # of registered versions, 160 MB; without it each run installs them anew


def run(hub: Hub, repo: Repo, file: str, event: Event, machine: Machine, run_id: int,
        environments: dict[str, str], only: str = "") -> Run:  # fmt: skip
    """Executes the workflow `file` as it is at the event's commit, or one job of it. The result is never an exception."""
    place = machine.work / f"{run_id}{only}"
    checkout = _checkout(repo, event, place / "repository")
    if machine.libraries:
        sample.link(place, machine.libraries)
    path = checkout / ".github" / "workflows" / file
    shared = callers.bring(hub, checkout, place)
    here = callers.Shared(repo.name, event.sha, checkout)  # `$/` needs no checkout
    for one in [here, *shared]:
        for file_ in (one.folder / ".github").rglob("*.yml"):
            text = callers.own(file_.read_text(), one).replace("      deployment: false", "      #")
            file_.write_text(text.replace("github.token", "env.HUB_TOKEN") if file_.name == "action.yml" else text)
    document = rules.load(path.read_text())
    fork = event.name == "pull_request" and not of_own(event.payload["pull_request"], repo)
    called = callers.called(document, [here, *shared])
    granted = _granted(document, called, fork=fork)
    subjects = {job: _subject(repo, event, environments.get(job, "")) for job in granted}
    tokens = {
        job: hub.token("github-actions[bot]", repo.name, "job", may, subjects[job]) for job, may in granted.items()
    }
    own = _secrets_of_environments(repo, environments) if not _withheld(event, fork=fork) else {}
    identities = {
        job: f"{hub.url}/api/v3/hub/{repo.name}/oidc" for job, may in granted.items() if may.get("id-token") == "write"
    }
    variables_of = _variables_of_environments(repo, environments)
    for file_, its in {path: document, **dict(called.values())}.items():
        file_.write_text(_for_act(file_.read_text(), its["jobs"], own, identities, variables_of))
    brought = [replace(here, folder=_light(checkout, place / "own")), *shared]
    (place / "tokens").mkdir()
    for job, token in tokens.items():
        (place / "tokens" / job).write_text(token)
    (place / "event.json").write_text(json.dumps(event.payload))
    command = _command(hub, repo, event, machine, place, run_id, brought)
    command += _values(repo, document, event, tokens, own, fork=fork) + (["--job", only] if only else [])
    nobody = {name: value for name, value in environment().items() if not name.startswith(("GIT_AUTHOR", "GIT_COMMIT"))}
    variables = nobody | machine.environment | {"HOME": str(place), "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        [*command, "-W", str(path)],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    for name in ("cache", "repository", "own", "shared"):  # a failed job leaves its workspace there
        shutil.rmtree(place / name, ignore_errors=True)
    result = _read(run_id, document, {job: theirs["jobs"] for job, (_, theirs) in called.items()}, event.name, done)
    for mark in (hub.folder / "caches" / f"of-{run_id}").glob("*") if result.conclusion == "success" else ():
        mark.rename(mark.parents[1] / mark.name)  # actions/cache saves at the end of a job that succeeds
    return result


def _granted(document: Json, called: dict[str, tuple[Path, Json]], *, fork: bool) -> dict[str, dict[str, str]]:
    """The rights of each job, those of called workflows included."""
    granted = {job: rules.rights(document, job, fork=fork) for job in document["jobs"].keys() - called.keys()}
    for caller, (_, theirs) in called.items():
        assert not (why := callers.inputs_refused(document, caller, theirs)), why
        rights = {job: callers.rights(document, caller, theirs, job, fork=fork) for job in theirs["jobs"]}
        alike = all(granted[job] == rights[job] for job in rights.keys() & granted.keys())
        assert alike, "the stand-ins tell jobs apart by their ids"
        granted |= rights
    return granted


def _withheld(event: Event, *, fork: bool) -> bool:
    """Whether the run gets no secrets: that of a fork's pull request, or what Dependabot sets off.

    docs.github.com: actions/concepts/security/secrets;
    code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions
    """
    return fork or (event.actor == "dependabot[bot]" and event.name in ("pull_request", "push"))


def _secrets_of_environments(repo: Repo, environments: dict[str, str]) -> dict[str, dict[str, str]]:
    """By job, the secrets that its environment adds. A plan without environments has none of them.

    docs.github.com: actions/reference/workflows-and-actions/deployments-and-environments
    """
    kept = repo.environment_secrets if repo.plan.environments else {}
    return {job: kept[name] for job, name in environments.items() if name in kept}


def _variables_of_environments(repo: Repo, environments: dict[str, str]) -> dict[str, Json]:
    """By job, the variables that it sees: those of its environment win.

    docs.github.com: actions/reference/workflows-and-actions/variables#configuration-variable-precedence
    """
    kept = repo.environment_variables if repo.plan.environments else {}
    return {job: repo.variables | kept.get(name, {}) for job, name in environments.items()}


def _subject(repo: Repo, event: Event, environment: str) -> str:
    """Whom a cloud may trust: the environment's jobs, or those of a pull request, or of a branch.

    docs.github.com: actions/reference/security/oidc#example-subject-claims
    """
    if environment and repo.plan.environments:
        return f"repo:{repo.name}:environment:{environment}"
    return f"repo:{repo.name}:{'pull_request' if event.name == 'pull_request' else f'ref:{event.ref}'}"


def _values(repo: Repo, document: Json, event: Event, tokens: dict[str, str], own: dict[str, dict[str, str]], *,
            fork: bool) -> list[str]:  # fmt: skip
    """What the run is given: a token for each job, secrets if it may have any, variables, the inputs of a dispatch."""
    secrets = {f"TOKEN_{_upper(job)}": token for job, token in tokens.items()}
    secrets |= {f"{name}_OF_{_upper(job)}": value for job, its in own.items() for name, value in its.items()}
    secrets |= {} if _withheld(event, fork=fork) else repo.secrets
    inputs = rules.inputs(document, event.payload["inputs"]) if event.name == "workflow_dispatch" else {}
    options: list[str] = []
    for option, values in (("-s", secrets), ("--var", repo.variables), ("--input", inputs)):
        for name, value in values.items():
            options += [option, f"{name}={value}"]
    return options


def _checkout(repo: Repo, event: Event, folder: Path) -> Path:
    """The repository at the event's commit: where act reads the workflow and the commit's id from."""
    folder.parent.mkdir(parents=True)
    git(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", repo.path, folder)
    git(folder, "checkout", "--quiet", "--detach", event.sha)
    return folder


def _light(checkout: Path, folder: Path) -> Path:
    """The repository of its own actions, as links but for .github: act copies it for each action of each job."""
    shutil.copytree(checkout / ".github", folder / ".github")
    for path in checkout.iterdir():
        if path.name not in (".git", ".github"):
            (folder / path.name).symlink_to(path)
    return folder


def _command(hub: Hub, repo: Repo, event: Event, machine: Machine, place: Path, run_id: int,
             shared: list[callers.Shared]) -> list[str]:  # fmt: skip
    act = str(Path(sys.executable).with_name("act"))
    command = [act, event.name, "-e", str(place / "event.json"), "-P", "ubuntu-24.04=-self-hosted", "--actor"]
    command += [event.actor, "--no-skip-checkout", "--no-cache-server", "--json", "--artifact-server-addr", "127.0.0.1"]
    # Jobs that run at once write to one map of secrets in act: it dies, or a job finds no token, once in some hundred runs.
    command += ["--concurrent-jobs", "1"]
    command += ["--action-cache-path", str(place / "cache"), "-s", "GITHUB_TOKEN=none"]
    variables = {
        "GITHUB_REPOSITORY": repo.name, "GITHUB_RUN_ID": str(run_id), "GITHUB_SERVER_URL": hub.url,
        "GITHUB_API_URL": f"{hub.url}/api/v3", "HUB_FOLDER": str(hub.folder), "HUB_TOKENS": str(place / "tokens"),
        "HUB_SIGNER": shared[-1].name, "HUB_CML": str(machine.cml), "HUB_ACTIONS": str(ACTIONS),
        "HUB_VENV": str(machine.venv), "HUB_PYTHON": sys.executable, "HUB_STORAGE": "full" if repo.storage_full else "",
    }  # fmt: skip
    for name, value in (variables | machine.environment).items():
        command += ["--env", f"{name}={value}"]
    for label in repo.runners:
        command += ["-P", f"{label}=-self-hosted"]
    for one in shared:
        command += ["--local-repository", f"{one.name}@{one.sha}={one.folder}"]
    for action, sha in set().union(*(pins(one.folder) for one in shared)) - {(one.name, one.sha) for one in shared}:
        command += ["--local-repository", f"{action}@{sha}={ACTIONS / action}"]
    return command


def pins(folder: Path) -> set[tuple[str, str]]:
    """Every third-party action that .github uses, with its commit."""
    return {found for path in (folder / ".github").rglob("*.yml") for found in PIN.findall(path.read_text())}


def _for_act(text: str, jobs: Json, own: dict[str, dict[str, str]], identities: dict[str, str],
             variables: dict[str, Json]) -> str:  # fmt: skip
    """The file as act can run it: `github.token` becomes the job's own secret, since act knows one token for all.

    So do the secrets and variables of a job's environment, of which act knows nothing. `identities` has, for each job with
    the right to one, the address of its OIDC token.
    """
    head, *rest = re.split(r"(?m)^(?=  [\w-]+:\s*$)", text.partition("\njobs:\n")[2])
    pieces = []
    for piece in rest:
        job = piece.strip().partition(":")[0]
        assert job in jobs, f"a line that looks like a job and is none: {job}"
        secret = f"secrets.TOKEN_{_upper(job)}"
        told = re.sub(r"\b(github\.token|secrets\.GITHUB_TOKEN)\b", secret, piece)
        for name in own.get(job, {}):
            told = re.sub(rf"\bsecrets\.{name}\b", f"secrets.{name}_OF_{_upper(job)}", told)
        if "\n    steps:\n" in told:  # an action sees no secrets: it gets the token by the job's environment
            told = told if "\n    env:\n" in told else told.replace("\n    steps:\n", "\n    env:\n    steps:\n")
            more = f"      ACTIONS_ID_TOKEN_REQUEST_URL: {identities[job]}\n" if job in identities else ""
            told = told.replace("\n    env:\n", f"\n    env:\n      HUB_TOKEN: ${{{{ {secret} }}}}\n{more}")
        if job in variables:
            told = told.replace("${{ toJSON(vars) }}", f"'{json.dumps(variables[job])}'")
        if re.search(r"(?m)^    uses: ", piece) and "    secrets:" not in piece:
            told = f"{told.rstrip()}\n    secrets: inherit\n\n"  # a called workflow has its own github.token
        pieces.append(told)
    text = "".join([text.partition("\njobs:\n")[0], "\njobs:\n", head, *pieces])
    # Things that GitHub knows and act 0.2.89 does not yet; none changes what is run here.
    return text.replace("cache-mode: ", "# ").replace("  queue: ", "  # ")


def _upper(job: str) -> str:
    return job.replace("-", "_").upper()


def _read(run_id: int, document: Json, called: Json, event: str, done: subprocess.CompletedProcess[str]) -> Run:
    """Jobs by their ids; those of a called workflow as `caller / job`. A call that is skipped as a whole has its own name only."""
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    results: dict[str, str] = {}
    for line in lines:
        if "jobResult" in line:
            caller, *within = line["job"].split("/")
            name = f"{caller} / {line['jobID']}" if len(within) == 2 else line["jobID"]
            if results.get(name) != "failure":  # one job of a matrix fails them all
                results[name] = line["jobResult"]
    summaries = [line["content"] for line in lines if line.get("command") == "summary"]
    log = _printed(lines) + done.stderr
    matrix = lambda line: (line.get("job"), str(line.get("matrix")))  # noqa: E731 - which job of a matrix
    bad = {matrix(line) for line in lines if line.get("jobResult") == "failure"}
    if "Skipping unsupported platform" in log:
        raise RuntimeError(f"act ran nothing: {log[-2000:]}")
    own = [job for job in document["jobs"] if job not in called]
    names = own + [
        f"{job} / {theirs}" for job in called for theirs in called[job] if "strategy" not in document["jobs"][job]
    ]
    for job in (job for job in called if "if" in document["jobs"][job] and "strategy" not in document["jobs"][job]):
        if not any(name.startswith(f"{job} / ") for name in results):
            names = [name for name in names if not name.startswith(f"{job} / ")] + [job]
    jobs = {job: results.get(job, "skipped") for job in names} | results  # each by its own `if:`, perhaps all
    if not results and (done.returncode or "Error" in done.stderr):
        raise RuntimeError(f"act refused {document.get('name')}: {done.stderr[-2000:]}")
    failed = _printed([line for line in lines if matrix(line) in bad])
    steps = [
        (line["jobID"], json.dumps(line.get("matrix") or {}), line["step"])
        for line in lines
        if line.get("stage") == "Main" and line.get("stepResult") in ("success", "failure") and len(line["stepID"]) == 1
    ]
    red: dict[str, list[str]] = {}
    errors: dict[str, list[str]] = {}
    for line in lines:
        caller, *within = line.get("job", "").split("/")
        name = f"{caller} / {line.get('jobID')}" if len(within) == 2 else line.get("jobID", "")
        if line.get("command") == "error":
            errors.setdefault(name, []).append(
                line["arg"].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
            )
        elif line.get("stage") == "Main" and line.get("stepResult") == "failure" and len(line["stepID"]) == 1:
            red.setdefault(name, []).append(line["step"])
            errors.setdefault(name, []).append("Process completed with exit code 1.")  # as GitHub's runner says it
    return Run(
        run_id, document["name"], event, jobs, "".join(summaries), log, failed, steps=steps, red=red, errors=errors
    )


def _printed(lines: list[Json]) -> str:
    return "".join(line["msg"] if line.get("raw_output") else f"{line['msg']}\n" for line in lines)
