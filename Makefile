# Python 3.11 or newer (with venv) and make are all that this needs. `make` alone explains the targets.

UPSTREAM ?=
PORT ?=
ADMIN_PORT ?=
TESTS ?=
SOAK_SECONDS ?= 600
FAULT_SECONDS ?= 20
CHAOS_SECONDS ?= 30

BIN := .venv/bin
SOURCES := rules sidecar control_plane service layout_mutation demo benchmarks deploy requirements tests

# The first Python that is new enough: the environment's own once there is one.
PYTHON ?= $(shell for python in $(BIN)/python python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
NO_PYTHON := Python 3.11 or newer is needed and was not found. On Debian and Ubuntu: apt install python3 python3-venv
SET_UP = @python="$(PYTHON)"; [ -n "$$python" ] || { echo "$(NO_PYTHON)" >&2; exit 3; }; "$$python" -ES -m requirements.install

.DEFAULT_GOAL := help
.PHONY: help run test faults chaos soak check bench fmt lock env image-check clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run UPSTREAM=http://127.0.0.1:3000 PORT=8080 ADMIN_PORT=8081   fronts that site instead of the demo"
	@echo "  make test TESTS=tests/rules                                         runs a part of the tests"

run: ## Start everything on this machine: demo site, sidecar, control plane, PostgreSQL, Valkey
	$(SET_UP) run
	@exec $(BIN)/python -m layout_mutation up $(if $(UPSTREAM),--upstream '$(UPSTREAM)',--demo) \
		$(if $(PORT),--port '$(PORT)') $(if $(ADMIN_PORT),--admin-port '$(ADMIN_PORT)')

check: ## What CI checks besides the tests: style, types, directions of imports, generated files
	$(SET_UP) dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted; run: make fmt" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m layout_mutation docs --check

test: check ## Everything that CI runs: the checks, then all tests on real servers and a real browser
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

faults: ## Provoke every failure while 200 visitors browse, and print what they saw (FAULT_SECONDS=20 for each)
	$(SET_UP) dev
	@$(BIN)/python -m pytest --soak $(FAULT_SECONDS) tests/end_to_end/faults

chaos: ## Take the control plane's database, schema, disk, clock and mirror away while a client writes, and print what was lost (CHAOS_SECONDS=30)
	$(SET_UP) dev
	@$(BIN)/python -m pytest --soak $(CHAOS_SECONDS) tests/end_to_end/chaos

soak: ## What takes long: fuzzers and the proxy for ten minutes each, 100,000 pages, every verb on every real page (SOAK_SECONDS=60)
	$(SET_UP) dev
	@$(BIN)/python -m pytest --soak $(SOAK_SECONDS) tests/soak tests/end_to_end/faults/test_publishing_under_load.py \
		tests/properties/test_real_pages.py tests/properties/test_html5lib_documents.py \
		tests/browser/test_hydration.py tests/end_to_end/test_proxy_restarts.py

bench: ## Requests per second and latencies of origin, pass-through, first-seen and repeated pages
	$(SET_UP) dev
	@exec $(BIN)/python -m benchmarks

fmt: ## Format and sort imports, and write the generated files anew
	$(SET_UP) dev
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python -m layout_mutation docs

LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --generate-hashes --universal \
	--python-version 3.11 --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)
lock: ## Write the lock files anew from pyproject.toml and package.json (UPGRADE=1 for newer versions)
	$(SET_UP) dev
	@$(LOCK) pyproject.toml --extra otel -o requirements/runtime.lock
	@$(LOCK) pyproject.toml --extra otel --extra embedded -c requirements/runtime.lock -o requirements/run.lock
	@$(LOCK) pyproject.toml --extra otel --extra embedded --extra dev -c requirements/run.lock -o requirements/dev.lock
	@$(LOCK) --group pyproject.toml:build -o requirements/build.lock
	@$(LOCK) --group pyproject.toml:node -o requirements/node.lock
	@$(BIN)/python -m requirements.install scripts-lock

env: ## Write a .env with fresh keys and passwords for docker compose
	$(SET_UP) run
	@$(BIN)/python -m deploy.compose_env

image-check: ## Carry out the Dockerfile's steps in an empty Debian tree (root, debootstrap, network)
	$(SET_UP) dev
	@$(BIN)/python -m deploy.image_check

clean: ## Remove what set-up and tests left; the data of `make run` stays in .layout-mutation
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf control_plane/admin/static/vendor node_modules test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
