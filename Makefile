# Thin on purpose: every target is one command that also works by hand.
PYTHON := $(shell command -v python3.11 || command -v python3)
SUITES := lint types contracts migrations scripts fast slow postgres qemu faults journeys

.DEFAULT_GOAL := help
.PHONY: help run test $(SUITES) doctor shell bench search fix clean

help: ## list the targets
	@grep -hE '^[a-z][a-z ]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+)[^#]*## /  make \1\t/' | expand -t 20

run: ## set up what is missing, then serve the portal (Ctrl-C stops it)
	@$(PYTHON) deploy/run.py

test: ## set up what is missing, then run every suite; a summary at the end
	@$(PYTHON) deploy/test.py

$(SUITES):
	@$(PYTHON) deploy/test.py $@

doctor: ## check this installation; each fault comes with its fix
	@.venv/bin/python manage.py doctor

shell: ## a Python prompt with the portal loaded
	@.venv/bin/python manage.py shell

bench: ## run the benchmarks and write bench/RESULTS.md
	@$(PYTHON) deploy/test.py --set-up-only
	@.venv/bin/python -m bench

search: ## try documents, tables and keys of chance; each run takes others
	@$(PYTHON) deploy/test.py --set-up-only
	@.venv/bin/python -m pytest -q -n 2 -m hypothesis --hypothesis-profile=search --timeout=600

fix: ## format and repair what tools can repair
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format . ; .venv/bin/djhtml templates

clean: ## remove everything that set-up made, except PORTAL_HOME
	@rm -rf .venv node_modules static/dist staticfiles test-results .mypy_cache .ruff_cache .pytest_cache
