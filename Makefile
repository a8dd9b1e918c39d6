# `make demo` and `make test` are the two commands; both set themselves up. `make help` lists all.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Compiled modules are kept, whatever this shell says: four workers load 300 files of tests each.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# pytest keeps what it has made of the tests: to make it anew takes each worker seven seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test check machine format golden manifest image sizes bench soak hostile mutants docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t12

venv: $(VENV)/.runtime ## .venv with ci-deploy and deploy in its bin

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml scripts/venv.sh
	@scripts/venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt requirements/docs.txt requirements/sentry.txt
	@$(BIN)/python -m pip --disable-pip-version-check install -q --require-hashes \
	  -r requirements/dev.txt -r requirements/docs.txt -r requirements/sentry.txt
	@touch $@

demo: venv ## deploy a real app over real git and ssh to a stand-in Dokku on this machine
	@$(BIN)/python -m examples.demo

check: $(VENV)/.dev ## lint, types, unit tests: a minute or two
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/python -m tooling.manifest --check
	@$(PYTEST) -q -n 4 --dist worksteal tests/unit tests/contract

test: $(VENV)/.dev machine image ## everything, from setting itself up to real runners
	@$(PYTEST) -q --cache-clear -n 4 --dist worksteal --durations=15 tests; code=$$?; \
	  [ $$code != 1 ] || exec $(BIN)/python -m tests.again; exit $$code

bench: $(VENV)/.dev ## measure, and write docs/performance.md: an hour on a quiet machine; PARTS="start log" only these
	@$(BIN)/python -m bench $(PARTS)

soak: $(VENV)/.dev machine image ## long forms of property tests: hours, with their figures; some go into docs/reliability.md
	@$(PYTEST) -q -n 2 --dist worksteal -p tests.hostile.tally -m soak --reliability -s --durations=0 tests

hostile: $(VENV)/.dev ## faults, secrets and damaged texts by the thousand, and write docs/reliability.md: half an hour
	@$(PYTEST) -q -n 8 --dist worksteal -p tests.hostile.tally -m "not soak" --reliability tests/hostile

mutants: $(VENV)/.dev machine ## break the product in many small ways: the tests have to notice each
	@$(BIN)/python -m tests.mutants

machine: ## Docker Engine, base image, runners: what tests need on this machine (Debian, root)
	@tests/machine/docker.sh && tests/machine/base-image.sh
	@tests/machine/tools.sh && tests/machine/images.sh

image: ## build the image: all targets, named ci-deploy/TARGET
	@for target in dokku compose swarm heroku full; do \
	  tests/machine/docker-build.sh -q --target $$target -t ci-deploy/$$target . >/dev/null || exit 1; \
	done

docs: $(VENV)/.dev ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean --site-dir site

sizes: image ## size of each image, and what fills it
	@tests/machine/sizes.sh ci-deploy/dokku ci-deploy/compose ci-deploy/swarm ci-deploy/heroku ci-deploy/full

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

golden: $(VENV)/.dev ## write the logs in tests/golden/ anew; look at what has changed in them
	@$(PYTEST) -q -n 2 --golden tests; git --no-pager diff --stat tests/golden

manifest: venv ## write action.yml, templates/, the reference tables and the pictures
	@$(BIN)/python -m tooling.manifest
	@$(BIN)/python tooling/pictures.py >/dev/null

clean: ## remove what was made here
	rm -rf $(VENV) .tools build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
