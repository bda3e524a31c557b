# make demo   set up what is missing, then compare three models on the examples
# make example   the same, then write the report and tables in docs/example anew
# make test   set up what is missing, then run all tests
# make guides   run the commands of docs/guides, and write what they print now into the pages (one of them needs SLURM)
# make bench  speed against what a user would do instead; writes benchmarks/RESULTS.md
# make findings   see whether libraries still do what findings/ shows; FINDINGS="findings/cif-*.sh" for some of them
# make lint   formatting, lint, types, workflow lint
# make docs   the documentation as a site, in site/
# make reference   the pages of docs/reference/ that are made from the code
#
# The set-up needs Python ≥ 3.11 (3.14 with a C compiler) and a package index, nothing else. Environments and images go
# to $(MIRA_CACHE) (~/.cache/mira unless set), by the hash of their recipe, and are built once.

SHELL := /bin/bash
MIRA := .venv/bin/mira
# A tool's own settings for this folder must not choose the Python of the set-up.
PYTHON = $(shell tests/testbed/find-python.sh)
# bytecode: without it every start of `mira`, of Snakemake and of a worker compiles its imports again, as pytest does its tests
export UV_COMPILE_BYTECODE = 1
export PYTHONDONTWRITEBYTECODE =
# MkDocs stays at its first major version, and need not say at each build that there are others
export NO_MKDOCS_2_WARNING = 1

.PHONY: setup demo example guides bench findings test test-fast lint fix clean

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "error: no Python from 3.11 to 3.13 was found, nor a newer one with a C compiler, which it needs"; echo "  hint: install one, e.g. apt-get install python3 python3-venv, or gcc for the newer one"; exit 4; }
	@test -x .tools/bin/uv || { $(PYTHON) -m venv .tools && .tools/bin/pip install -qq "$$(grep -oE 'uv>=[0-9.]+' pyproject.toml)"; }
	.tools/bin/uv sync --locked --quiet --python $(PYTHON)
	@touch $@

demo: setup
	@$(MIRA) images build fairchem-sevennet matgl || { test "$$(id -u)" = 0 && tests/testbed/install-apptainer.sh; }
	$(MIRA) run examples/structures --models sevennet-0,sevennet-l3i5,chgnet-0.3.0 --output runs/demo

# Three at once, on two cores too: the tests on SLURM mostly wait (see tests/conftest.py for what runs beside what).
# The image of GRACE is built to be tested, which its licence (academic, non-commercial) permits.
test: export MIRA_ACCEPT_LICENCES := grace
test: setup
	@tests/testbed/install-apptainer.sh || echo "warning: no Apptainer here, and it could not be installed: its tests will be skipped"
	@tests/testbed/slurm-test-cluster.sh install || echo "warning: no SLURM here, and it could not be installed: its tests will be skipped"
	@tests/testbed/slurm-version.sh trixie > /dev/null || echo "warning: no newer SLURM could be unpacked: its tests will be skipped"
	@tests/testbed/gridengine-test-cluster.sh install || echo "warning: no Grid Engine here, and it could not be installed: its tests will be skipped"
	@tests/testbed/install-chromium.sh || echo "warning: no browser here, and it could not be installed: the tests that look at the report will be skipped"
	.venv/bin/pytest -n 3

example: setup
	$(MIRA) run docs/example/run.yaml --output runs/example
	$(MIRA) collect runs/example
	.venv/bin/python docs/make_example.py runs/example

guides: setup
	@tests/testbed/slurm-test-cluster.sh start
	.venv/bin/python -m tests.guides.replay

bench: setup
	$(MIRA) images build fairchem-sevennet matgl --runtime venv
	@! command -v apptainer > /dev/null || $(MIRA) images build fairchem-sevennet matgl --runtime apptainer
	.venv/bin/python benchmarks/evaluation.py
	.venv/bin/python benchmarks/rounding.py
	.venv/bin/python benchmarks/layout.py
	.venv/bin/python benchmarks/end_to_end.py --ways scripts,venv$$(command -v apptainer > /dev/null && echo ,apptainer)
	.venv/bin/python benchmarks/side_by_side.py
	.venv/bin/python benchmarks/startup.py
	.venv/bin/python benchmarks/planning.py
	.venv/bin/python benchmarks/planning.py -n 1000000 -m 1 --made-up
	.venv/bin/python benchmarks/cif_reading.py
	.venv/bin/python benchmarks/reading.py --frames 100000,300000,1000000
	@! command -v nvidia-smi > /dev/null || .venv/bin/python benchmarks/gpu.py

FINDINGS = findings/*.sh

findings:
	@failed=; for script in $(FINDINGS); do \
		echo "== $$script"; bash "$$script" || failed="$$failed"$$'\n'"  $$script"; \
	done; \
	test -z "$$failed" || { echo "error: these have changed, or could not be run:$$failed"; exit 1; }

# what takes neither images nor the network, SLURM, a browser or the command itself
test-fast: setup
	.venv/bin/pytest tests/unit tests/docs tests/release -n 2 -m "not command and not slow"

# --strict does not count warnings that --quiet hides
lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/codespell
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/python tests/lint_workflow.py
	.venv/bin/mkdocs build --strict

.PHONY: docs reference
docs: setup
	.venv/bin/mkdocs build --strict

reference: setup
	.venv/bin/python -m docs.generate

fix: setup
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	.venv/bin/snakefmt Snakefile workflow

clean:
	rm -rf .venv .tools runs site .pytest_cache .mypy_cache .ruff_cache .hypothesis
