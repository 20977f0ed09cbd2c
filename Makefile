# The verbs of this project. `make help` lists them. Nothing is needed but Python 3.11 or newer and make.

SHELL := /bin/sh
# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.DEFAULT_GOAL := help
.PHONY: help run demo test faults check format bench bench-blocks bench-sealing clean

help:  ## List the verbs
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp  ## Install what is needed, start everything on http://127.0.0.1:8000; Ctrl-C stops it. ARGS="--web 2 --port 8100"
	@$(BIN)/python manage.py up $(ARGS)

demo: $(VENV)/run.stamp  ## Prove the main job on a running system: a play, spoken by many devices
	@$(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/dev.stamp  ## Run every test, on servers of its own. ARGS="-k late"
	@$(BIN)/python -m pytest $(ARGS)

faults: $(VENV)/dev.stamp  ## Only the tests that kill and freeze parts under load, and for longer. ROUNDS=10
	@FAULT_ROUNDS=$(or $(ROUNDS),3) $(BIN)/python -m pytest tests/faults $(ARGS)

check: $(VENV)/dev.stamp  ## Lint, types, import contracts, settings, migrations
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: $(VENV)/dev.stamp  ## Lay out the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp  ## Measure, and keep the figures under bench/results
	@$(BIN)/python -m bench $(ARGS)

bench-blocks: $(VENV)/dev.stamp  ## What the drain's block step costs, in interleaved pairs; 4 minutes on a quiet machine
	@$(BIN)/python -m bench.blocks $(ARGS)

bench-sealing: $(VENV)/dev.stamp  ## What sealed messages cost the server, against a commit without; 4 minutes on a quiet machine
	@$(BIN)/python -m bench.sealing $(ARGS)

clean:  ## Remove caches (not var/, where the data is)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -not -path './$(VENV)/*' -exec rm -rf {} +

# An environment that is there already is kept; only what is missing is installed.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)…"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing what the product needs…"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing what tests and checks need…"
	@$(PIP) -r requirements-dev.txt
	@touch $@
