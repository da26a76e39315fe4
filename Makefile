# Two commands are the whole set-up: `make deploy` and `make test`.
# Needed: python3 >= 3.11 with venv. Everything else is installed below .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SCENARIO ?= scenario-3b

.PHONY: help deploy test test-unit test-matrix lint format lock build clean

help:
	@echo "make deploy     install, then stackctl deploy $(SCENARIO)"
	@echo "make test       every test; those that need Docker start a throwaway engine where none answers"
	@echo "make test-unit  the tests that need no Docker"
	@echo "make test-matrix  every example on every scenario, and more; an hour"
	@echo "make lint       ruff and mypy"
	@echo "make format     ruff, with changes"
	@echo "make lock       resolve the server image's lock files anew"
	@echo "make build      wheel and sdist in dist/"

$(BIN)/stackctl: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stackctl needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear $(VENV) || { test "$$(id -u)" = 0 \
		&& apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/stackctl
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	@touch $@

deploy: $(BIN)/stackctl
	@VENV=$(VENV) SCENARIO=$(SCENARIO) sh .ci/deploy

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 4 --dist loadscope

test-unit: $(VENV)/.dev
	$(BIN)/python -m pytest $(addprefix --ignore tests/,contract docker embedded engine images \
		browser testing examples/test_examples.py courier/databases)

test-matrix: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadscope -m matrix tests/examples tests/contract \
		tests/embedded tests/docker

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

build: $(VENV)/.dev
	$(BIN)/uv build --quiet --out-dir dist

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
