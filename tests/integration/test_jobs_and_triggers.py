"""JOB and TRIGGER: predictions that MindsDB makes by itself. Both run in processes of their own."""

from __future__ import annotations

import json
import time

import duckdb
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.integration.conftest import MOODS, refusal, rows_of, wait_for
from tests.support.postgres_server import PostgresServer

EACH = [[number, mood] for number, mood in MOODS.items()]


@pytest.fixture(scope="module")
def joined(moods: str, pg: str) -> str:
    return f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"


@pytest.fixture(scope="module", autouse=True)
def jobs(
    mindsdb: MindsDB,
    joined: str,
    moods: str,
    pg: str,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """All jobs at once: the first that runs waits until its process has imported MindsDB."""
    for table in ("by_job", "by_last", "by_condition", "by_trigger", "growing", "watched"):
        columns = "text TEXT" if table in ("growing", "watched") else "sentiment TEXT"
        postgres.execute(f"CREATE TABLE {table} (id INT, {columns})")
    postgres.execute("INSERT INTO growing VALUES (1, 'awful before the job')")
    file = tmp_path_factory.mktemp("duck") / "locked.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE reviews AS SELECT 1 AS id, 'I love it' AS text")
    mindsdb.sql(
        f"CREATE DATABASE duck_locked WITH ENGINE = 'duckdb', PARAMETERS = {json.dumps({'database': str(file)})}"
    )
    assert mindsdb.sql("SELECT id FROM duck_locked.reviews").rows == [
        [1]
    ]  # from now on the server's process has the file
    last = f"SELECT t.id, m.sentiment FROM {pg}.growing AS t JOIN {moods} AS m WHERE t.id > LAST"
    mindsdb.sql(f"CREATE JOB mindsdb.job_last (INSERT INTO {pg}.by_last ({last})) EVERY 1 minute")
    mindsdb.sql(
        f"CREATE JOB mindsdb.job_once AS (INSERT INTO {pg}.by_job ({joined}); INSERT INTO {pg}.by_job (SELECT 9 AS id, 'x' AS sentiment))"
    )
    mindsdb.sql(
        f"CREATE JOB mindsdb.job_if AS (INSERT INTO {pg}.by_condition ({joined})) EVERY 1 hour IF (SELECT * FROM {pg}.reviews WHERE id = 99)"
    )
    mindsdb.sql(
        f"CREATE JOB mindsdb.job_using (CREATE OR REPLACE TABLE {pg}.by_using ({joined} USING threshold = 0.9))"
    )
    mindsdb.sql(
        f"CREATE JOB mindsdb.job_failing (INSERT INTO {pg}.by_job (SELECT y FROM mindsdb.no_such_model WHERE text = 'x'))"
    )
    mindsdb.sql(
        f"CREATE JOB mindsdb.job_duck (INSERT INTO {pg}.by_job (SELECT t.id, m.sentiment FROM duck_locked.reviews AS t JOIN {moods} AS m))"
    )


def ended(mindsdb: MindsDB, job: str) -> str | None:
    """The error of a job's first run, once it has ended."""
    wait_for(mindsdb, f"SELECT COUNT(run_end) > 0 AS ended FROM log.jobs_history WHERE name = '{job}'", [[True]])
    ((error,),) = rows_of(mindsdb, f"SELECT error FROM log.jobs_history WHERE name = '{job}' LIMIT 1")
    return None if error is None else str(error)


def test_a_trigger_of_postgres_gets_new_rows(mindsdb: MindsDB, moods: str, pg: str, postgres: PostgresServer) -> None:
    insert = f"INSERT INTO {pg}.by_trigger (SELECT t.id, m.sentiment FROM TABLE_DELTA AS t JOIN {moods} AS m)"
    mindsdb.sql(f"CREATE TRIGGER mindsdb.on_review ON {pg}.watched COLUMNS text ({insert})")
    deadline = time.monotonic() + 60
    # MindsDB listens a moment after it has said that it does.
    while not postgres.execute("SELECT 1 FROM information_schema.triggers"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    postgres.execute("INSERT INTO watched VALUES (50, 'awful since the trigger')")
    wait_for(mindsdb, f"SELECT id, sentiment FROM {pg}.by_trigger", [[50, "NEGATIVE"]])
    (row,) = (row for row in rows_of(mindsdb, "SHOW TRIGGERS") if row[0] == "on_review")
    assert row[2:4] == [pg, "watched"] and row[-1] is None
    mindsdb.sql("DROP TRIGGER mindsdb.on_review")
    assert refusal(mindsdb, "DROP TRIGGER mindsdb.on_review") == "Trigger doesn't exist: on_review"


@pytest.mark.parametrize(("table", "engine"), [("duck_locked.reviews", "duckdb"), ("files.none", "files")])
def test_no_other_database_has_triggers(mindsdb: MindsDB, table: str, engine: str) -> None:
    statement = f"CREATE TRIGGER mindsdb.on_other ON {table} (SELECT 1)"
    said = refusal(mindsdb, statement)
    assert said.startswith(f"Handler {engine} ") and said.endswith(" support subscription")


def test_a_job_runs_its_statements_once(mindsdb: MindsDB, pg: str) -> None:
    assert ended(mindsdb, "job_once") is None
    assert sorted(rows_of(mindsdb, f"SELECT * FROM {pg}.by_job")) == [*EACH, [9, "x"]]
    assert mindsdb.sql("SELECT * FROM mindsdb.jobs WHERE name = 'job_once'").rows == []


def test_using_of_a_select_is_kept_in_a_job(mindsdb: MindsDB, pg: str) -> None:
    assert ended(mindsdb, "job_using") is None
    assert {row[1] for row in rows_of(mindsdb, f"SELECT * FROM {pg}.by_using")} == {"uncertain"}


def test_a_job_with_a_condition_waits_for_rows(mindsdb: MindsDB, pg: str) -> None:
    assert ended(mindsdb, "job_if") is None
    assert rows_of(mindsdb, f"SELECT * FROM {pg}.by_condition") == []
    mindsdb.sql("DROP JOB mindsdb.job_if")


def test_why_a_job_failed_is_in_its_history(mindsdb: MindsDB) -> None:
    assert ended(mindsdb, "job_failing") == "Table 'no_such_model' not found in database: mindsdb"


def test_a_job_over_a_duckdb_file_that_the_server_has_open_fails(mindsdb: MindsDB) -> None:
    error = ended(mindsdb, "job_duck")
    assert error is not None and "Could not set lock on file" in error


def test_a_repeated_job_predicts_what_came_since_its_last_run(
    mindsdb: MindsDB, pg: str, postgres: PostgresServer
) -> None:
    """Its first run only notes where the table ends."""
    assert ended(mindsdb, "job_last") is None
    assert rows_of(mindsdb, f"SELECT * FROM {pg}.by_last") == []
    ((schedule, seen),) = rows_of(mindsdb, "SELECT schedule_str, variables FROM mindsdb.jobs WHERE name = 'job_last'")
    assert schedule == "every 1 minute" and seen == [{"growing": {"id": 1}}]
    postgres.execute("INSERT INTO growing VALUES (2, 'awful since then')")
    wait_for(mindsdb, f"SELECT id, sentiment FROM {pg}.by_last", [[2, "NEGATIVE"]], timeout=120)
    mindsdb.sql("DROP JOB mindsdb.job_last")
    assert refusal(mindsdb, "DROP JOB mindsdb.job_last") == "Job does not exist: job_last"
    mindsdb.sql("DROP JOB IF EXISTS mindsdb.job_last")
