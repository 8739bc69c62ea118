# Faultledger: everything a developer types. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

venv: $(VENV)/.installed  ## put everything into .venv, pinned by hash

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv  ## sample_data into a fresh lake, through the real flows, to a finished report
	$(BIN)/faultledger demo

test: venv  ## every test
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

check: venv  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

crash: venv  ## kill -9 at 50 random instants of ingest and derive, then compare every byte
	FAULTLEDGER_CRASHES=50 $(BIN)/python -m pytest -q -s tests/test_crash.py

mutations: venv  ## 10,000 damaged files of every source through the whole ingest
	FAULTLEDGER_MUTATIONS=10000 $(BIN)/python -m pytest -q -s -n $(JOBS) tests/test_mutations.py

fuzz: venv  ## coverage-guided fuzzing of every parser, FUZZ_SECONDS=600
	$(BIN)/python tests/fuzz/fuzz_sources.py

bench: venv  ## ratios against peers, in CPU-seconds
	@for file in tests/bench/*.py; do $(BIN)/python $$file; done

readme: venv  ## put the data dictionary in force into the README
	$(BIN)/python -c "import re; from pathlib import Path; from transforms import dictionary, tables; \
	p = Path('README.md'); a, rest = p.read_text().split('<!-- dictionary -->\n'); \
	p.write_text(a + '<!-- dictionary -->\n' + dictionary.overview(tables.ALL) + '\n<!-- /dictionary -->' + rest.split('<!-- /dictionary -->')[1])"

lock:  ## pin dependencies again (needs uv)
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

clean:  ## remove what was made here, the lake of the demo included
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help venv demo test check crash mutations fuzz bench readme lock clean
