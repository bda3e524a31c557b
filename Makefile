# make demo   set up what is missing, then compare three models on the examples
# make test   set up what is missing, then run all tests
# make bench  speed against what a user would do instead; writes benchmarks/RESULTS.md
# make lint   formatting, lint, types, workflow lint
#
# The set-up needs Python ≥ 3.11 and a package index, nothing else. Environments and images go to $(MIRA_CACHE)
# (~/.cache/mira unless set), by the hash of their recipe, and are built once.

SHELL := /bin/bash
MIRA := .venv/bin/mira
# A tool's own settings for this folder must not choose the Python of the set-up.
PYTHON = $(shell tests/testbed/find-python.sh)
# bytecode: without it every start of `mira` and of Snakemake compiles its imports again
export UV_COMPILE_BYTECODE = 1

.PHONY: setup demo bench test test-fast lint fix clean

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer was found"; echo "  hint: install one, e.g. apt-get install python3 python3-venv"; exit 4; }
	@test -x .tools/bin/uv || { $(PYTHON) -m venv .tools && .tools/bin/pip install -qq "$$(grep -oE 'uv>=[0-9.]+' pyproject.toml)"; }
	.tools/bin/uv sync --locked --extra slurm --quiet --python $(PYTHON)
	@touch $@

demo: setup
	@$(MIRA) images build fairchem-sevennet matgl || { test "$$(id -u)" = 0 && tests/testbed/install-apptainer.sh; }
	$(MIRA) run examples/structures --models sevennet-0,sevennet-l3i5,chgnet-0.3.0 --output runs/demo

# the image of GRACE is built to be tested, which its licence (academic, non-commercial) permits
test: export MIRA_ACCEPT_LICENCES := grace
test: setup
	@tests/testbed/install-apptainer.sh || echo "warning: no Apptainer here, and it could not be installed: its tests will be skipped"
	@tests/testbed/slurm-test-cluster.sh install || echo "warning: no SLURM here, and it could not be installed: its tests will be skipped"
	.venv/bin/pytest

bench: setup
	$(MIRA) images build fairchem-sevennet matgl
	.venv/bin/python benchmarks/evaluation.py
	.venv/bin/python benchmarks/planning.py

test-fast: setup
	.venv/bin/pytest tests/unit

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/codespell
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/python tests/lint_workflow.py

fix: setup
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	.venv/bin/snakefmt Snakefile workflow

clean:
	rm -rf .venv .tools runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
