# Everything a newcomer needs: `make demo` and `make test`. Set-up happens by itself, once, in .venv.
#
#   make demo     install Earshot, add the sample recordings to a library, search it
#   make test     install what tests need, check style and types, run every test
#   make check    style and types only
#   make bench    how much is found, in minutes (needs a folder of speech, see CONTRIBUTING.md)
#   make clean    remove .venv and everything that was built
#
# PYTHON=python3.12 chooses another Python; TORCH="torch" another version of torch than the one that
# is tested (its CPU build is all that tests need).

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LIBRARY := build/demo-library
# What says whether there is a Chromium, and who may install one.
BROWSER := test -n "$$EARSHOT_CHROMIUM" || command -v chromium chromium-browser google-chrome chrome >/dev/null
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
# Said in examples/texts: plain words, a call, a number, and names that no dictionary holds.
QUERIES := 'boosted decision trees' 'cancelling my contract' '900 small earthquakes' \
	'Eudoxia Plimpernel' 'Voltarix 2000'

.PHONY: demo test check bench clean
.DEFAULT_GOAL := demo

demo: $(VENV)/installed
	@rm -rf $(LIBRARY)
	$(BIN)/earshot add examples/recordings --library $(LIBRARY)
	@for query in $(QUERIES); do \
		echo; echo "$(BIN)/earshot search '$$query' --top 2 --library $(LIBRARY)"; \
		$(BIN)/earshot search "$$query" --top 2 --library $(LIBRARY) || exit; \
	done
	@echo; echo "To use the commands as they are printed: . $(BIN)/activate"

test: check
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/found_rate.py --quick

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is marked by a file each, so that it is installed again only when
# pyproject.toml has changed.

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Earshot needs Python 3.11 or later, and none was found (python3 is" \
			"$$(python3 --version 2>&1 || true)): install one, or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Earshot needs Python 3.11 or later, and $(PYTHON) is older or missing:" \
			"name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package" \
			"(on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Earshot into $(VENV) (once; a minute or two) ..."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/installed
	@echo "Installing what tests need into $(VENV) (once; a few minutes) ..."
	@$(PIP) install "$(TORCH)" || $(PIP) install torch
	@$(PIP) install --editable '.[test]'
	@$(BROWSER) || { echo "Installing Chromium, in which the page is tested ..."; \
		$(ROOT) apt-get -qq update && $(ROOT) apt-get -qq install -y --no-install-recommends chromium; } \
		>/dev/null 2>&1 || { echo "The page is tested in Chromium: install it, or name one in" \
			"EARSHOT_CHROMIUM (on Debian and Ubuntu: apt install chromium)" >&2; exit 1; }
	@touch $@

$(VENV)/installed-bench: pyproject.toml | $(VENV)/installed
	@$(PIP) install --editable '.[benchmark]'
	@touch $@
