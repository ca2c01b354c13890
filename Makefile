# Every target is a short way to a verb of `delivery`; the verbs do the work.
PYTHON ?= python3.11
# Locked sets to install, by their file in requirements/. `dev` holds `pipeline`; CI installs what a job needs.
REQUIREMENTS ?= dev
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where it is set, as in many images, each of a hundred processes compiles pandas and scikit-learn anew: 3 s each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run serve test mutants simulate check docs drift lay lock scale structure ui
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:  ## this list, and the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
	@if [ -x $(BIN)/delivery ]; then $(BIN)/delivery --help; else echo 'The verbs: make setup, then make help'; fi

# Sets that DVC needs for the buckets in .dvc/config: s3, gs or azure.
BUCKETS := $(shell sed -nE 's,^ *url = (s3|gs|azure)://.*,\1,p' .dvc/config 2>/dev/null | sort -u)

setup: $(REQUIREMENTS:%=.venv/%) $(BUCKETS:%=.venv/%)  ## .venv from the hashed locks

# What a set was installed from and where. Not dates, which a checkout and a cache change; and the folder, which is written
# into every script of .venv: one that was moved, or restored elsewhere, is built anew.
made_of = $(CURDIR) $(shell cat requirements/setup.txt requirements/$(1).txt pyproject.toml | git hash-object --stdin)
PIP := $(BIN)/python -m uv pip install --quiet --python $(BIN)/python

.venv/%: always
	@if ! [ -x $(BIN)/python ] || [ "$$(cat .venv/ready-$* 2>/dev/null)" != '$(call made_of,$*)' ]; then \
	  echo 'setup: installing the locked set $* into .venv (up to a minute)'; \
	  command -v $(PYTHON) >/dev/null || { echo 'error: $(PYTHON) is missing; install it or set PYTHON=...' >&2; exit 1; }; \
	  if ! [ -x $(BIN)/python ] || grep -qsvF '$(CURDIR) ' .venv/ready-*; then \
	    if [ -L .venv ]; then rm .venv; fi && $(PYTHON) -m venv --clear .venv; fi && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt && \
	  $(PIP) --require-hashes -r requirements/$*.txt && \
	  $(PIP) --no-deps --no-build-isolation --editable . && \
	  echo '$(call made_of,$*)' > .venv/ready-$*; \
	fi

always:

run: setup  ## everything in order: data, pipeline, report, gate, registry, service, load, drift
	@$(BIN)/delivery run

serve: setup  ## the model on disk answers on http://127.0.0.1:8000 until you stop it
	@$(BIN)/delivery serve

test: setup  ## the tests, without Docker, and how much of src/delivery they cover
	@$(BIN)/python -m pytest --cov --cov-report=

mutants: setup  ## mutation testing of the modules that decide, in a copy: MODULE=gate for one of them
	@$(BIN)/python tests/mutants/run.py $(if $(MODULE),--module $(MODULE))

simulate: setup  ## weeks of a repository by seeds, with faults: SEEDS=1000 WEEKS=52; KEPT=FILE resumes
	@PYTHONPATH=tests $(BIN)/python -m simulation --first $(or $(FIRST),0) --seeds $(or $(SEEDS),20) --weeks $(or $(WEEKS),12) $(if $(KEPT),--kept $(KEPT))

check: setup  ## formatting, lint, types, workflows, secrets; of the files changed since BASE=origin/main, or of all
	@$(BIN)/pre-commit run $(if $(BASE),--from-ref $(BASE) --to-ref HEAD,--all-files) --show-diff-on-failure

structure: setup  ## rooms, floors, arrows and sizes of src/, and what they may be at most
	@$(BIN)/python benchmarks/structure.py

drift: setup  ## would a new model be better? PERIOD=2013-07
	@$(BIN)/delivery drift $(if $(or $(PERIOD),$(MONTH)),--period $(or $(PERIOD),$(MONTH)))

docs: setup  ## the pages of docs/ as a site, in site/
	@$(BIN)/zensical build --strict

ui: setup  ## MLflow's pages over the store, on http://127.0.0.1:5000
	@$(BIN)/mlflow server --backend-store-uri sqlite:///.store/mlflow/mlflow.db --artifacts-destination .store/mlflow/artifacts

# What a repository of callers, or the folder of a model among several, does not hold (docs/how-to/many-models.md).
LAID := .dockerignore .pre-commit-config.yaml .prose Dockerfile Makefile benchmarks deploy dvc.yaml pyproject.toml requirements \
	src/delivery src/problem/__init__.py tests

lay:  ## the machinery beside a problem that has none of its own: INTO=folder
	@mkdir -p "$(INTO)"
	@tar --create --exclude 'tests/*problem' --exclude __pycache__ $(LAID) | tar --extract --no-same-owner --directory "$(INTO)"

LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

scale: setup .venv/scale  ## what an outgrown set-up needs as well, into .venv (docs/how-to/scale.md)

lock:  ## the hashed requirement locks from pyproject.toml: UPGRADE='--upgrade-package NAME' or --upgrade raises versions
	@$(LOCK) --extra dev --output-file requirements/dev.txt
	@$(LOCK) --extra pipeline --constraint requirements/dev.txt --output-file requirements/pipeline.txt
	@$(LOCK) --extra scale --constraint requirements/dev.txt --output-file requirements/scale.txt
	@for bucket in s3 gs azure; do \
	  $(LOCK) --extra $$bucket --constraint requirements/scale.txt --output-file requirements/$$bucket.txt || exit 1; \
	done
	@$(LOCK) --constraint requirements/dev.txt --output-file requirements/serve.txt
	@$(LOCK) --extra sklearn --constraint requirements/dev.txt --output-file requirements/sklearn.txt
	@echo uv | $(BIN)/uv pip compile - --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --constraint requirements/dev.txt --output-file requirements/setup.txt
