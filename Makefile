# Everything a person or a machine does here, from nothing: Python 3.11 or newer and Node 20 must be present.
#
#   make demo             JupyterLab on the quickstart notebook (HEADLESS=1: no screen needed)
#   make test             the whole test suite
#   make check            linters, types, generated files
#   make bench            the table of budgets
#   make soak             half an hour of training with pages that come and go (MINUTES=30)
#   make pictures         the README's pictures, taken anew
#   make build            wheel and source distribution in dist/
#
# Stamp files say what is installed or built already, so that a second `make` starts at once.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
HEADLESS ?=
MINUTES ?= 30

ENV_STAMP := $(VENV)/.installed
NODE_STAMP := js/node_modules/.installed
BUNDLE := nbmonitor/static/widget.js
BUNDLE_SOURCES := $(shell find js/src js/vite -type f 2>/dev/null) js/vite.config.ts js/tsconfig.json

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup front-end system demo test check bench soak pictures build kernels format clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

setup: $(ENV_STAMP) $(BUNDLE)
front-end: $(BUNDLE)

# torch comes first and alone, so that no later step can trade it for another build of it.
$(ENV_STAMP): pyproject.toml constraints.txt nbmonitor/__init__.py
	@sh scripts/setup_venv.sh $(PYTHON) $(VENV)
	$(PY) -m pip install -q -c constraints.txt pip
	$(PY) -m pip install -q -c constraints.txt torch
	$(PY) -m pip install -q -c constraints.txt -e '.[all]' --group dev
	@touch $@

$(NODE_STAMP): js/package.json js/package-lock.json
	@sh scripts/setup_node.sh
	npm --prefix js ci --no-fund --no-audit
	@touch $@

$(BUNDLE): $(NODE_STAMP) $(BUNDLE_SOURCES)
	npm --prefix js run build
	@touch $@

# Chromium, a monospace font and a C compiler: what the tests use and pip and npm don't bring.
system:
	@sh scripts/setup_system.sh

# One environment for each version of ipykernel that the browser tests drive.
kernels: $(ENV_STAMP)
	$(PY) scripts/kernels.py

demo: setup
	@$(if $(HEADLESS),sh scripts/setup_system.sh,:)
	@$(PY) scripts/demo.py $(if $(HEADLESS),--headless,)

test: setup system kernels
	npm --prefix js test
	$(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder

check: $(ENV_STAMP) $(NODE_STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) scripts/wire_types.py --check
	npm --prefix js run check

format: $(ENV_STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: setup system kernels
	$(PY) -m bench

pictures: setup system
	$(PY) scripts/pictures.py

soak: setup system kernels
	$(PY) -m pytest -m long
	$(PY) -m tests.soak --minutes $(MINUTES)

build: $(ENV_STAMP) $(NODE_STAMP)
	rm -rf nbmonitor/static dist
	npm --prefix js run build
	$(PY) -m build --no-isolation --outdir dist .

clean:
	rm -rf build dist nbmonitor/static js/node_modules $(VENV) .mypy_cache .ruff_cache .pytest_cache
