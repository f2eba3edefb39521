# Everything runs from one virtual environment beside this file; nothing is installed outside it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/pytest

.PHONY: demo test lint types imports unit contract lab trials campaign fuzz nightly nightly-properties nightly-campaign nightly-soak nightly-trials nightly-burst controlplane e2e images e2e-cluster kind-demo kind-demo-down clean
.DEFAULT_GOAL := test

demo: $(VENV)/.lab ## the whole system on this machine, in a minute: Linux, no root, no cluster
	@$(BIN)/lbprovider lab

# It needs no virtual environment: its programs are docker, kind and kubectl.
kind-demo kind-demo-down: ## lbprovider on a cluster of kind's, and what a client sees when a node dies
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is missing or older than 3.11: name another one as in 'make PYTHON=python3.12 $@'" >&2; exit 1; }
	@$(PYTHON) -m examples.kind $(if $(filter %-down,$@),down,up)

test: lint types imports unit contract lab ## all that needs neither Go nor root

$(VENV)/.python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is missing, older than 3.11, or without its venv module: name another one as in" \
	  "'make PYTHON=python3.12 $(or $(MAKECMDGOALS),test)', or on Debian and Ubuntu 'sudo apt install python3-venv'" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.lab: $(VENV)/.python pyproject.toml
	@echo "installing what lbprovider needs into $(VENV), once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
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

contract: $(VENV)/.dev ## what an API server does for us, on the lab's
	$(PYTEST) tests/contract

lab: $(VENV)/.dev ## the demo, and the lab that stays, as users run them
	$(PYTEST) tests/lab --ignore=tests/lab/test_trials.py

trials: $(VENV)/.dev ## the failure matrix, a row for each fault: 3 nodes (or what the fault takes), IPv4, one address
	$(PYTEST) --durations=1 tests/lab/test_trials.py

campaign: $(VENV)/.dev ## a million random events against the rules of leader election
	$(PYTEST) tests/sim

fuzz: $(VENV)/.dev ## a million datagrams and frames that nobody should send
	$(PYTEST) tests/fuzz

# Each in turn, whatever became of the one before; together they take a night.
TRIALS := $(BIN)/lbprovider lab trial --repeat 5
nightly-trials: $(VENV)/.dev ## the failure matrix in all its dimensions
	@failed=0; for nodes in 3 5; do for addresses in 1 100; do for family in '' --ipv6; do \
	  echo "== $$nodes nodes, $$addresses addresses $$family"; \
	  $(TRIALS) all --nodes $$nodes --addresses $$addresses $$family || failed=1; \
	done; done; done; \
	for family in '' --ipv6; do \
	  $(TRIALS) all --nodes 2 $$family || failed=1; \
	  $(TRIALS) split-2-2 $$family || failed=1; \
	done; exit $$failed

nightly-campaign: $(VENV)/.dev ## a hundred times the events, from another seed each night
	LBPROVIDER_EVENTS=100000000 LBPROVIDER_SEED=$$(date +%Y%m%d)0000 $(PYTEST) tests/sim

nightly-soak: $(VENV)/.dev ## a quarter of an hour beside eight programs that never rest
	$(BIN)/python -m bench.soak

nightly-properties: $(VENV)/.dev ## other examples than each change has, a dozen times as many; a failure prints its seed
	@for round in 1 2 3 4 5 6 7 8 9 10 11 12; do \
	  $(PYTEST) --hypothesis-profile=nightly --hypothesis-seed=$$(date +%Y%m%d)$$round -m hypothesis tests/unit || exit 1; \
	done

nightly-burst: controlplane ## ten thousand Services at once, and a controller killed five times meanwhile; as make e2e
	LBPROVIDER_BURST=10000 $(PYTEST) --server=real tests/e2e/test_burst.py

nightly: ## all that takes too long for each change
	$(MAKE) --keep-going nightly-properties nightly-campaign nightly-soak nightly-trials nightly-burst

$(VENV)/.e2e: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[e2e]'
	@touch $@

controlplane: $(VENV)/.e2e ## Kubernetes from source, minutes the first time and cached after; KUBEBUILDER_ASSETS names another
	$(BIN)/python -m tests.e2e.rig.binaries

e2e: controlplane ## the story and the contract on a real control plane; needs root, nft, and Go for the first time
	$(PYTEST) --durations=15 --server=real tests/e2e tests/contract

images: $(VENV)/.e2e ## our image from the Dockerfile, and what real nodes need besides; cached outside the work tree
	$(BIN)/python -m tests.cluster.images

# On machines that have docker and kind: make e2e-cluster E2E_BACKEND=kind
export E2E_BACKEND ?= nodes
e2e-cluster: $(if $(filter nodes,$(E2E_BACKEND)),controlplane images,$(VENV)/.dev) ## the image and config/default on real kubelets
	$(PYTEST) --durations=15 tests/cluster

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
