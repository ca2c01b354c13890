"""params.yaml as frozen structs, one per section: every key with its default, its range and its meaning.

Verb `params`: print the parameters in force, or the page that documents them.

The file holds what a team decides; a key that it leaves out has its default. Only keys that depend on the problem have
none. The text below each field describes it, and becomes docs/reference/params.md.
"""

import argparse
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct, field, inspect
from msgspec.structs import fields, replace

from delivery.core import params_check, workspace
from delivery.core.errors import Failure
from delivery.core.stage_params import (
    Compare,
    Confidence,
    Count,
    Evaluate,
    Export,
    Fetch,
    Period,
    Positive,
    Prepare,
    Share,
    Validate,
)
from problem import Train

__all__ = ["Compare", "Evaluate", "Export", "Fetch", "Period", "Prepare", "Validate"]  # defined for the stages

ENGINE = "DELIVERY_ENGINE"
CARD_SECTIONS = ("Intended use", "Limits", "Licence")
UNWRITTEN = "To be written"  # start of the sentences that `new` leaves for people to write

# In memory, in windows, on a Dask cluster of this machine, or on one at an address.
Engine = Annotated[str, Meta(pattern=r"^(memory|stream|dask|(tcp|tls|ws|wss)://[^\s]{1,200})$")]
Kind = TypeVar("Kind", bound=Struct)
HeaderName = Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9-]{0,60})?$")]
MetricName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,40}$")]
EnvironmentName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    floors: dict[str, float]
    """Metric to the worst value that any model may have, whatever it is compared with; `{}` sets no such limit."""
    margin: Positive = 0.005
    """How much worse than the champion's the primary metric may be, in its own unit: the lower bound of the
    interval decides."""
    segment_alpha: Share = 0.05
    """Error rate over all segments (Holm) at which one of them counts as clearly worse."""
    calibration_gap: Positive = 0.10
    """Largest distance between mean prediction and mean label on the test rows, in the label's unit."""
    model_mb: Positive = 20.0
    """Largest exported model, in megabytes."""
    latency_us: Positive = 1000.0
    """Longest time for one row, decoded, encoded and scored on one core, in microseconds."""
    compatibility: Literal["compatible", "breaking"] = "compatible"
    """Whether the service may break with clients or with a rollback: `breaking` lets it, and the version is marked as a
    boundary."""
    compatibility_reason: Annotated[str, Meta(max_length=500)] = ""
    """Why it may; recorded on the version. Needed with `breaking`."""

    def __post_init__(self) -> None:
        if self.compatibility == "breaking" and not self.compatibility_reason.strip():
            raise ValueError("compatibility: breaking needs a compatibility_reason")


class Drift(Struct, frozen=True, forbid_unknown_fields=True):
    environment: str = ""
    """Environment whose version is judged. Empty: production, else staging; main's model is judged as long as nothing serves."""
    psi_alarm: Positive = 0.25
    """Population stability index of a column above which it is marked. Evidence only; seasonal columns never are."""
    calibration_gap: Positive = 0.05
    """Distance between mean prediction and mean label, in the label's unit, beyond which the champion is broken: its
    whole interval has to be beyond."""
    confidence: Confidence = 0.90
    """Confidence level of a gain's interval. Only its lower end decides, so 0.90 asks for one-sided 95 %."""
    min_gain: Annotated[float, Meta(ge=0)] = 0.003
    """Smallest gain in the primary metric, in its own unit, that is worth a pull request."""
    min_rows: Count = 1000
    """Number of labelled rows that a period needs to be judged."""
    min_days: Count = 14
    """Number of days (blocks) with labels that a period needs: fewer give too narrow an interval, and mean that the
    period is not over."""
    open_after: Count = 1
    """Number of periods in a row that must ask for a retraining before it is proposed."""
    close_after: Count = 1
    """Number of periods in a row that must say no before an open proposal is withdrawn."""
    cooldown: Annotated[int, Meta(ge=0)] = 1
    """Smallest age of the champion, in periods of data, before another retraining."""
    runs_per_year: Annotated[int, Meta(ge=0)] = 6
    """Largest number of retrainings proposed within a year of data."""
    periods_per_year: Count = 12
    """Number of periods in a year of data: 12 for months, 52 for weeks."""
    label_days: Annotated[int, Meta(ge=0)] = 0
    """Number of days after the end of a period until its labels have usually arrived. `adopt` and `doctor` choose the day of
    the drift check by it."""
    rows_late_after: Annotated[int, Meta(ge=0)] = 0
    """Age of the newest row, in days, at which the source is late: `drift` and `doctor` are red then, and `status` says so. Choose
    more than a period and the days until its rows usually come, together. 0: a source that stops is noticed by nobody."""
    labels_late_after: Annotated[int, Meta(ge=0)] = 0
    """Age of the newest row with a label, in days, at which labels are late; 0: never."""
    max_judged: Count = 4
    """Largest number of periods that one run of the check judges, oldest first, so that a backlog shrinks; one that asks for a
    retraining ends the run."""
    minutes_per_month: Annotated[float, Meta(ge=0)] = 60.0
    """Compute budget of the checks in a calendar month, in minutes. Once it is spent, periods wait for the next month; 0: no
    challenger is ever trained."""
    reopen_days: Annotated[int, Meta(ge=0)] = 60
    """Number of days in which late labels and corrected rows have the newest decision made again, from the first one on its
    period."""


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    max_periods: Count = 6
    """Largest number of periods that one run scores, oldest first; the next run goes on with the rest."""
    reopen_days: Annotated[int, Meta(ge=0)] = 60
    """Number of days in which corrected rows of a period are scored again, from the first time that the version scored it."""


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `low` to `high`: whole ones where both are whole, evenly spread by size or by order of magnitude."""

    low: int | float
    """Smallest value."""
    high: int | float
    """Largest value."""
    log: bool = False
    """Whether values are spread evenly by order of magnitude instead of by size."""

    def __post_init__(self) -> None:
        if not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ValueError("low has to be below high, and above 0 where log is true")


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    trials: Count = 20
    """Number of settings to draw."""
    folds: Count = 1
    """Number of newest training periods to predict, each from the periods before it."""
    seed: Annotated[int, Meta(ge=0)] = 1
    """Seed of the draws."""
    space: dict[str, Annotated[list[int | float | str | bool], Meta(min_length=1)] | Span] = {}
    """Key of `train` to the values to try: a list, or `{low, high}`, with `log: true` to spread them by order of
    magnitude. Empty: there is nothing to search."""


class Reproduce(Struct, frozen=True, forbid_unknown_fields=True):
    minutes: Annotated[float, Meta(ge=0)] = 10.0
    """Longest time that `review` and `promote` spend on running one stage again to verify what dvc.lock claims, in minutes.
    A stage that takes longer is named on the page, and dvc.lock is believed until the workflow remake has run at night;
    `export` and `evaluate` have no limit."""


class Promote(Struct, frozen=True, forbid_unknown_fields=True):
    branches: dict[str, str] = field(default_factory=lambda: {"main": "staging", "develop": "development"})
    """Branch to the environment that a push to it promotes to; `on:` in .github/workflows/promote.yml lists the same
    branches."""
    releases: list[str] = field(default_factory=lambda: ["staging"])
    """Environments where a new version becomes a GitHub release with its model card; `[]` makes none."""


class Environment(Struct, frozen=True, forbid_unknown_fields=True):
    """Target of an environment, and its settings; each target reads its own keys."""

    target: Literal["rehearsal", "process", "docker", "kubernetes"]
    """Where the environment lasts: nowhere (rehearsal), on this host (process, docker), or in a cluster."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    """process, docker: port of the proxy, on loopback."""
    folder: str = ""
    """process, docker: folder for state, models and logs; empty: below ~/.local/state/delivery."""
    proxy_image: str = ""
    """process, docker: HAProxy image, by digest; empty: the program that is installed."""
    namespace: str = ""
    """kubernetes: namespace; empty: the environment's name."""
    address: str = ""
    """Address that clients use, if it is not the proxy's own."""
    sticky_header: HeaderName = ""
    """process, docker: header that names a caller, such as X-Customer-Id. During a canary its value decides which version
    answers, so that one caller sees one version; empty: chance decides for each request."""
    version_header: HeaderName = ""
    """process, docker: header, such as X-Model-Version, by whose value a request chooses its version during a canary."""

    def __post_init__(self) -> None:
        if self.target == "kubernetes" and (self.sticky_header or self.version_header):
            raise ValueError(
                "sticky_header and version_header need the targets process or docker: a Service of Kubernetes does not read "
                "headers; a gateway of your own in front of it can"
            )


class Canary(Struct, frozen=True, forbid_unknown_fields=True):
    steps: list[Annotated[int, Meta(ge=1, le=99)]] = field(default_factory=lambda: [25, 50])
    """Shares of traffic, in per cent, that follow the first one, which `deploy --canary` gives."""
    requests: Count = 500
    """Number of requests that each step must see on both sides, of the same numbers of rows."""
    seconds: Positive = 600.0
    """Longest wait for those requests, in seconds; then the canary is held at its share until a person decides."""
    hold_seconds: Annotated[float, Meta(ge=0)] = 3600.0
    """Longest time to hold it, in seconds; then the deployment ends. Enough requests let it go on."""
    max_error_rate: Share = 0.001
    """Largest share of failed requests; more than this, or than the old version has, beyond chance, ends it."""
    max_slower: Positive = 1.5
    """Largest mean and p95 latency, as a multiple of the old version's at requests of the same size."""
    slower_ms: Positive = 2.0
    """Smallest difference in latency that counts, in milliseconds; smaller ones are timer noise."""
    score_psi: Positive = 0.25
    """Largest population stability index of the predictions against the old version's."""


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """A team's own metric of a version."""

    query: Annotated[str, Meta(min_length=1, max_length=2000)]
    """PromQL query that gives one number. `$version` stands for the version that is judged, `$before` for the one that it
    takes over from, `$environment` for the environment."""
    limit: float
    """Last value that is good."""
    worse: Literal["above", "below"] = "above"
    """On which side of the limit a value is worse."""


class Deploy(Struct, frozen=True, forbid_unknown_fields=True):
    environments: dict[EnvironmentName, Environment] = {}
    """Name of an environment to where it lasts. A deployment to one that is not listed is a rehearsal: the version is
    started, checked, loaded and stopped."""
    ready_seconds: Positive = 60.0
    """Longest wait for a version to become ready, in seconds; then it is refused."""
    watch_seconds: Annotated[float, Meta(ge=0)] = 3.0
    """Seconds to watch a version after the switch; at the first error the old one takes over again."""
    bake_minutes: Annotated[float, Meta(ge=0)] = 10.0
    """process, docker: minutes to watch a version after its deployment, by the limits of `canary`; if it fails, the
    version before takes over again. 0: do not."""
    drain_seconds: Positive = 30.0
    """Longest wait for the requests that the old version still has, in seconds."""
    canary: Canary = Canary()
    prometheus: Annotated[str, Meta(pattern=r"^(https?://[^\s@]{1,200})?$")] = ""
    """Address of the Prometheus server that `metrics` are asked of, such as http://127.0.0.1:9090, without credentials."""
    metrics: dict[MetricName, Metric] = {}
    """Name of a metric of your own to its query and limit. One beyond its limit ends a canary, or rolls a watched version
    back; one that is not known holds it."""

    def __post_init__(self) -> None:
        if self.metrics and not self.prometheus:
            raise ValueError("metrics need the address of a prometheus")


class Serve(Struct, frozen=True, forbid_unknown_fields=True):
    max_rows: Count = 1000
    """Largest number of rows in a request."""
    max_bytes: Count = 1_000_000
    """Largest request body, in bytes."""
    unknown_fields: Literal["refuse", "ignore", "warn"] = "refuse"
    """What to do with a field of a row that the schema does not know: refuse the request, ignore and count the field, or
    also name it in a header of the answer."""
    max_header_bytes: Count = 32_768
    """Largest request line and headers together, in bytes; larger ones get 431."""
    header_seconds: Positive = 10.0
    """Longest time for a request's headers to arrive, and for a new connection's first byte, in seconds."""
    keep_alive_seconds: Positive = 5.0
    """Longest time that a connection may be idle after an answer, in seconds."""
    max_connections: Count = 1024
    """Largest number of connections; further ones get 503, and an answer to a health probe."""
    log_megabytes: Count = 1024
    """Largest size of the prediction log, in megabytes; beyond it the oldest files are deleted, those in use never."""
    log_days: Positive = 90.0
    """Largest age of a file of the prediction log, in days since its last line; older ones are deleted."""


class LoadTest(Struct, frozen=True, forbid_unknown_fields=True):
    users: Count = 16
    """Number of simulated users, each of whom asks again as soon as it has an answer."""
    seconds: Positive = 8.0
    """Duration of the load, in seconds."""
    max_p95_ms: Positive = 250.0
    """Largest p95 latency, in milliseconds."""
    max_error_rate: Share = 0.0
    """Largest share of failed requests."""
    min_rps: Positive = 100.0
    """Smallest throughput, in requests per second."""
    budget: Positive = 1.25
    """Largest p95 latency as a multiple of the champion's, measured side by side."""
    rounds: Count = 3
    """Number of rounds of that comparison; the median ratio decides."""


class Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    fetch: Fetch
    validate: Validate = Validate()
    prepare: Prepare = Prepare()
    train: Train = field(default_factory=Train)  # the problem's own
    export: Export = Export()
    evaluate: Evaluate = Evaluate()
    compare: Compare = Compare()
    gate: Gate
    drift: Drift = Drift()
    batch: Batch = Batch()
    search: Search = Search()
    reproduce: Reproduce = Reproduce()
    promote: Promote = Promote()
    deploy: Deploy = Deploy()
    card: dict[str, str] = {}
    """Section of the model card to its text: what only its authors know. Every version needs the sections Intended
    use, Limits and Licence."""
    serve: Serve = Serve()
    loadtest: LoadTest = LoadTest()
    engine: Engine = "memory"
    """How much data is in memory and where work is done: `memory` (all of it), `stream` (a few days at a time),
    `dask` (a cluster of this machine's cores), or the address of a Dask cluster. The environment variable
    DELIVERY_ENGINE overrides it."""


class Served(Struct, frozen=True):
    """The part of params.yaml that the service reads."""

    serve: Serve = Serve()


class Judged(Struct, frozen=True):
    """The part of params.yaml that `adopt` reads, before the problem that it belongs to is imported."""

    drift: Drift = Drift()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "--markdown", action="store_true", help="print docs/reference/params.md: every key, default and meaning"
    )


def main(options: argparse.Namespace) -> None:
    """Print the parameters in force, or the page that documents them."""
    from delivery.core import params_reference  # not part of the service's image, which needs `load` only

    print(params_reference.page() if options.markdown else params_reference.in_force(), end="")


def load(path: Path = workspace.PARAMS) -> Params:
    """Return the parameters in force.

    The environment variable ENGINE overrides the file, because machines differ. Raise `Failure` if the file is missing
    or not YAML, or a key is unknown, out of range, or missing without a default.
    """
    settings = parse(read(path))
    try:
        return replace(settings, engine=msgspec.convert(os.environ.get(ENGINE) or settings.engine, Engine))
    except msgspec.ValidationError as error:
        raise Failure(f"{ENGINE}: {error}") from None


def serving(path: Path = workspace.PARAMS) -> Serve:
    """Return the settings of the service. The other sections are not looked at: a release's bundle does not have them."""
    given = tree(read(path))
    return _converted({"serve": given.get("serve") if isinstance(given, dict) else given}, Served).serve


def judging(path: Path = workspace.PARAMS) -> Drift:
    """Return the settings of the drift check. The other sections are not looked at: `train` may be another problem's."""
    given = tree(read(path))
    return _converted({"drift": given.get("drift") if isinstance(given, dict) else given}, Judged).drift


def read(path: Path = workspace.PARAMS) -> str:
    """Return the file's text, its line ends as they are. Raise `Failure` if it is missing or not UTF-8."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is not UTF-8: {error}") from None
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run this from the repository's root") from None


class Once(yaml.SafeLoader):
    """A loader that refuses duplicate keys, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(sorted(twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Params:
    """Return the parameters that this text of params.yaml sets, and the defaults of all others."""
    return _converted(tree(text), Params)


def _converted(given: Any, kind: type[Kind]) -> Kind:
    whole, root = effective(given, kind), inspect.type_info(kind)
    if problem := params_check.key_problem(whole, root):
        raise Failure(f"params.yaml: {problem}")
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        raise Failure(f"params.yaml: {params_check.explained(str(error), root)}") from None


def tree(text: str) -> Any:
    """Return the content of params.yaml as YAML reads it. Raise `Failure` if it is not YAML or has a duplicate key."""
    try:
        return yaml.load(text, Once)  # noqa: S506  a safe loader, and stricter
    except yaml.YAMLError as error:
        raise Failure(f"params.yaml is not YAML: {' '.join(str(error).split())}") from None


def effective(given: Any, kind: type[Struct] = Params) -> Any:
    """Return a tree of params.yaml with the default of every key that it lacks, in the order of the structs.

    Keep unknown keys and values that should be mappings, for the check that reports them.
    """
    if not isinstance(given, dict):
        return given
    whole: dict[Any, Any] = {}
    for one in fields(kind):
        if isinstance(one.type, type) and issubclass(one.type, Struct):
            section = given.get(one.name)
            whole[one.name] = effective({} if section is None else section, one.type)
        elif one.name in given:
            whole[one.name] = given[one.name]
        elif not one.required:
            default = one.default if one.default_factory is msgspec.NODEFAULT else one.default_factory()
            whole[one.name] = msgspec.to_builtins(default)
    return whole | {name: value for name, value in given.items() if name not in whole}
