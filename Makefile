# Everything a user or a maintainer runs. Each target sets up what it needs by itself.
VENV := .venv
BIN := $(VENV)/bin
SOURCES := coordination console plugins themes tests benchmarks

.PHONY: help demo run test check format lint types contracts bench docs picture clean
.DEFAULT_GOAL := help

help:            ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.installed      ## run the demonstration
	$(BIN)/anabranch demo

run: $(VENV)/.installed       ## run the plan of the current folder: make run PLAN=anabranch.toml
	$(BIN)/anabranch run $(PLAN)

test: $(VENV)/.developing     ## run all tests
	$(BIN)/python -m pytest -q

check: format lint types contracts test     ## the whole gate

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
