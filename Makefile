# Every target works from a fresh clone: what it needs is set up first.
# `make` alone prints the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run ui test lint lint-python lint-types lint-layers lint-sql format bench wheel lock clean distclean

# More than there are cores: many tests wait for a server, a daemon or a clock.
JOBS ?= 4
PYTEST_ARGS ?=
BIN := .venv/bin
STAMP := .venv/.stamp

# An environment that was copied or moved with its folder points at the old place.
ifneq ($(shell cat .venv/.made-in 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from requirements.lock (nothing to do when it is up to date)

$(STAMP): requirements.lock pyproject.toml tools/setup
	@tools/setup

run: $(STAMP) ## Run the platform once from the source files to its checks, and print what it did
	$(BIN)/rrr run

ui: $(STAMP) ## Start the database and the Dagster UI
	$(BIN)/rrr up
	$(BIN)/rrr ui

test: $(STAMP) ## Run all tests (JOBS=4 processes; PYTEST_ARGS="-m 'not slow' -k bars")
	$(BIN)/pytest -n $(JOBS) --junitxml=build/reports/tests.xml $(PYTEST_ARGS)

lint: lint-python lint-types lint-layers lint-sql ## Check style, types, layers and SQL (make -k lint shows all)

lint-python: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: $(STAMP)
	$(BIN)/mypy

lint-layers: $(STAMP)
	$(BIN)/lint-imports

lint-sql: $(STAMP)
	$(BIN)/sqlfluff lint sql

format: $(STAMP) ## Rewrite Python and SQL in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/sqlfluff fix sql

bench: $(STAMP) ## Measure ingest, bars and reads on this machine
	$(BIN)/rrr bench

wheel: $(STAMP) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

# The lock names no index and no host: whoever installs says where from. Extras stay: pip takes `gql` for no pin of `gql[requests]`.
lock: $(STAMP) ## Resolve pyproject.toml into requirements.lock, raising nothing that need not be (UPGRADE=--upgrade raises all)
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra backup --universal --python-version 3.11 --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --quiet $(UPGRADE) -o requirements.lock

# A server that still runs is stopped before its data is taken from under it; another home's is left alone.
clean: ## Stop the embedded server, delete its data (.rrr), builds and caches
	if [ -d .rrr ] && [ -x $(BIN)/rrr ]; then env -u RRR_DATABASE_URL RRR_HOME="$(CURDIR)/.rrr" $(BIN)/rrr down; fi
	rm -rf .rrr build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find rrr_assets rrr_assets_tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and delete .venv
	rm -rf .venv
