# `make help` lists every target.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The Python that .venv is made from.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Set in some containers; with it every process would compile every import anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11
EXTRAS := --extra aws --extra cluster --extra embedded

##@ To begin with
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with every pinned dependency (once; nothing to do needs no network)

demo: $(READY) ## Walk the example round the loop in a real Airflow; may be interrupted and started again
	$(BIN)/python -m demo.run

##@ To run the example
up: $(READY) ## Start Airflow, MLflow and their databases; says where they are
	$(BIN)/keepfit up

down: $(READY) ## Stop them
	$(BIN)/keepfit down

status: $(READY) ## Show what runs
	$(BIN)/keepfit status

##@ To work on keepfit
format: $(READY) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(READY) ## Format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos

test: $(READY) ## Run every test: unit, DAG, integration, and end to end with a real Airflow
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(ARGS)

coverage: $(READY) ## Run every test and show which lines none has run
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

bench: $(READY) ## Run the benchmarks
	for file in benchmarks/[a-z]*.py; do $(BIN)/python "$$file"; done

wheel: $(READY) ## Build the wheel into dist/
	$(BIN)/uv build --quiet --wheel --out-dir dist

lock: $(READY) ## Resolve pyproject.toml anew into both requirements files
	$(LOCK) $(EXTRAS) pyproject.toml --output-file requirements.txt
	$(LOCK) $(EXTRAS) --extra xgboost --extra demo pyproject.toml --group dev --output-file requirements-dev.txt

upgrade: LOCK += --upgrade
upgrade: lock ## Like lock, but take the newest versions

clean: ## Stop what runs and remove everything that was made, .venv too
	if [ -x $(BIN)/keepfit ]; then $(BIN)/keepfit down; fi
	rm -rf $(VENV) .keepfit dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

# Only what the lock holds gets in: the hash of each file is checked, uv's own too.
$(READY): requirements-dev.txt pyproject.toml
	"$(PYTHON)" -m venv $(VENV)
	awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements-dev.txt > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements-dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

.PHONY: help setup demo up down status format check test coverage bench wheel lock upgrade clean
