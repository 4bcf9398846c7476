# On a fresh machine, `make demo` and `make test` set up everything that they need.
CORES ?= 2
# The finished demo whose figures `make docs` shows.
DEMO := results
# Your own study, for `run` and `report`. Default: the demo.
CONFIG :=
# For `bench-peers`: a model's folder, and a clone of VLM-Lens. Default: random weights, and its address.
MODEL :=
VLM_LENS :=
REPORT = results/$(if $(CONFIG),$(basename $(notdir $(CONFIG)))-)report.html
# The first working Python of a version that the pinned packages support.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
		echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo evidence findings run report test test-slow test-all bench bench-gpu bench-peers families reliability architecture audit docs lint format schema lock
.DEFAULT_GOAL := help
# Without this check, Snakemake would end in a traceback.
$(if $(CONFIG),$(if $(wildcard $(CONFIG)),,$(error CONFIG=$(CONFIG): there is no such file)))

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/run.stamp ## set up, then run the whole workflow on a small drawn world (7 minutes on 2 fast idle cores before its latest parts; not timed since)
	$(BIN)/snakemake --cores $(CORES)

evidence: $(VENV)/run.stamp ## the demo with more tasks, controls, sites and interventions, then three objectives and sequences of frames (after the demo, hours on 2 cores; not timed since it grew)
	$(BIN)/snakemake --cores $(CORES) --configfile config/evidence.yaml
	$(BIN)/snakemake probes said --cores $(CORES) --configfile config/objectives.yaml
	$(BIN)/python scripts/make_findings.py --configfile config/objectives.yaml \
		--template report/findings/objectives-alone.md.j2 \
		--csv results-findings/tables/objectives.csv --out results-findings/tables/objectives.md
	$(BIN)/snakemake --cores $(CORES) --configfile config/frames.yaml
	@echo "Open results-findings/tables/objectives.md to compare the objectives, results-frames/figures for sequences"

# Gathers the scores again, because `make evidence` leaves the scores of fewer models in the same root.
findings: $(VENV)/run.stamp ## train, probe and block attention over five seeds; writes docs/findings.csv and docs/findings.md (over an hour on 2 cores)
	$(BIN)/snakemake probes said flow_results tower lens results-findings/compare/used.parquet --cores $(CORES) \
		--configfile config/findings.yaml
	$(BIN)/python scripts/make_findings.py --configfile config/findings.yaml --csv docs/findings.csv --out docs/findings.md

run: $(VENV)/run.stamp ## run your own study: make run CONFIG=my-study.yaml
	@test -n "$(CONFIG)" || { echo "error: name the study: make run CONFIG=my-study.yaml" >&2; exit 1; }
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)

report: $(VENV)/run.stamp ## put the figures and tables of a finished run into one file; add CONFIG=my-study.yaml for your own study
	@$(BIN)/snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) --report $(REPORT) \
		--report-stylesheet report/style.css
	@echo "Open $(REPORT)"

# Tests run on $(CORES) cores; the tests of a class or module share one process.
test: $(VENV)/dev.stamp ## set up, then run the tests (24 minutes on 2 slow cores)
	$(BIN)/python -m pytest -m "not slow and not whole and not gpu" -n $(CORES) --dist loadscope $(COVERAGE)

test-slow: $(VENV)/dev.stamp ## run the tests that take minutes each (under an hour on 2 slow cores)
	$(BIN)/python -m pytest -m "slow and not whole and not gpu" -n $(CORES) --dist loadscope

test-all: COVERAGE = --cov --cov-report=term-missing:skip-covered --cov-fail-under=90
test-all: test test-slow ## run every test, and see that most lines are run: also all model families, the whole demo, and more random kills
	$(BIN)/python -m pytest -m "whole and not gpu" -n $(CORES) --dist loadscope

bench: $(VENV)/dev.stamp ## time extraction, attention knockout, erasing and steering, probes, storage and the page; writes docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

bench-gpu: $(VENV)/run.stamp ## measure on a GPU with 80 GB, in 9 minutes; writes results-gpu/, whose tables belong into docs/benchmarks-gpu.md
	PYTHON=$(BIN)/python bash benchmarks/gpu.sh

# PEERS="--small" takes a minute, once the environments are there.
bench-peers: $(VENV)/run.stamp ## measure beside a plain loop, nnsight, TransformerLens and VLM-Lens, each in its own environment; add MODEL=FOLDER for a model of yours
	$(BIN)/python benchmarks/peers/drive.py $(if $(MODEL),--model $(MODEL)) $(if $(VLM_LENS),--vlm-lens $(VLM_LENS)) $(PEERS)

reliability: $(VENV)/dev.stamp ## write docs/reliability.md (what can go wrong) from the tests that cause these faults
	$(BIN)/python tests/faults/table.py

# In its own environment, because pip-audit brings packages of its own.
audit: ## check the pinned packages for known vulnerabilities (needs the network)
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit || \
		{ echo "error: nothing was audited, because pip-audit cannot be installed" >&2; exit 1; }
	@VENV_BIN=$(abspath $(VENV))-audit/bin envs/audit.sh
	@rm -rf $(VENV)-audit

docs: $(VENV)/run.stamp $(VENV)-docs/docs.stamp ## build the documentation as a website in site/, with the demo's figures if it has run; checks every link within
	PYTHONPATH=scripts $(BIN)/python -m docs.website write --results $(DEMO) --out .cache/website
	$(VENV)-docs/bin/zensical build --strict --clean --config-file .cache/website/zensical.toml
	PYTHONPATH=scripts $(BIN)/python -m docs.website check .cache/website/html
	rm -rf site && mv .cache/website/html site
	@echo "Open site/index.html"

architecture: $(VENV)/dev.stamp ## draw the imports of the library into docs/architecture.md
	$(BIN)/python tests/architecture.py

families: $(VENV)/run.stamp ## check every model family on a tiny model; writes docs/families.md
	$(BIN)/python tests/families/table.py

lint: $(VENV)/dev.stamp ## check style, imports and Snakemake code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	PYTHONPATH=scripts $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## format Python and Snakemake code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

schema: $(VENV)/run.stamp ## write config/schemas/config.schema.yaml from the classes of scripts/layerwise/config
	PYTHONPATH=scripts $(BIN)/python -m layerwise.config.schema

# With the oldest supported Python, because newer ones can install every version that it finds.
lock: ## resolve envs/*.in to the exact versions of envs/*.txt and envs/*.yaml
	python3.11 -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools pyyaml
	VENV_BIN=$(VENV)-lock/bin envs/lock.sh
	rm -rf $(VENV)-lock

# The environment is made if it is missing, and updated if a lock file is newer.
$(VENV)/run.stamp: envs/requirements.txt
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11-3.13; run make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp envs/requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements-dev.txt
	touch $@

# In its own environment: neither the workflow nor the tests need what builds the website.
$(VENV)-docs/docs.stamp: envs/docs.txt
	test -x $(VENV)-docs/bin/python || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check -r envs/docs.txt
	touch $@
