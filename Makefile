# `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup lint types imports test-unit test

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## Make .venv with everything Python that the project needs

$(VENV)/ready: pyproject.toml requirements/dev.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Callfleet needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

lock: ## Renew the lock files in requirements/ (needs uv)
	for part in operator engine relay; do $(LOCK) --extra $$part -o requirements/$$part.txt; done
	$(LOCK) --all-extras --group dev -o requirements/dev.txt

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

lint: setup ## Style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## Who may import whom
	$(BIN)/lint-imports

test-unit: setup ## Tests that need Python only; under a minute
	$(BIN)/pytest -m 'not api and not cluster and not peer'

test: lint types imports ## Everything that CI runs
	$(BIN)/pytest
