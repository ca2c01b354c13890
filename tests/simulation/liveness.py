"""What must come to its end: periods that are decided in their order, and none that the checks overlook; records that are owed;
a release on main, which staging gets.

That no run waits for a group that nobody holds is `owners.waits`, that an open pull request is checked `contributions`, that
a good version is delivered and every period scored `year.still_delivers`.
"""

import json
from collections import Counter

import yaml
from harness.gitserver import git
from harness.hub import Json
from harness.queues import Entry
from harness.runner import Run

from delivery.adapters import dvc
from delivery.core import workspace
from delivery.deploy.targets.host import OWED
from delivery.drift.agenda import FINAL
from delivery.registry.version import events, pick, rolled_back
from simulation import pipeline
from simulation.invariants import Watch, concerns
from simulation.standins import SERVED
from simulation.violation import Violation

STAGING = "staging"
PROMOTED = (STAGING, "promote")
RELEASE = (workspace.PARAMS, workspace.DATA_FILE, SERVED)


class Liveness:
    """What has been decided of the periods until the last run."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.seen = 0  # entries of the log
        self.owing = Counter[str]()  # deliveries since a record is owed, by environment

    def after(self, entry: Entry, run: Run, fault: str) -> None:
        """Raise `Violation` if a rule is broken."""
        log = [json.loads(line) for line in self.watch.checks]
        before, self.seen = log[: self.seen], len(log)
        if len(log) > len(before):
            self.ordered(log, len(before))
        if run.conclusion == "success" and run.workflow == "drift" and not fault:
            self.looked(entry, before, log)
        if concerns(entry) and not fault and not self.watch.busy:
            self.paid(concerns(entry))
        newest = entry.event.ref == "refs/heads/main" and entry.event.sha == self.watch.repo.sha("main")
        pushed = newest and entry.event.name == "push"  # also a branch that begins at main's commit is a push
        if entry.file == "promote.yml" and pushed and run.conclusion == "success" and not fault and not self.watch.busy:
            self.delivered(entry.event.sha)

    def delivered(self, commit: str) -> None:
        """Staging has the release of main's newest commit once that is promoted, unless it was rolled back from it."""
        wanted, alias = self.release(commit), self.watch.alias(STAGING)
        if alias and self.release(pick(self.watch.known, alias).commit) == wanted:
            return
        same = [version for version in self.watch.known if self.release(version.commit) == wanted]
        promoted = [event.version for event in events(self.watch.known) if (event.environment, event.how) == PROMOTED]
        chosen = promoted[-1:] and promoted[-1] in [version.number for version in same]  # a person has left it since
        if not (chosen or any(rolled_back(version, STAGING) for version in same)):
            text = (
                f"promote has succeeded for {commit[:8]}, and staging has {f'version {alias}' if alias else 'nothing'}"
            )
            raise Violation("what passed every gate is delivered", text)

    def release(self, commit: str) -> tuple[object, ...]:
        """What a commit's release is made of: the settings and data of its model, and the code that serves it."""
        settings, data, code = (self.watch.repo.file(commit, str(name)) for name in RELEASE)
        return pipeline.dial(settings), dvc.data_digest(data), code

    def ordered(self, log: list[Json], first: int) -> None:
        """A period is decided only once each one before it is, of those that the champion was not trained on."""
        final = {line["month"] for line in log[:first] if line["verdict"] in FINAL}
        for line in log[first:]:
            since = line["champion_trained_on"].rpartition(" to ")[2]
            if line["verdict"] in FINAL:
                open_still = [name for name in self.watch.source.periods() if since < name < line["month"]]
                if left := [name for name in open_still if name not in final]:
                    text = f"{line['month']} is decided, and {', '.join(left)} is not"
                    raise Violation("a period before a final one is final", text)
                final.add(line["month"])

    def looked(self, entry: Entry, before: list[Json], log: list[Json]) -> None:
        """A check that nothing has hindered looks at the oldest open period, so that none waits for more than a schedule."""
        settings = yaml.safe_load(git(self.watch.repo.path, "show", f"{entry.event.sha}:params.yaml"))
        final = {line["month"] for line in before if line["verdict"] in FINAL}
        until = settings["fetch"]["until"]
        undecided = [name for name in self.watch.source.periods() if name > until and name not in final]
        if undecided and undecided[0] not in {line["month"] for line in log[len(before) :]}:
            raise Violation("no period is overlooked", f"{undecided[0]} is open, and a check has not looked at it")

    def paid(self, environment: str) -> None:
        """The second delivery that nothing has hindered finds no record owed any more: the first may say that it is."""
        home = self.watch.steps.folder / "hosts" / self.watch.repo.name.partition("/")[2] / environment
        self.owing[environment] = self.owing[environment] + 1 if (home / OWED).exists() else 0
        if self.owing[environment] > 1:
            raise Violation("no record is owed for long", f"{environment}: {(home / OWED).read_text()}")
