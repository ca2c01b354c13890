"""Every path in the project's folder, relative to its root. No other module writes one."""

from pathlib import Path

# Files of the problem and the team.
PARAMS = Path("params.yaml")
TESTS = Path("tests")
SOURCE_FILES = Path("source")  # `new` copies the file here that it made the problem from

REQUIREMENTS = Path("requirements")  # the locks
DOCKERFILE = Path("Dockerfile")
VULNERABILITIES = Path(".github/vulnerabilities.toml")  # exceptions of `scan`; relative to the repository's root

TEMPLATE = Path(".template")  # the template's commit that the last `upgrade` merged

# Files of DVC, and the files that it manages.
DVC_YAML = "dvc.yaml"  # a folder that has it holds a model
DVC_LOCK = Path("dvc.lock")
DVC_CONFIG = Path(".dvc/config")  # config.local, which is not in git, overrides it
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

# Reports that verbs write for people and for each other.
REPORTS = Path("reports")
VALIDATION = REPORTS / "validate.json"
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
COMPARISON = REPORTS / "compare.json"
COMPATIBILITY = REPORTS / "compatibility.json"
COMPATIBILITY_PAGE = REPORTS / "compatibility.md"
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
# Files in git that a run of the pipeline changes, with dvc.yaml, which `make lay` may replace.
RESULTS = (DVC_YAML, str(DVC_LOCK), METRICS.as_posix(), VALIDATION.as_posix())

# Files that can be recreated.
CACHE = Path(".cache")
RECORDS = CACHE / "records"
SOURCE_CACHE = CACHE / "source"
SEARCH_JOURNALS = CACHE / "search"
WINDOWS_CACHE = CACHE / "drift" / "windows"
COMMENT = CACHE / "comment.md"
LOCKED = CACHE / "locks.json"  # the packages of the locks, as `scan` lists them
GIT_TAGS = CACHE / "tags.git"  # a copy of the remote's tags that record versions

# The checkout of the store branch.
STORE = Path(".store")
DVC_REMOTE = STORE / "dvc"  # the default remote
STORE_REMOTE = "store"  # its name in DVC's configuration, also where a bucket is the default
DVC_OBJECTS = DVC_REMOTE / "files" / "md5"
REGISTRY_DATABASE = STORE / "mlflow" / "mlflow.db"
REGISTRY_ARTIFACTS = STORE / "mlflow" / "artifacts"
WINDOWS_KEPT = STORE / "drift" / "windows"
PLOTS_KEPT = STORE / "plots"  # of comments and pull requests, one folder for each commit or period
BATCH_KEPT = STORE / "batch"
DRIFT_LOG = STORE / "drift" / "log.jsonl"

# Files that other programs read or install.
CML = Path(".cml/bin/cml.js")  # .github/actions/cml puts it there
COMMAND_WORKFLOW = Path(".github/workflows/command.yml")
LOCUSTFILE = Path("tests/load/locustfile.py")
OVERLAYS = Path("deploy/kubernetes/overlays")
