"""Every path of the project's folder, relative to its root: written here and nowhere else."""

from pathlib import Path

# What the problem and the team own.
PARAMS = Path("params.yaml")
TESTS = Path("tests")
SOURCE_FILES = Path("source")  # where `new` keeps the file that the problem was made from

# What DVC keeps.
DVC_YAML = "dvc.yaml"  # a folder that has it holds a model
DVC_LOCK = Path("dvc.lock")
DATA_FILE = Path("data.dvc")
DATA = Path("data")
ARTIFACTS = Path("artifacts")
PREPARED = ARTIFACTS / "prepare"
TRAINED = ARTIFACTS / "train"
MODEL = TRAINED / "model.skops"
CONVERGENCE = TRAINED / "convergence.json"
EXPORT = ARTIFACTS / "export"
MANIFEST = "manifest.json"  # in EXPORT
EXAMPLES = "examples.json"  # in EXPORT
PREDICTIONS = ARTIFACTS / "evaluate" / "predictions.parquet"

# What verbs write for people and for each other.
REPORTS = Path("reports")
VALIDATION = REPORTS / "validate.json"
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
COMPARISON = REPORTS / "compare.json"
GATE = REPORTS / "gate.json"
GATE_PAGE = REPORTS / "gate.md"
REPORT = REPORTS / "report.md"
REVIEW = REPORTS / "review"
LOAD = REPORTS / "load.json"
SHADOW = REPORTS / "shadow.json"
BATCH = REPORTS / "batch"
SEARCH = REPORTS / "search.json"
DRIFT = REPORTS / "drift.json"
DRIFT_PAGE = REPORTS / "drift.md"
BACKTEST = REPORTS / "drift.backtest.json"
BACKTEST_PLOT = REPORTS / "drift.backtest.png"
# Results that the job with read access hands over to the job with write access.
RESULTS_FOLDER = REPORTS / "results"
# Files in git that a run of the pipeline changes; dvc.yaml where `make lay` has replaced it.
RESULTS = (DVC_YAML, str(DVC_LOCK), METRICS.as_posix(), VALIDATION.as_posix())

# What can be made again.
CACHE = Path(".cache")
RECORDS = CACHE / "records"
SOURCE_CACHE = CACHE / "source"
SEARCH_JOURNALS = CACHE / "search"
WINDOWS_CACHE = CACHE / "drift" / "windows"
COMMENT = CACHE / "comment.md"

# The checkout of the branch `store`.
STORE = Path(".store")
DVC_REMOTE = STORE / "dvc"  # the default remote
DVC_OBJECTS = DVC_REMOTE / "files" / "md5"
REGISTRY_DATABASE = STORE / "mlflow" / "mlflow.db"
REGISTRY_ARTIFACTS = STORE / "mlflow" / "artifacts"
WINDOWS_KEPT = STORE / "drift" / "windows"
DRIFT_LOG = STORE / "drift" / "log.jsonl"

# What other programs read or bring.
CML = Path(".cml/bin/cml.js")  # .github/actions/cml puts it there
LOCUSTFILE = Path("tests/load/locustfile.py")
OVERLAYS = Path("deploy/kubernetes/overlays")
