# The two commands of this project are `make run` and `make test`; each sets up what it needs.
.PHONY: setup setup-system setup-bench run check test bench format lock clean
PY := .venv/bin/python

setup: .venv/.ready web/node_modules/.ready src/stentor/web/dist/.ready

.venv/.ready: requirements-dev.txt pyproject.toml
	scripts/setup-python

web/node_modules/.ready: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --silent && touch node_modules/.ready

WEB_SOURCES := $(shell find web/src web/index.html web/stage.html web/vite.config.ts 2>/dev/null)
src/stentor/web/dist/.ready: $(WEB_SOURCES) web/node_modules/.ready
	cd web && npm run --silent build && touch ../src/stentor/web/dist/.ready

setup-system:
	scripts/setup-system

setup-bench:
	scripts/setup-bench

run: setup
	.venv/bin/stentor demo

check: setup
	scripts/check

test: setup setup-system
	scripts/test

bench: setup setup-bench
	$(PY) -m bench

format: setup
	.venv/bin/ruff check --fix-only -q . && .venv/bin/ruff format -q .

LOCK := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header --quiet
lock: .venv/.ready
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements.in requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf .venv web/node_modules src/stentor/web/dist data results
