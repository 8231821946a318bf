# What a developer does with this checkout. Nothing here touches the machine's own configuration,
# units, users or homes; only root's `make` installs packages that are missing.

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit system bench clean ready packages promtool venv
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
SOURCES := jada_configd tests demo bench
ARGS ?=

help:
	@echo 'make demo     watch it work on a throwaway host with a real systemd (root; less without)'
	@echo 'make test     lint, types, import contracts and every test (ARGS="-k word" for some)'
	@echo 'make lint     the first three alone'
	@echo 'make unit     the tests that need no throwaway host'
	@echo 'make system   those that do (root)'
	@echo 'make bench    speed and memory beside a floor program in C'
	@echo 'make clean    remove what was made: .venv, build, caches'

demo: ready
	@$(PYTHON) -m demo

test: ready promtool lint
	$(PYTEST) $(ARGS)

lint: venv
	$(PYTHON) -m ruff check $(wildcard $(SOURCES))
	$(PYTHON) -m ruff format --check $(wildcard $(SOURCES))
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-logo

unit: venv promtool
	$(PYTEST) --ignore=tests/system $(ARGS)

system: ready promtool
	$(PYTEST) tests/system $(ARGS)

bench: ready
	$(PYTHON) bench/run.py $(ARGS)

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An ordinary user goes on without the packages: the parts that need them need root as well, and
# say so when they are skipped.
ready: venv packages

packages:
	@tests/setup packages || [ "$$(id -u)" != 0 ]

# Without it all goes on, and the tests that need it say so.
promtool: venv
	@tests/setup promtool || true

venv:
	@tests/setup venv
