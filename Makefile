# Everything runs from one virtual environment beside this file; nothing is installed outside it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/pytest

.PHONY: test lint types imports unit controlplane e2e clean
.DEFAULT_GOAL := test

test: lint types imports unit ## all that needs neither Go nor root

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev
	$(PYTEST) tests/unit

$(VENV)/.e2e: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[e2e]'
	@touch $@

controlplane: $(VENV)/.e2e ## Kubernetes from source, minutes the first time and cached after; KUBEBUILDER_ASSETS names another
	$(BIN)/python -m tests.e2e.rig.binaries

e2e: controlplane ## the story on a real control plane; needs root, nft, and Go for the first time
	$(PYTEST) --durations=15 tests/e2e

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
