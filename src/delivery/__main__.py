"""The command line: `python -m delivery <verb>`, a thin layer over the modules."""

import argparse
import importlib
import os
import sys
import traceback

from delivery import github
from delivery.errors import Failure

STAGES = {
    "validate": "check the raw tables against their schema",
    "prepare": "raw tables to training and test rows, split by time",
    "train": "fit the model",
    "export": "the model as what the service loads, proven equal to scikit-learn",
    "evaluate": "metrics with intervals, segments, importance, plots",
}
# A model fitted with two threads is another file, and a contended fit takes ten times as long.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
# Each of these has a module with `arguments(parser)` and `main(options)`: its name, or what PLACES says.
VERBS = {
    "run": "everything in order: data, pipeline, report, gate, registry, service, load, drift",
    "fetch": "write data/ from the source, up to fetch.until",
    "compare": "the model against another one, on the same rows",
    "gate": "pass, warn or fail, with the evidence; exit 1 on fail",
    "report": "one page: verdict, metrics, segments, changes, plots, lineage",
    "register": "the model as a version in the registry",
    "card": "what a version is for, its numbers, limits, lineage, and who let it through",
    "audit": "every promotion, deployment and rollback with who, when and the evidence",
    "prune": "the files of old versions leave the store, their records stay",
    "lineage": "from a version back to its commit, data and numbers",
    "store": "the store branch: pull, push",
    "migrate": "what the store holds to a registry server, or to another DVC remote",
    "serve": "answer requests with a model",
    "contract": "ask a running service for known rows, and for its errors",
    "loadtest": "requests per second, latency and errors of a running service",
    "drift": "would a model trained with the next month be better?",
    "backtest": "the drift policy over the whole year again: what it would have opened, and gained",
    "engine": "where work is done: on this machine, or on a Dask cluster, and whether that answers",
    "search": "other settings of the model, tried on training rows; the winner as a pull request",
    "reproduce": "the model that the commit describes, from the store or made again",
    "review": "what a reviewer of a pull request sees: reproduce, compare, gate, page",
    "results": "push what a run of the pipeline made: files to the store, dvc.lock to the branch",
    "comment": "the page of a run as one comment on its pull request",
    "promote": "a measured model to the environment of its branch",
    "deploy": "a version to an environment",
    "rehearse": "a model as a service on this machine: contract, load, stop",
    "rollback": "an environment back to the version before",
    "status": "what runs where, since when, from which commit, by whom",
    "history": "what each environment has had, and the four figures of delivery",
    "batch": "a month scored with the model that serves",
    "score": "rows of features in parquet, however many, with the exported model",
    "retrain": "a pull request with a newly trained model, if drift found that worth it",
    "runner": "where a pull request's pipeline runs, by its labels",
    "models": "which folders of a repository of several models a change concerns",
    "suite": "one folder of tests/, with its outcome in the summary of the run",
    "new": "a problem of your own from a CSV or parquet file, ready to run",
    "adopt": "another problem takes the sample's place",
    "upgrade": "later improvements of the template, without conflicts in what a fork owns",
    "doctor": "what is set up, what is not, and how to mend it",
}

PLACES = {
    "new": "new.scaffold",
    "drift": "drift.check",
    "backtest": "drift.backtest",
    "retrain": "drift.retrain",
    "search": "search.run",
    "deploy": "deploy.release",
    "rehearse": "deploy.rehearse",
    "rollback": "deploy.rollback",
    "status": "deploy.status",
    "history": "deploy.history",
}


def main(argv: list[str] | None = None) -> int:
    os.environ |= THREADS  # before numpy is imported: OpenMP and OpenBLAS read them once
    github.authenticate()
    options = parser(argv).parse_args(argv)
    try:
        return options.main(options) or 0
    except Failure as failure:
        return refuse(str(failure), options)
    except KeyboardInterrupt:
        return refuse("interrupted; run it again, what was done is kept", options)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return refuse(f"{error.strerror or error}{where}; mend this and run it again, nothing is half-written", options)


def refuse(line: str, options: argparse.Namespace) -> int:
    if options.traceback:
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    if options.verb not in STAGES:  # a stage is run by another verb, which says it
        github.summary(f"**❌ `{options.verb}` stopped: {line}**")
    return 1


def parser(argv: list[str] | None = None) -> argparse.ArgumentParser:
    """The whole tree of verbs; only the one that is asked for is imported."""
    asked = next((word for word in (sys.argv[1:] if argv is None else argv) if not word.startswith("-")), None)
    root = argparse.ArgumentParser(prog="python -m delivery", description=__doc__)
    root.add_argument("--traceback", action="store_true", help="show where an error came from")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, text in STAGES.items():
        verb = verbs.add_parser(name, help=f"stage: {text}", description=text)
        verb.set_defaults(main=stage)
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        if name == asked:
            module = importlib.import_module(f"delivery.{PLACES.get(name, name)}")
            module.arguments(verb)
            verb.set_defaults(main=module.main)
    return root


def stage(options: argparse.Namespace) -> None:
    from delivery import params, records

    module = importlib.import_module(f"delivery.{options.verb}")
    with records.stage(options.verb):
        module.run(params.load())


if __name__ == "__main__":
    sys.exit(main())
