# Each does all of its own set-up into .venv: `make quickstart` adapts the model that lies here to an industry that it has
# never seen, `make scratch` trains a small one from nothing, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
FLAGS ?=

.PHONY: quickstart scratch test lint format clean

quickstart: CONFIG ?= configs/adapt.py
quickstart: WORKDIR ?= runs/quickstart
scratch: CONFIG ?= configs/quickstart.py
scratch: WORKDIR ?= runs/scratch

quickstart scratch: $(VENV)/.runtime
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
