# `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: help setup native rust fuzz-rust demo clean-demo test test-unit lint types imports generated generate images bench bench-media lock compare scale

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## Make .venv with everything Python that the project needs

$(VENV)/ready: pyproject.toml requirements/dev.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Callfleet needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/pip check --quiet --disable-pip-version-check
	@touch $@
	@! $(BIN)/python -c 'import callfleet_engine._native, callfleet_relay._native' 2> /dev/null || touch $(VENV)/native

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find native engine/native relay/native -name '*.rs' -o -name Cargo.toml)

native: $(VENV)/native ## Compile the native planes of engine and relay; needs a Rust compiler

$(VENV)/native: $(VENV)/ready $(RUST_SOURCES)
	$(BIN)/python -m tests.cluster prepare --for rust
	@# Alone first: what pip builds is optional, and goes on with what was built before.
	cargo build --locked --quiet --release --package callfleet-relay-native --package callfleet-engine-native
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -c 'import callfleet_engine._native, callfleet_relay._native'
	@touch $@

rust: setup ## Rust: style, common mistakes, tests
	$(BIN)/python -m tests.cluster prepare --for rust
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- --deny warnings
	cargo test --locked --quiet

fuzz-rust: setup ## Fuzz the Rust parsers for long; CASES=2000000
	PROPTEST_CASES=$(or $(CASES),2000000) cargo test --locked --release --package callfleet-relay-plane -- stun streams
	PROPTEST_CASES=$(or $(CASES),2000000) cargo test --locked --release \
		--package callfleet-media --package callfleet-srtp --package callfleet-stun any_

demo: setup clean-demo ## The main job from an empty machine on; KEEP=1 leaves it up
	$(BIN)/python -m tests.demo $(if $(KEEP),--keep)

clean-demo: setup ## Take down what a demo left, however it ended
	$(BIN)/python -m tests.cluster down --name callfleet-demo
	$(BIN)/python -m tests.cluster clean

# What has failed is tried once more with nothing beside it: on two cores a browser may be late. Both
# runs are shown, and what fails again, or for another reason than a test, fails.
ALONE := --last-failed --last-failed-no-failures=none

test: lint types imports generated ## Everything that CI runs; installs what the machine lacks
	$(BIN)/python -m tests.cluster prepare
	$(MAKE) native rust
	$(BIN)/pytest -m 'not cluster' --numprocesses $(WORKERS) --cov --cov-report= \
		|| $(BIN)/pytest -m 'not cluster' $(ALONE) --cov --cov-append --cov-report=
	$(BIN)/pytest -m cluster --cov --cov-append \
		|| $(BIN)/pytest -m cluster $(ALONE) --cov --cov-append

test-unit: setup ## Tests that need Python only and do not wait; under a minute on two cores
	$(BIN)/pytest -m 'not api and not cluster and not peer and not slow' --hypothesis-profile=quick --numprocesses $(WORKERS)

lint: setup ## Style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## Who may import whom
	$(BIN)/lint-imports

generated: setup ## Whether generated files are current
	$(BIN)/python -m callfleet_operator.api.v1alpha1.crd --check

generate: setup ## Write the CRDs, the chart's copies of them, the alerts and the reference anew
	$(BIN)/python -m callfleet_operator.api.v1alpha1.crd
	$(BIN)/python -m callfleet_operator.api.v1alpha1.reference > docs/reference/api.md
	$(BIN)/python -m callfleet_operator.status.reference > docs/reference/conditions.md
	$(BIN)/python -m callfleet_operator.status.alerts > charts/callfleet/files/rules/conditions.yaml
	$(BIN)/python -m tests.docs.command_lines > docs/reference/command-lines.md
	$(BIN)/python -m tests.docs.relay_settings

images: setup ## Build the images; REGISTRY=... also pushes them and prints the Helm values
	$(BIN)/python -m tests.cluster images $(if $(REGISTRY),--registry $(REGISTRY))

bench: setup ## Every table of the source document that has been measured so far
	$(BIN)/python -m tests.bench

bench-media: setup ## The media plane beside LiveKit and Janus, as root; SCENES="rates limit calls joins qualities"
	$(BIN)/python -m tests.bench media $(SCENES)

compare: setup ## The same calls on a CallCluster and on Deployments with an HPA; 20 minutes
	$(BIN)/python -m tests.compare

scale: setup ## The operator beside 200, 600 and 2,000 CallClusters; 20 minutes or more
	$(BIN)/python -m tests.scale

lock: ## Renew the lock files in requirements/ (needs uv)
	$(LOCK) --extra operator --extra otel -o requirements/operator.txt
	for part in engine relay; do $(LOCK) --extra $$part -o requirements/$$part.txt; done
	$(LOCK) --all-extras --group dev -o requirements/dev.txt

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml
