"""Record each trial as a run of the registry, in addition to this machine's journal."""

import hashlib

import msgspec

from delivery.core.params import Params
from delivery.registry import registry
from delivery.search.trials import Trial
from problem import PRIMARY, Train

EXPERIMENT = "search"


def on_record(search: str) -> set[str]:
    """Return the digests of a search's trials that the registry has."""
    return {run.tags["trial"] for run in registry.runs(EXPERIMENT, {"search": search})}


def record(search: str, trial: Trial, rows: int, settings: Params) -> None:
    """Add a trial to the registry as a run of its own, named by the settings that are searched for."""
    tags = {"search": search, "trial": digest(trial.train)} | ({"failed": trial.failed} if trial.failed else {})
    metrics = {} if trial.failed else {PRIMARY: sum(trial.sums) / rows, "seconds": trial.seconds}
    registry.add_run(
        EXPERIMENT,
        words(trial.train, settings),
        tags,
        settings=msgspec.to_builtins(trial.train),
        measured=metrics,
        status="FAILED" if trial.failed else "FINISHED",
    )


def digest(train: Train) -> str:
    """Return what identifies settings: 16 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(train)).hexdigest()[:16]


def words(train: Train, settings: Params) -> str:
    """Return the settings that are searched, in words."""
    return ", ".join(f"{name} {getattr(train, name)}" for name in settings.search.space)
