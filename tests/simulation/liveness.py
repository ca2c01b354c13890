"""What must come to its end: periods that are decided in their order, and none that the checks overlook; records that are owed.

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

from delivery.deploy.targets.host import OWED
from delivery.drift.agenda import FINAL
from simulation.invariants import Watch, concerns
from simulation.violation import Violation


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
