# make run         set up what is needed and do the main job with the embedded model
# make test        the tests that need no download; make test-slow: the rest (real model, browser, documentation)
# make check       what to run before a commit: lint, types, layers, tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-slow check lint docs clean

run: .venv/installed
	$(BIN)/porism run recipes/quickstart/recipe.yaml

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-slow: .venv/installed-dev
	sh scripts/install-debian.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2

check: lint test

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-dev
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,all]'
	touch $@
