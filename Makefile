# `make help` lists the targets. Recipes say what they install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
# Tests of these tiers need no network: as root they run where there is none.
QUIET_TIERS := tests/unit tests/property tests/contract tests/golden
NO_NETWORK := $(shell unshare -n true 2>/dev/null && echo unshare -n --)
PYTEST := -m pytest --durations=15
# An engine that tests ask, in an environment of its own: it pins other versions than ours.
ANALYZER := .venv-engines/nca
ANALYZER_VERSION := 2.1.0

.PHONY: help install packages objects lint unit test kernels fuzz cases soak demo own-profile image-check bench bench-packages docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: packages objects $(INSTALLED) ## Debian packages, virtual environment, package, BPF objects
	@echo "installed: .venv/bin/ethogram"

packages:
	@.ci/debian-packages

$(PYTHON):
	@echo "virtual environment: .venv"
	/usr/bin/python3 -m venv .venv

# The stamp follows what decides about dependencies; the sources are used in place.
$(INSTALLED): pyproject.toml | packages $(PYTHON)
	@echo "Python packages: ethogram with its dependencies and those of its tests, into .venv"
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(ANALYZER)/$(ANALYZER_VERSION):
	@echo "Python package: network-config-analyzer, which tests ask about NetworkPolicies, into $(ANALYZER)"
	/usr/bin/python3 -m venv --clear $(ANALYZER)
	$(ANALYZER)/bin/python -m pip install --quiet --disable-pip-version-check \
		network-config-analyzer==$(ANALYZER_VERSION)
	@touch $@

objects: | packages ## compile the BPF objects for x86_64 and aarch64
	@/usr/bin/python3 bpf/build.py

lint: $(INSTALLED) ## formatting, style, types, and that imports go one way
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

unit: objects $(INSTALLED) ## the quick tests alone
	$(PYTHON) $(PYTEST) -q tests/unit

test: install $(ANALYZER)/$(ANALYZER_VERSION) lint ## everything, on this kernel and on real containers (as root)
	$(NO_NETWORK) $(PYTHON) $(PYTEST) -n auto --dist loadscope $(wildcard $(QUIET_TIERS))
	@.ci/second-kernel
	ETHOGRAM_REQUIRE=$${ETHOGRAM_REQUIRE:-bpf,e2e} $(PYTHON) $(PYTEST) $(wildcard tests/bpf tests/e2e)

kernels: install ## the kernel side on another kernel, in an emulator; all of its tests (as root)
	@.ci/second-kernel
	PYTHONPATH=. $(PYTHON) -m tests.kernels.guest

own-profile: install ## learn the agents' own seccomp profile anew, into deploy/ (as root)
	PYTHONPATH=. $(PYTHON) -m tools.own_profile

image-check: ## build the image from a base of debootstrap and start it (as root; minutes)
	PATH=$(CURDIR)/.venv/bin:$$PATH deploy/image/check

# Each target has so many seconds. `FUZZ="-runs=20000 -seed=1"` is the same every time.
FUZZ ?= -max_total_time=60
FUZZ_TARGETS ?= ring sets dns manifest journal parquet damaged summary baseline finding
fuzz: objects $(INSTALLED) ## readers and decoders under atheris, a minute each
	@mkdir -p build/fuzz
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzzing: $$target"; \
		PYTHONPATH=. $(PYTHON) -m tests.fuzz $$target \
			-artifact_prefix=build/fuzz/$$target- -verbosity=0 -print_final_stats=1 $(FUZZ); \
	done

cases: install ## attack-like and benign cases under `ethogram watch`, into docs/cases.md (as root)
	@$(PYTHON) -m tests.cases --write docs/cases.md

soak: install ## real services under `ethogram watch` for half an hour, into docs/soak.md (as root)
	@$(PYTHON) -m tests.soak --write docs/soak.md

demo: install ## the product doing its job on real containers, in about a minute (as root)
	@demo/run

bench: install ## what it costs, as ratios of one run, in some minutes (recording: as root)
	PYTHONPATH=. $(PYTHON) -m benchmarks

bench-packages: ## Debian packages that only the benchmarks need: servers, clients, other tracers
	@.ci/debian-packages benchmarks/packages.debian.txt

docs: $(INSTALLED) ## generate docs/reference from the code
	PYTHONPATH=. $(PYTHON) docs/generate.py

clean: ## remove what was built; keeps .venv
	rm -rf build dist profiler/_objects .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
