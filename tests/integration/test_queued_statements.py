"""The statements of ``tests/cluster/test_mindsdb_queue.py``, in a MindsDB that runs its ML tasks itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.support.paced_service import PacedService
from tests.support.queued_statements import STATEMENTS, create_table, outcome


def test_the_statements_give_these_answers_without_a_queue(mindsdb: MindsDB, tmp_path: Path) -> None:
    with closing(PacedService()) as service:
        create_table(mindsdb, tmp_path)
        mindsdb.sql(
            f"CREATE ML_ENGINE queued FROM huggingface_api USING endpoint = '{service.url}', "
            f"cache_dir = '{tmp_path / 'store'}'"
        )
        outcomes = [(statement, outcome(mindsdb, statement)) for statement, _ in STATEMENTS]
        mindsdb.sql("DROP ML_ENGINE queued")
        mindsdb.sql("DROP TABLE files.queued")
    assert outcomes == STATEMENTS
