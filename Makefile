# Two commands for a newcomer: `make dev` runs everything, `make test` tests everything. Both install what they need.
PORT ?= 3000
TESTS ?=
MINUTES ?= 10
SECONDS ?= 60
CHAOS ?=
PAGES ?=
ROLE ?= worker
# one process runs all tests of a file, which share what its fixtures start; files begin in the order of conftest.py
DIST = --dist loadfile --no-loadscope-reorder
# where it is set, every process compiles the project again, and pytest all tests
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup setup-dev dev test test-pooler test-pg15 quality check audit chaos security format lock version wheel

help:
	@echo "make dev      install, start database and Dagster UI with the samples (PORT=3000)"
	@echo "make test     install and test as the least-privileged role (TESTS='-k claims' selects tests)"
	@echo "make test-pooler  the tests of queue, pipeline, reports, alerts, Dagster and commands behind PgBouncer"
	@echo "make test-pg15    the tests of the queue on PostgreSQL 15 (Debian: apt-get install postgresql-15)"
	@echo "make security run attacks and print the results (SECONDS=60 of damaged documents)"
	@echo "make quality  compare the texts with those of bare tesseract and with benchmarks/quality.json (PAGES=6 of each group)"
	@echo "make check    check style, types, the import contract, the migrations and the lock files"
	@echo "make chaos    kill, freeze, disconnect and restart everything, then check the queue (MINUTES=10)"
	@echo "make setup    install and start nothing"
	@echo "make format   format the code with ruff"
	@echo "make wheel    a release as a wheel, in dist/"
	@echo "make lock     resolve the dependencies again (needs uv)"

setup:
	@scripts/setup.sh requirements.lock

setup-dev:
	@scripts/setup.sh requirements-dev.lock

dev: setup
	@trap : INT; .venv/bin/notaflow dev --port $(PORT) || [ $$? -eq 130 ]

# as the role that deploy/roles.sql makes, with row-level security on; ROLE=owner for the database's owner
test: setup-dev
	NOTAFLOW_TEST_ROLE=$(ROLE) .venv/bin/pytest -n auto $(DIST) --durations=10 $(TESTS)

# as the owner, and without tests that need their own sessions: those of Dagster's storage and of roles
test-pooler: setup-dev
	NOTAFLOW_TEST_POOLER=1 .venv/bin/pytest -n auto $(DIST) $(addprefix notaflow_pipeline_tests/, \
		job_queue reporting alerting defs cli security worker/test_pipeline.py local/test_ingest.py) $(TESTS)

# on a temporary server of the machine's own packages, instead of the embedded one
test-pg15: setup-dev
	NOTAFLOW_TEST_ROLE=$(ROLE) scripts/with_postgres.sh 15 \
		.venv/bin/pytest -n auto $(DIST) --durations=10 notaflow_pipeline_tests/job_queue $(TESTS)

# the corpus is a folder beside the project, or that of NOTAFLOW_CORPUS; drawn pages and the samples are always compared
quality: setup-dev
	.venv/bin/python -m benchmarks.quality_gate $(if $(PAGES),--pages $(PAGES))

security: setup-dev
	.venv/bin/python -m notaflow_pipeline_tests.security
	.venv/bin/python -m notaflow_pipeline_tests.fuzz --seconds $(SECONDS)

check: setup-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/squawk --config .squawk.toml migrations/*.sql
	.venv/bin/python scripts/audit.py

# part of a release: fails if the advisory database cannot be queried
audit: setup-dev
	.venv/bin/python scripts/audit.py --require-advisories

# CHAOS='--seed 7 --without monitor' repeats a run, or leaves a disturbance out; then the queue is compared with its model, with new examples
chaos: setup-dev
	.venv/bin/python -m notaflow_pipeline_tests.chaos --minutes $(MINUTES) $(CHAOS)
	HYPOTHESIS_PROFILE=random .venv/bin/pytest -q notaflow_pipeline_tests/job_queue/test_model.py

format: setup-dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --quiet -o requirements.lock
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --quiet -c requirements.lock -o requirements-dev.lock
	uv pip compile pyproject.toml --extra kubernetes --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --quiet -c requirements.lock -o requirements-kubernetes.lock

version:
	@sed -n 's/^__version__ = "\(.*\)"$$/\1/p' notaflow_pipeline/__init__.py

wheel: setup-dev
	.venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
