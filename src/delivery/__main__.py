"""Run one verb of the command line: `delivery <verb>`. Each verb is the module of its name in the room it belongs to."""

import argparse
import difflib
import importlib
import os
import sys
import traceback
from typing import NamedTuple

from delivery.adapters import github
from delivery.core.errors import Failure

# A model fitted with two threads has different bytes, and a contended fit takes ten times as long.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
STAGES = ("validate", "prepare", "train", "export", "evaluate")


class Room(NamedTuple):
    """A group of verbs in the help, and the package that holds their modules."""

    title: str
    package: str
    verbs: dict[str, str]


# What people type comes first, what only workflows call comes last.
ROOMS = (
    Room(
        "The whole loop",
        "",
        {"run": "run the whole loop: data, pipeline, report, gate, registration, service, load test, drift check"},
    ),
    Room(
        "Is the model better?",
        "decision",
        {
            "compare": "compare the model with another one on the same rows",
            "compatibility": "compare what clients see with the versions that serve; exit 1 if something breaks",
            "gate": "check every rule a model must pass; exit 1 if one fails",
            "report": "write the page: verdict, metrics, segments, changes, plots, lineage",
        },
    ),
    Room(
        "What runs where?",
        "deploy",
        {
            "deploy": "deploy a version to an environment",
            "rollback": "return an environment to its previous good version",
            "bake": "watch a version after its deployment; `deploy` starts it",
            "steer": "widen or end a canary that another command runs",
            "repair": "bring an environment back after a reboot, a kill or a damaged file",
            "drill": "prove that each environment could be rolled back",
            "retire": "take an environment out of service",
            "status": "show what each environment serves, since when and by whom",
            "rehearse": "serve a model on this machine, check and load-test it, then stop",
        },
    ),
    Room(
        "Versions and their records",
        "registry",
        {
            "register": "register the model as a version",
            "card": "print a version's model card: purpose, metrics, limits, approvals",
            "lineage": "trace a version to its commit, data and metrics",
            "history": "list what each environment has served, and its four DORA metrics",
            "audit": "list every promotion, deployment and rollback: who, when and why",
            "prune": "delete files of old versions from the store; their records stay",
            "compact": "remove from the store what nobody needs any more, and its history",
            "migrate": "copy the store's contents to a registry server or another DVC remote",
        },
    ),
    Room(
        "Has the world changed?",
        "drift",
        {
            "drift": "check whether a challenger trained on newer data beats the champion on a later period",
            "backtest": "replay the drift policy over all periods: what it opens and gains",
        },
    ),
    Room("Better settings", "search", {"search": "search for better hyperparameters, on training rows only"}),
    Room(
        "Scoring in bulk",
        "scoring",
        {
            "batch": "score the periods that the version in production has not scored",
            "score": "score feature rows in Parquet files with the exported model",
        },
    ),
    Room("The service", "service", {"serve": "serve the model over HTTP"}),
    Room(
        "A running service, from outside",
        "probe",
        {
            "contract": "send known rows and invalid requests to a running service, and check its answers",
            "loadtest": "measure a running service: requests per second, latency, errors",
        },
    ),
    Room("Your own problem", "fork.new", {"new": "create a problem from a CSV or Parquet file, ready to run"}),
    Room(
        "Your fork",
        "fork",
        {
            "adopt": "replace the sample machine-learning problem with the one in a folder",
            "upgrade": "merge a newer version of the template; files that your fork owns stay",
            "doctor": "check the set-up, and say how to fix what is missing",
        },
    ),
    Room("Parameters", "core", {"params": "print the parameters in force, and which of them params.yaml sets"}),
    Room("Data", "data", {"fetch": "fetch the raw tables up to fetch.until into data/"}),
    Room(
        "Stages of the pipeline, as dvc.yaml runs them",
        "pipeline",
        {
            "validate": "check the raw tables against their schema",
            "prepare": "build training and test rows, split by time",
            "train": "fit the model",
            "export": "export the model for serving, and verify that it predicts what scikit-learn predicts",
            "evaluate": "measure the exported model: metrics with intervals, segments, importance, plots",
        },
    ),
    Room("Machines and stores", "adapters", {"store": "pull or push the store branch"}),
    Room(
        "",
        "compute",
        {"engine": "show whether work runs on this machine or on a Dask cluster, and whether the cluster answers"},
    ),
    Room(
        "Called by workflows",
        "ci",
        {
            "scope": "decide by the changed files which jobs of ci have something to do",
            "reproduce": "reproduce the model of this commit from the store or by running the pipeline",
            "review": "reproduce a pull request's model, compare it with the baseline, apply the gate and write the report",
            "results": "push a pipeline run's results to the store and its branch",
            "promote": "deliver a measured model to the environment of its branch",
            "bump": "propose the newer versions in the locks, and the newest base image, in one pull request",
            "scan": "look for known vulnerabilities in the locks and in images; exit 1 if a severe one has a fix",
            "models": "list the models that a change touches, in a repository with several models",
            "runner": "choose the runner for a pull request from the labels of the pull request",
            "comment": "post a run's report as one comment on its pull request",
            "command": "carry out `/results`, which a maintainer wrote as a comment of a pull request",
            "alert": "keep one issue for a scheduled workflow that is red, with the cause",
            "refresh": "bring pull requests up to date that a push to their base has put into conflict",
            "unblock": "cancel runs that hold up a rollback while they wait for an approval",
            "suite": "run folders of tests/ and summarise their outcomes",
        },
    ),
    Room(
        "", "drift", {"retrain": "open, update or close the retraining pull request, as the last drift check decided"}
    ),
)
MODULES = {verb: ".".join(filter(None, ("delivery", room.package, verb))) for room in ROOMS for verb in room.verbs}
WIDTH = max(map(len, MODULES)) + 2


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviated options: `search --propos` must not open a pull request."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings, allow_abbrev=False)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> int:
    """Run the verb in `argv` and return the exit code: 0, 1 for a refusal, or the verb's own."""
    os.environ |= THREADS  # before numpy is imported: OpenMP and OpenBLAS read them once
    github.authenticate()
    options = parser(argv).parse_args(argv)
    try:
        return options.main(options) or 0
    except Failure as failure:
        return refuse(str(failure), options)
    except KeyboardInterrupt:
        return refuse("interrupted; run it again to resume, finished work is kept", options)
    except OSError as error:
        path = f" {error.filename}" if error.filename else ""
        return refuse(f"{error.strerror or error}{path}; fix this and run it again", options)


def refuse(line: str, options: argparse.Namespace) -> int:
    """Print the error line, also to the summary of a workflow run, and return 1."""
    if options.traceback:
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    if options.verb not in STAGES:  # the verb that runs the stages reports it
        github.summary(f"**❌ `{options.verb}` stopped: {line}**")
        github.annotate(options.verb, line)
    return 1


def parser(argv: list[str] | None = None) -> argparse.ArgumentParser:
    """Build the parser of the verb in `argv`, whose module alone is imported; without a verb, that of all."""
    root = Parser(
        prog="delivery",
        usage="delivery [--traceback] VERB ...",
        description="Continuous delivery for a machine-learning model.",
        epilog=overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    asked = next((word for word in (sys.argv[1:] if argv is None else argv) if not word.startswith("-")), None)
    if asked is not None and asked not in MODULES:
        root.exit(2, f"error: {unknown(asked)}\n")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB", help=argparse.SUPPRESS)
    texts = {verb: text for room in ROOMS for verb, text in room.verbs.items()}
    for verb in texts if asked is None else [asked]:
        sentence = f"{texts[verb][0].upper()}{texts[verb][1:]}."
        added = verbs.add_parser(verb, description=sentence, prog=f"delivery {verb}")
        if verb in STAGES:
            added.set_defaults(main=stage)
        elif verb == asked:
            module = importlib.import_module(MODULES[verb])
            module.arguments(added)
            added.set_defaults(main=module.main)
    return root


def overview() -> str:
    """List all verbs by room, for the help."""
    lines = []
    for room in ROOMS:
        lines += ["", f"{room.title}:"] if room.title else []
        lines += [f"  {verb:{WIDTH}}{text}" for verb, text in room.verbs.items()]
    return "\n".join([*lines[1:], "", "`delivery VERB --help` explains one of them."])


def unknown(verb: str) -> str:
    """Say that there is no such verb, and which one may have been meant."""
    near = difflib.get_close_matches(verb, MODULES, n=1)
    return f"there is no verb {verb}; " + (f"did you mean {near[0]}?" if near else "`delivery --help` lists them all")


def stage(options: argparse.Namespace) -> None:
    """Run a stage of the pipeline and keep a record of it."""
    from delivery.core import params
    from delivery.pipeline import records

    module = importlib.import_module(MODULES[options.verb])
    with records.stage(options.verb):
        module.run(params.load())


if __name__ == "__main__":
    sys.exit(main())
