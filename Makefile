# evo: make demo and make test are all that a fresh machine needs (Linux, Python 3.11 or newer, make).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCHEDULES ?= 10000
PROCESSES ?= 2
FIRST ?= 0

.DEFAULT_GOAL := help
.PHONY: help install demo test slow simulate lint format types bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(STAMP) ## make .venv with evo and what its tests need

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'evo needs Python 3.11 or newer: make install PYTHON=/path/to/python3.11' >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## a search on local Ray that fills a map, under a minute
	$(BIN)/evo run configs/map_elites_arm.yaml

test: install ## unit tests, laws, inline runs and one Ray
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup

slow: install ## the tests marked slow
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m slow --timeout 900

simulate: install ## simulated faults: SCHEDULES=10000 PROCESSES=2 FIRST=0, a million for a night
	PYTHONPATH=tests $(BIN)/python -m simulation --schedules $(SCHEDULES) --processes $(PROCESSES) --first $(FIRST)

lint: install ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## ruff: rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install ## mypy, strict
	$(BIN)/mypy

bench: install ## ratios against peers, measured side by side (installs the peers, torch too)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[dev,bench]'
	missed=0; for file in benchmarks/*.py; do $(BIN)/python "$$file" $(ARGS) || missed=1; done; exit $$missed

clean: ## remove .venv, caches and builds; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
