# Every target does its own set-up: a virtual environment with pinned packages, and nothing outside this folder
# but, for tests and where apt and root allow, the Debian packages of tests/debian-packages.sh.

PYTHON ?= python3
BIN    := .venv/bin
ONLY   ?=
# Tests with real traffic: beside each other, and beside nothing else.
ALONE  := tests/providers/envoy tests/azure tests/console tests/journeys
# Two files at once, begun in the order of tests/conftest.py: what a file's tests share is made once.
TWO    := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test check terraform-check bench soak up lock vendor clean

demo: .venv/ready
	$(BIN)/bleen demo

up: .venv/ready
	$(BIN)/bleen up

test: .venv/ready .venv/terraform/ready
	@sh tests/debian-packages.sh
	@sh tests/npm-packages.sh
	$(BIN)/pytest -q $(TWO) $(ALONE:%=--ignore=%)
	$(BIN)/pytest -q $(TWO) $(ALONE)

# The Azure part alone: Terraform modules and the Packer template, against the provider's schema and with no cloud.
terraform-check: .venv/ready .venv/terraform/ready
	@sh tests/debian-packages.sh
	$(BIN)/pytest -q tests/terraform

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/docs

bench: .venv/ready
	@sh tests/debian-packages.sh bench
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/bench.txt
	$(BIN)/python -m bench $(ONLY)

soak: .venv/ready
	@sh tests/debian-packages.sh soak
	$(BIN)/pytest -q -m soak
	$(BIN)/python -m bench.soak

.venv/ready: pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

.venv/terraform/ready: .venv/ready requirements/terraform.txt
	$(PYTHON) -m venv .venv/terraform
	$(BIN)/uv pip install -q --python .venv/terraform/bin/python --require-hashes --only-binary :all: -r requirements/terraform.txt
	@$(BIN)/python -m tests.terraform.schema
	@touch $@

# Pins every package by hash, without the address of any index.
lock:
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group bench -o requirements/bench.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group terraform -o requirements/terraform.txt
	echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url - -o requirements/uv.txt

# The console's libraries, unchanged from npm, against the hashes of vendored.json. Needs npm.
vendor: .venv/ready
	$(BIN)/python -m bleen.interfaces.console.vendor

clean:
	rm -rf .venv .bleen .mypy_cache .ruff_cache .pytest_cache
