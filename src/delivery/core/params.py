"""params.yaml as frozen structs, one per section; an unknown, missing or wrong key fails and says which."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct, inspect
from msgspec.structs import replace

from delivery.core import workspace
from delivery.core.errors import Failure
from problem import Train

ENGINE = "DELIVERY_ENGINE"

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]  # an infinite margin would be a rule switched off
Count = Annotated[int, Meta(ge=1)]
# As `problem.periods` names them; also of files, folders and branches.
Period = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$")]
# In memory, in windows, on a Dask cluster of this machine, or on one at an address.
Engine = Annotated[str, Meta(pattern=r"^(memory|stream|dask|(tcp|tls|ws|wss)://[^\s]{1,200})$")]


class Fetch(Struct, frozen=True, forbid_unknown_fields=True):
    until: Period


class Validate(Struct, frozen=True, forbid_unknown_fields=True):
    missing_jump: Share
    psi_alarm: Positive


class Prepare(Struct, frozen=True, forbid_unknown_fields=True):
    test_periods: Count


class Export(Struct, frozen=True, forbid_unknown_fields=True):
    runtime: Literal["onnx", "sklearn"]
    tolerance: Positive
    examples: Annotated[int, Meta(ge=5)]  # four are the gaps


class Evaluate(Struct, frozen=True, forbid_unknown_fields=True):
    importance_rows: Count
    importance_repeats: Count


class Compare(Struct, frozen=True, forbid_unknown_fields=True):
    resamples: Annotated[int, Meta(ge=100)]
    score_resamples: Annotated[int, Meta(ge=50)]
    confidence: Annotated[float, Meta(gt=0.5, lt=1)]
    seed: Annotated[int, Meta(ge=0)]
    segment_rows: Count


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    floors: dict[str, float]
    margin: Positive
    segment_alpha: Share
    calibration_gap: Positive  # in the label's own unit
    model_mb: Positive
    latency_us: Positive


class Serve(Struct, frozen=True, forbid_unknown_fields=True):
    max_rows: Count
    max_bytes: Count


class LoadTest(Struct, frozen=True, forbid_unknown_fields=True):
    users: Count
    seconds: Positive
    max_p95_ms: Positive
    max_error_rate: Share
    min_rps: Positive
    budget: Positive
    rounds: Count


class Promote(Struct, frozen=True, forbid_unknown_fields=True):
    branches: dict[str, str]  # branch to the environment that gets its model
    releases: list[str]  # environments whose promotions make a GitHub release


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """Where an environment lasts; each target reads its own of these keys."""

    target: Literal["rehearsal", "process", "docker", "kubernetes"]
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000  # process, docker: of the proxy, on loopback
    folder: str = ""  # process, docker: state, models and logs; empty: below ~/.local/state/delivery
    proxy_image: str = ""  # process, docker: HAProxy by digest; empty: the system's program
    namespace: str = ""  # kubernetes; empty: the environment's name
    address: str = ""  # what people ask, where that is not the proxy's own address


class Canary(Struct, frozen=True, forbid_unknown_fields=True):
    steps: list[Annotated[int, Meta(ge=1, le=99)]]
    requests: Count
    seconds: Positive
    max_error_rate: Share
    max_slower: Positive
    slower_ms: Positive
    score_psi: Positive


class Deploy(Struct, frozen=True, forbid_unknown_fields=True):
    environments: dict[Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")], Place]
    ready_seconds: Positive
    watch_seconds: Annotated[float, Meta(ge=0)]
    drain_seconds: Positive
    canary: Canary


class Drift(Struct, frozen=True, forbid_unknown_fields=True):
    psi_alarm: Positive
    calibration_gap: Positive  # in the label's own unit
    confidence: Annotated[float, Meta(gt=0.5, lt=1)]
    min_gain: Annotated[float, Meta(ge=0)]
    min_rows: Count
    min_days: Count
    open_after: Count
    close_after: Count
    cooldown: Annotated[int, Meta(ge=0)]
    runs_per_year: Annotated[int, Meta(ge=0)]
    periods_per_year: Count
    minutes_per_month: Annotated[float, Meta(ge=0)]


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `low` to `high`: whole ones where both are whole, evenly spread by size or by order of magnitude."""

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ValueError("low has to be below high, and above 0 where log is true")


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    trials: Count
    folds: Count
    seed: Annotated[int, Meta(ge=0)]
    # Key of `train` to what it may be.
    space: Annotated[
        dict[str, Annotated[list[int | float | str | bool], Meta(min_length=1)] | Span], Meta(min_length=1)
    ]


class Params(Struct, frozen=True, forbid_unknown_fields=True):
    engine: Engine
    fetch: Fetch
    validate: Validate
    prepare: Prepare
    train: Train
    export: Export
    evaluate: Evaluate
    compare: Compare
    gate: Gate
    serve: Serve
    loadtest: LoadTest
    card: dict[str, str]  # section of the card to its text
    promote: Promote
    deploy: Deploy
    drift: Drift
    search: Search


def load(path: Path = workspace.PARAMS) -> Params:
    """Raises Failure for a missing file, broken YAML, or a key that is unknown, missing or out of range.

    Where work is done is this machine's affair too: ENGINE of the environment goes before the file's.
    """
    try:
        settings = parse(path.read_text(encoding="utf-8"))
        return replace(settings, engine=msgspec.convert(os.environ.get(ENGINE) or settings.engine, Engine))
    except msgspec.ValidationError as error:
        raise Failure(f"{ENGINE}: {error}") from None
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is not UTF-8: {error}") from None
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run this from the repository's root") from None


class Once(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(sorted(twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Params:
    try:
        return msgspec.convert(yaml.load(text, Once), Params)  # noqa: S506  a safe loader, and stricter
    except yaml.YAMLError as error:
        raise Failure(f"params.yaml is not YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise Failure(f"params.yaml: {_readable(str(error))}") from None


def _readable(error: str) -> str:
    """Names the choices where there are some: msgspec says only what was wrong."""
    place = error.rpartition("`$.")[2].rstrip("`")
    kind: Any = inspect.type_info(Params)
    for name in place.split("."):
        kind = next((field.type for field in getattr(kind, "fields", ()) if field.name == name), None)
    if "enum value" in error and isinstance(kind, inspect.LiteralType):
        return f"{error}; choose one of {', '.join(map(str, kind.values))}"
    if "Expected `float`, got `str`" in error:
        return f"{error}; YAML takes 1e-2 for text, write 0.01 or 1.0e-2"
    return error


CARD_SECTIONS = ("Intended use", "Limits", "Licence")


UNWRITTEN = "To be written"  # how `new` begins each sentence that only people can write
