# The verbs of this project. `make help` lists them. Nothing is needed but Python 3.11 or newer and make.

SHELL := /bin/sh
# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

# Most of what runs here is many short processes: what one has compiled, the next one reads.
export PYTHONDONTWRITEBYTECODE :=

CHECKS := check-lint check-types check-imports check-settings check-web

.DEFAULT_GOAL := help
.PHONY: help run web screens demo test faults check $(CHECKS) format bench bench-blocks bench-sealing bench-epoch bench-restore bench-crypto bench-browser bench-model bench-wakes bench-written simulate clean

help:  ## List the verbs
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp  ## Install what is needed, start everything on http://127.0.0.1:8000; Ctrl-C stops it. ARGS="--web 2 --port 8100"
	@$(BIN)/python manage.py webclient build --or-go-on
	@$(BIN)/python manage.py up $(ARGS)

web: $(VENV)/run.stamp  ## Build the web client; needs Node 20.19 or newer
	@$(BIN)/python manage.py webclient build

screens: $(VENV)/dev.stamp  ## Pictures of every screen of the web client, under var/screens. ARGS="--language ko contacts"
	@$(BIN)/python -m tests.web.scenes $(ARGS)

demo: $(VENV)/run.stamp  ## Prove the main job on a running system: a play, spoken by many devices
	@$(BIN)/python manage.py demo $(ARGS)

# All of them: three at a time on two cores, since most wait more than they compute, and the longest first (tests/conftest.py);
# then what failed among others, once more by itself; then those that must have the machine to themselves, once only.
# Both are always run, so that one failure does not hide another. Some of them, or with JOBS=1: one at a time, as pytest is told.
JOBS ?= 3
test: $(VENV)/dev.stamp  ## Run every test, on servers of its own. ARGS="-k late", JOBS=1
ifeq ($(strip $(ARGS))$(JOBS),$(filter-out 1,$(JOBS)))
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone"; together=$$?; \
	if [ $$together = 1 ]; then \
		echo "Once more with nothing beside them (docs/adr/0062): what passes now failed by chance, which is a bug of its own."; \
		$(BIN)/python -m pytest -v --last-failed --last-failed-no-failures none --maxfail 1 -m "not alone"; together=$$?; \
	fi; \
	$(BIN)/python -m pytest -m alone; alone=$$?; \
	exit $$((together || alone))
else
	@$(BIN)/python -m pytest $(ARGS)
endif

faults: $(VENV)/dev.stamp  ## Every kind of strike under load, 20 times on both profiles, and 2 000 sockets that never read; 5 hours. ROUNDS=1 takes 17 minutes. ONLY=SIGSTOP: the strikes with that in their name
	@FAULT_ROUNDS=$(or $(ROUNDS),20) FAULT_ONLY="$(ONLY)" $(BIN)/python -m pytest $(if $(ONLY),tests/faults/test_faults.py,tests/overload/test_memory.py tests/faults) $(ARGS)

check: $(VENV)/dev.stamp  ## Lint, types, import contracts, settings, migrations
	@$(MAKE) --no-print-directory --jobs=2 --keep-going $(CHECKS)

check-lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

check-types:
	$(BIN)/mypy

check-imports:
	$(BIN)/lint-imports

check-settings:
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

check-web:
	$(BIN)/python manage.py webclient check --or-go-on

format: $(VENV)/dev.stamp  ## Lay out the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp  ## Measure, and keep the figures under bench/results
	@$(BIN)/python -m bench $(ARGS)

bench-blocks: $(VENV)/dev.stamp  ## What the drain's block step costs, in interleaved pairs; 4 minutes on a quiet machine
	@$(BIN)/python -m bench.blocks $(ARGS)

bench-sealing: $(VENV)/dev.stamp  ## What sealed messages cost the server, against a commit without; 4 minutes on a quiet machine
	@$(BIN)/python -m bench.sealing $(ARGS)

bench-epoch: $(VENV)/dev.stamp  ## What a new epoch of 1 000 members costs the server
	@$(BIN)/python -m bench.epoch $(ARGS)

bench-restore: $(VENV)/dev.stamp  ## How long a wiped device takes to read everything again, on a running system. ARGS="--url http://127.0.0.1:8000"
	@$(BIN)/python -m bench.restore $(ARGS)

bench-crypto: $(VENV)/dev.stamp  ## What sealing costs the Python client
	@$(BIN)/python -m bench.crypto $(ARGS)

bench-browser: $(VENV)/dev.stamp  ## The same in a browser, with Debian's Chromium
	@$(BIN)/python -m bench.browser $(ARGS)

bench-model: $(VENV)/dev.stamp  ## Measure what the model is fed with, and how far it is to be trusted; 8 minutes on a quiet machine
	@$(BIN)/python -m bench.calibrate $(ARGS)

bench-wakes: $(VENV)/dev.stamp  ## How many tasks go through the broker, by load; 3 minutes
	@$(BIN)/python -m bench.wakes $(ARGS)

bench-written: $(VENV)/dev.stamp  ## How many bytes of PostgreSQL a message and each of its entries take; 1 minute
	@$(BIN)/python -m bench.written $(ARGS)

simulate: $(VENV)/dev.stamp  ## The model: latency by users, hosts and queues, and how many are needed
	@$(BIN)/python -m bench.simulate $(ARGS)

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
