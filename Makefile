# Everything a user or a maintainer runs. Each target sets up what it needs by itself.
VENV := .venv
BIN := $(VENV)/bin
# Compiled modules are kept even where the environment says otherwise, as in many containers: the
# tests start the program a thousand times, and compiling it anew each time is half of their work.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := coordination console plugins themes tests benchmarks

# Most tests wait for processes, so twice as many run at once as there are processors; those of the
# quick loop compute.
PROCESSORS := $(shell nproc)
WORKERS ?= $(shell n=$$(( $(PROCESSORS) * 2 )); [ $$n -le 16 ] || n=16; echo $$n)
SLOWEST ?= 20
# make test ORDER=random shuffles the tests and prints the seed; SEED=n repeats that order.
ORDER ?= fixed
SHUFFLE := $(if $(filter random,$(ORDER)),-p randomly $(if $(SEED),--randomly-seed=$(SEED)))
# make test ARGS=--lf runs what failed last.
ARGS ?=
PYTEST = $(BIN)/python -m pytest -q --dist worksteal $(SHUFFLE) $(ARGS)
# Long rehearsals that reach nothing of the core that shorter examples do not.
LONG := about_as_good or two_percent or asked_to_place or finds_a_width or so_many_locks or fails_where_nothing
QUICK := tests/core tests/contracts tests/console/test_presenters.py \
	tests/console/test_pane_presenters.py tests/console/test_filtering.py

# The agent that make test-agents drives: from npm, into a cache of its own, nothing else of yours.
AGENT := @anthropic-ai/claude-code@2.1.197
AGENT_PLACE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/anabranch/agents/2.1.197

.PHONY: help demo run test test-agents test-recipes quick matrix coverage check format lint types contracts bench docs picture clean
.DEFAULT_GOAL := help

help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.installed      ## run the demonstration
	$(BIN)/anabranch demo

run: $(VENV)/.installed       ## run the plan of the current folder: make run PLAN=anabranch.toml
	$(BIN)/anabranch run $(PLAN)

test: $(VENV)/.developing     ## run all tests; ARGS=--lf what failed last, ORDER=random shuffled
	$(PYTEST) --numprocesses $(WORKERS) --durations=$(SLOWEST)

test-agents: $(VENV)/.developing  ## tests with a real agent, from npm (240 MB, kept in a cache), on loopback only
	@command -v npm > /dev/null || { echo "make test-agents needs npm (Node.js 18 or newer)" >&2; exit 2; }
	@[ -x $(AGENT_PLACE)/node_modules/.bin/claude ] || { \
		echo "installing $(AGENT) into $(AGENT_PLACE)"; \
		timeout 600 npm install --prefix $(AGENT_PLACE) --no-fund --no-audit $(AGENT); }
	ANABRANCH_AGENT=$(AGENT_PLACE)/node_modules/.bin/claude timeout 900 \
		$(BIN)/python -m pytest -q --numprocesses 2 --durations=5 $(ARGS) tests/agents

test-recipes: $(VENV)/.developing  ## the projects of docs/workspaces.md with real packages; needs npm, cc, the registries
	@command -v npm > /dev/null && command -v cc > /dev/null || { echo "make test-recipes needs npm and a C compiler" >&2; exit 2; }
	ANABRANCH_RECIPES=1 timeout 900 $(BIN)/python -m pytest -q --numprocesses 2 --durations=5 $(ARGS) tests/recipes

quick: $(VENV)/.developing    ## the loop while working: the core, presenters, contracts and types
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/mypy
	$(PYTEST) --numprocesses $(PROCESSORS) $(QUICK)

matrix:          ## TESTS, by default the quick loop's, under each Python here, and with the lowest dependencies
	./.ci/matrix $(or $(TESTS),$(QUICK))

coverage: $(VENV)/.developing ## do the examples of the core reach as much of it as they did?
	$(PYTEST) --numprocesses $(PROCESSORS) tests/core --cov --cov-report= \
		-m "not hypothesis" -k "not (quick or thousand or starves or cost or $(LONG))"

check: format lint types contracts coverage test     ## the whole gate

format: $(VENV)/.developing   ## is the code formatted?
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.developing     ## is it tidy?
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.developing    ## are the types right?
	$(BIN)/mypy

contracts: $(VENV)/.developing    ## who may import whom?
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.developing    ## measure beside peers, in one run
	$(BIN)/python -m benchmarks

docs: $(VENV)/.developing     ## write the generated parts of the documentation anew
	$(BIN)/python -m tests.contracts.generated_docs

picture: $(VENV)/.developing  ## take the picture in the README anew, from a real run
	$(BIN)/python docs/picture.py

clean:           ## remove what was installed here
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt .ci/bootstrap
	./.ci/bootstrap $(VENV)
	touch $@

$(VENV)/.developing: $(VENV)/.installed
	./.ci/bootstrap $(VENV) dev
	touch $@
