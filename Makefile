# What a newcomer needs: `make demo`, `make test`, `make check`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SHELL  := /bin/bash
PARALLEL := -n auto --dist worksteal

.PHONY: demo demo-fleet test quick check bench docs test-kernels test-kernels-amd64 test-kernels-arm64 test-pythons clean packages
.DELETE_ON_ERROR:

demo: $(VENV)/osmia
	@$(BIN)/python examples/demo.py

# As root: three hosts of namespaces, on no network but their own.
demo-fleet: $(VENV)/fleet
	@$(BIN)/python examples/fleet/run.py

# As many workers as there are CPUs; then, alone, what measures time.
test: $(VENV)/dev packages
	$(BIN)/python -m pytest $(PARALLEL) -m "not alone"
	$(BIN)/python -m pytest -m alone

# A minute, for the inner loop: without what compares engines and libraries at length.
quick: $(VENV)/dev packages
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not alone"

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site: guides, recipes, the public API from its docstrings; HTML in build/docs.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/dev packages
	$(BIN)/python bench/run.py

# The suite's second half: what Debian's 6.1 has and this kernel may lack. With ARCH=arm64: what
# depends on the machine, on an emulated one, with the kernels named by ARM64_KERNELS.
ARM64_KERNELS := 6.12 6.1 6.12-16k
ARM64_TESTS := tests/kernel tests/events tests/vm/test_dispatcher.py tests/vm/test_tail_calls.py
test-kernels: test-kernels-$(or $(ARCH),amd64)

test-kernels-amd64: $(VENV)/dev packages
	$(BIN)/python -m pytest tests/differential tests/refusals
	tools/kernel-vm -t 1200 $(CURDIR)/$(BIN)/python -m pytest -m second_kernel

test-kernels-arm64: $(addprefix test-kernels-arm64-,$(ARM64_KERNELS))

test-kernels-arm64-%:
	tools/kernel-vm --arch arm64 --kernel $* -t 5400 sh -c 'osmia selftest && python -m pytest \
	  -p no:cacheprovider -m "second_kernel or not (slow or alone)" $(ARM64_TESTS)'

# The quick tests with each Python from 3.11 to 3.13 that is installed here.
test-pythons:
	tools/test-pythons

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/osmia: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/fleet: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,fleet]'
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/osmia $(VENV)/fleet

# Debian packages the tests use, with the reason for each, in one file; and a newer bpftool in
# build/, as a peer.
packages:
	@tools/install-packages
	@tools/fetch-newer-bpftool

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
