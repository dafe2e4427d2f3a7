# Each does all of its own set-up into .venv: `make quickstart` trains a small model from nothing, `make adapt` adapts the one
# that lies here to an industry that it has never seen, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
FLAGS ?=

.PHONY: quickstart adapt test lint format clean

quickstart: CONFIG ?= configs/quickstart.py
quickstart: WORKDIR ?= runs/quickstart
adapt: CONFIG ?= configs/adapt.py
adapt: WORKDIR ?= runs/adapt

quickstart adapt: $(VENV)/.runtime
	$(RUN) launch.py --config=$(CONFIG) --workdir=$(WORKDIR) $(FLAGS)

test: $(VENV)/.dev
	$(RUN) -m pytest --numprocesses=2 --dist=loadscope --no-loadscope-reorder $(FLAGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(VENV)/.dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) runs build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vlsm_jax needs Python 3.11 or newer; this is %s. Say which with: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
