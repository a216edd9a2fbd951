# Every set-up step hangs off `demo` and `test`; .venv is built from the locks of requirements/.
# ARGS reaches the command: make test ARGS="-k budget", make demo ARGS=--json.
# PYTHON names the interpreter; without it the first working 3.11, 3.12 or 3.13 is taken.
# PROCESSES is how many share the tests; 0 runs them in one, which a debugger wants.

ARGS ?=
PROCESSES ?= 2
BIN := .venv/bin
ENVIRONMENT := @PYTHON="$(PYTHON)" sh scripts/with_python.sh scripts/environment.py

.DEFAULT_GOAL := help
.PHONY: help demo serve test check docs smoke format env-base env-dev env-test env-peers \
	bench bench-start bench-optimizers bench-real bench-referee bench-gateway bench-limits bench-meter bench-peers \
	bench-scale lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1@\2/' | \
		while IFS=@ read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

demo: env-base  ## Train for three epochs, battle five times, write a report
	@$(BIN)/cornerman demo $(ARGS)

serve: env-base  ## Start the gateway and its live page
	@$(BIN)/cornerman serve $(ARGS)

test: env-test  ## Run every test
	@sh scripts/chromium.sh
	@$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

check: env-dev  ## Lint, formatting, types and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python scripts/layout.py
	@$(BIN)/pyright
	@cd build/layout && ../../$(BIN)/lint-imports ../../pyproject.toml

docs: env-dev  ## Build the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

smoke: env-dev  ## Try the wheel in fresh environments (ARGS=--oldest, --beside, "--python PATH")
	@$(BIN)/python scripts/smoke.py $(ARGS)

format: env-dev  ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: env-dev  ## Measure the evaluation loop
	@$(BIN)/python -m tests.bench.loop $(ARGS)

bench-start: env-dev  ## Measure how long a command keeps a person waiting
	@$(BIN)/python -m tests.bench.start $(ARGS)

bench-optimizers: env-dev  ## Compare the optimizers
	@$(BIN)/python -m tests.bench.optimizers $(ARGS)

bench-real: env-dev  ## Learn from examples on a real small model, against DSPy's optimizers
	@$(BIN)/python -m tests.bench.real $(ARGS)

bench-referee: env-dev  ## Compare the referee with known outcomes
	@$(BIN)/python -m tests.bench.referee $(ARGS)

bench-gateway: env-dev  ## Load the gateway
	@$(BIN)/python -m tests.bench.gateway $(ARGS)

bench-limits: env-dev  ## Hold a limit of 8 over several workers
	@$(BIN)/python -m tests.bench.limits $(ARGS)

bench-meter: env-dev  ## Measure what the meter adds to a model call
	@$(BIN)/python -m tests.bench.meter $(ARGS)

bench-scale: env-dev  ## Run 10,000 cases, and compare the model of design/scale.md with a simulation
	@$(BIN)/python -m tests.bench.scale $(ARGS)

bench-peers: env-dev env-peers  ## Compare the evaluation loop with other libraries
	@$(BIN)/python -m tests.bench.peers $(ARGS)

UV := .venv/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --system-certs --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

lock: env-base  ## Renew the locks (ARGS=--upgrade takes newer releases)
	@$(BIN)/python -m pip install --quiet --target .venv/uv --upgrade uv
	@$(COMPILE) $(ARGS) pyproject.toml -o requirements/base.txt
	@$(COMPILE) $(ARGS) pyproject.toml --group agents -c requirements/base.txt \
		-o requirements/agents.txt
	@$(COMPILE) --resolution lowest-direct pyproject.toml -o requirements/oldest.txt
	@$(COMPILE) $(ARGS) pyproject.toml --group dev --group agents --extra gepa --extra dask \
		--extra parquet --extra inspect -c requirements/base.txt -o requirements/dev.txt
	@$(COMPILE) $(ARGS) --group peers -o requirements/peers.txt

clean:  ## Remove both environments and every cache
	@rm -rf .venv .venv-peers build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

env-base:
	$(ENVIRONMENT) base

env-dev:
	$(ENVIRONMENT) base dev

env-test:
	$(ENVIRONMENT) base dev local-model

env-peers:
	$(ENVIRONMENT) peers
