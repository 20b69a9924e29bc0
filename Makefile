# Two commands: `make run` and `make test`. Everything is installed into .venv of this checkout; real parts of the tests
# (Lightning nodes, foreign clients) go to the user's cache directory. ARGS="…" is passed on to the command behind a target.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON := $(BIN)/python
PIP    := $(PYTHON) -m pip install --quiet --disable-pip-version-check

.PHONY: help run test prove coverage asyncio-debug check bench rig docs clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make run            install kitestring and start it            (ARGS=\"--data-dir DIR\")"
	@echo "make test           run the tests                              (ARGS=\"-k words\")"
	@echo "make test REAL=1    the same, with real nodes and clients, built on the first run"
	@echo "make prove          the money, attacked for long on all cores     (SEEDS=… STEPS=… KILLS=… INPUTS=…)"
	@echo "make coverage       the same as REAL=1, and how much of each room the tests reach"
	@echo "make asyncio-debug  tests of engine and transport in asyncio's debug mode"
	@echo "make check          linters, types, import contract, exports, docstrings, escapes"
	@echo "make bench          speed, as ratios"
	@echo "make rig            a private Lightning network to try kitestring on"
	@echo "make docs           write the generated pages of docs/ anew"
	@echo "make clean          forget .venv and the tools' caches"

run: $(VENV)/.installed
	@exec $(BIN)/kitestring up $(ARGS)

test: $(VENV)/.test
ifneq ($(filter 1 true yes,$(REAL))$(filter true,$(CI)),)
	@$(PYTHON) -m tests.rig.parts build
else
	@$(PYTHON) -m tests.rig.parts hint
endif
	@$(PYTHON) -m pytest $(ARGS)

# Worlds, transactions on the ledger, kills in the flows of money, spoilt inputs. The short lane of it is in `make test`.
SEEDS  ?= 100
STEPS  ?= 5000
KILLS  ?= 100
INPUTS ?= 20000

prove: $(VENV)/.test
	@$(PYTHON) -m tests.prove --seeds $(SEEDS) --steps $(STEPS) --kills $(KILLS) --inputs $(INPUTS) $(ARGS)

# Programs that tests start are not counted: many of them are killed, fill a disk, or must load next to nothing.
coverage: $(VENV)/.test
	@$(PYTHON) -m tests.rig.parts build
	@CI=true $(BIN)/coverage run -m pytest $(ARGS)
	@$(PYTHON) tools/coverage_floors.py

asyncio-debug: $(VENV)/.test
	@PYTHONASYNCIODEBUG=1 $(PYTHON) -m pytest tests/engine tests/transport $(ARGS)

check: $(VENV)/.check
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTHON) -m pytest -q tests/test_exports.py tests/test_docstrings.py tests/test_escapes.py

bench: $(VENV)/.test
	@$(PYTHON) -m bench $(ARGS)

rig: $(VENV)/.installed
	@$(PYTHON) -m tests.rig.parts build lnd
	@exec $(PYTHON) -m tests.rig

docs: $(VENV)/.test
	@$(PYTHON) -m docs.generate

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

# ---- installation: each stamp is newer than what it was made from, so that a second run starts at once ----------------

$(BIN)/pip:
	@for python in python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "kitestring needs Python 3.11 or newer, and there is none on PATH" >&2; exit 1; fi; \
	echo "making $(VENV) with $$found …"; \
	$$found tools/make_venv.py $(VENV)

$(VENV)/.installed: pyproject.toml $(BIN)/pip
	@echo "installing kitestring into $(VENV) …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	@echo "installing what the tests need …"
	@$(PIP) --group test
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@echo "installing the linters …"
	@$(PIP) --group check
	@touch $@
