# make setup | demo | test | lint | bench     PYTHON=/path/to/python chooses another Python than the one found.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.setup-done
# 3.11 first: tflite-runtime, one of the two interpreters that the tests use, ends there.
PYTHONS := $(or $(PYTHON),python3.11 python3.10 python3.12 python3.13 python3)
# Log lines of TensorFlow's that no user of framestep can act upon.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup demo test lint bench docs clean

setup: $(READY)

$(READY): pyproject.toml
	@chosen=; \
	for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    chosen=$$python; break; \
	  fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "make: framestep needs Python 3.10 to 3.13 (best 3.11); found none of: $(PYTHONS)." >&2; \
	  echo "make: Install one (Debian: apt install python3 python3-venv) or name one: make setup PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	if ! "$$chosen" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "make: $$chosen has no venv and pip. Debian and Raspberry Pi OS: apt install python3-venv" >&2; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  rm -rf $(VENV); \
	  "$$chosen" -m venv $(VENV) || { \
	    echo "make: $$chosen could not make a virtual environment in $(VENV); its words stand above." >&2; exit 1; }; \
	fi; \
	echo "make: installing framestep and TensorFlow into $(VENV), about 2.3 GB; a few minutes the first time." >&2; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,video,mqtt,metrics,tflite,test]' || { \
	  echo "make: pip could not install what framestep needs; its words stand above. Is there a network, and space?" >&2; \
	  exit 1; }; \
	touch $(READY)

demo: setup
	@$(BIN)/framestep demo

test: setup lint
	@$(BIN)/pytest

lint: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check . ; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: setup
	@$(BIN)/python docs/write_cli.py

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
