# Two commands set everything up on a machine that has only Python 3.11 or newer and make:
#   make demo   makes .venv, installs anyview, runs `anyview demo`
#   make test   the same environment plus test tools, then the whole suite
# Also: make lint, make lock (writes requirements.lock anew), make clean.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint format lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/anyview demo

# Tests start many interpreters: each would compile all that it imports where the environment forbids to keep that.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.installed-dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "anyview needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The lock is a set of constraints for users (only what anyview needs) and a list of requirements for developers.
$(VENV)/.installed: pyproject.toml requirements.lock | $(BIN)/python
	$(PIP) install --quiet --constraint requirements.lock --editable .
	$(BIN)/anyview doctor
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --requirement requirements.lock
	$(BIN)/anyview doctor
	@touch $@

# Resolved for the oldest Python that we support; names and versions only.
lock: | $(BIN)/python
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --group dev --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
