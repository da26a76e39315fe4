# Two commands are the whole set-up: `make deploy` and `make test`.
# Needed: python3 >= 3.11 with venv. Everything else is installed below .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SCENARIO ?= scenario-3b
# Where a machine forbids it, every command compiles all that it imports, MLflow for ten seconds.
export PYTHONDONTWRITEBYTECODE :=
# What mypy knows of a file holds for another checkout that has the same, and takes half a minute.
CACHE := $(or $(STACKCTL_TEST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stackctl-tests)
export MYPY_CACHE_DIR ?= $(CACHE)/mypy

.PHONY: help deploy test audit test-unit test-docker test-embedded test-live test-bench test-next test-matrix lint format lock build clean

help:
	@echo "make deploy     install, then stackctl deploy $(SCENARIO)"
	@echo "make test       every test; those that need Docker start a throwaway engine where none answers"
	@echo "make test-unit      those that need nothing but Python; a minute"
	@echo "make test-docker    those of the docker runtime"
	@echo "make test-embedded  those of the embedded runtime"
	@echo "make test-live      those of both, of examples, a browser, servers of databases"
	@echo "make audit          every rendered file by hadolint and checkov, and attacks on a stack with TLS"
	@echo "make test-bench     those of the tests' own engine and images"
	@echo "make test-next      those of the next MLflow, or by WORDS=... others, with it as what ships"
	@echo "make test-matrix    every example on every scenario, and what another runtime shows; hours"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make format     ruff, with changes"
	@echo "make lock       resolve the server image's lock files anew"
	@echo "make build      wheel and sdist in dist/"

$(VENV)/.made: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stackctl needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear $(VENV) || { test "$$(id -u)" = 0 \
		&& apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

$(BIN)/stackctl: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	@touch $@

deploy: $(BIN)/stackctl
	@VENV=$(VENV) SCENARIO=$(SCENARIO) sh .ci/deploy

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder --durations=25

# What each lane needs, and which test is in which, is in tests/lanes.py.
test-unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m 'unit and not matrix'

test-docker test-embedded test-live: test-%: $(VENV)/.dev
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder -m '$* and not matrix'

# A part of `make test` too.
audit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m 'not matrix' \
		tests/audit tests/contract/test_tls.py tests/contract/test_transfers.py \
		tests/contract/test_second_host.py

test-bench: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m bench tests/engine tests/images

# WORDS are pytest's.
test-next: $(VENV)/.dev
	$(BIN)/python -m tests.next $(WORDS)

test-matrix: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m matrix tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --upgrade
lock: $(VENV)/.dev
	$(LOCK) -o templates/images/mlflow/requirements.lock templates/images/mlflow/requirements.in
	$(LOCK) -o templates/images/mlflow/uv.lock templates/images/mlflow/uv.in
	$(subst 3.13,3.11,$(LOCK)) -o templates/images/mlflow/oidc.lock templates/images/mlflow/oidc.in

build: $(VENV)/.dev
	$(BIN)/uv build --quiet --out-dir dist

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
