"""The law: a query with models equals the same query in plain DuckDB over materialised predictions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import predict
from tests.conftest import Service
from tests.sql.law.cases import Case, cases
from tests.sql.law.homes import Ours, Plain, Rows, ours
from tests.sql.law.nodes import write
from tests.sql.law.predictions import MODELS, Model, answer, as_subselect
from tests.sql.law.run import minimised, run, told
from tests.sql.law.tables import TEXTS, literal

QUERIES = 2000
PARTS = 4
"""The queries are cut into so many tests, which processes may share."""


@pytest.fixture(scope="module")
def tested() -> Iterator[Ours]:
    with ours() as home:
        yield home


@pytest.mark.parametrize("part", range(PARTS))
def test_a_query_with_models_equals_plain_duckdb_over_predictions(tested: Ours, part: int) -> None:
    plain = Plain()
    summary = run(cases(seed=part, count=QUERIES // PARTS), plain, tested)
    if summary.differences:
        case, found = summary.differences[0]
        pytest.fail(told(*minimised(case, found, plain, tested)))
    assert summary.compared > 0.95 * QUERIES // PARTS, summary.invalid


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_predictions_in_sql_are_those_of_the_service(service: Service, model: Model) -> None:
    """Or the law would compare with something else."""
    service.answer = answer
    texts = [*TEXTS, None, "more", "Good!"]
    cells = [texts[place:] + texts[:place] for place, _ in enumerate(model.inputs)]
    frame = pd.DataFrame(dict(zip(model.inputs, cells, strict=True)), dtype=object)
    task = "text-ranking" if model.is_pair else "text-classification"
    columns = dict(zip(("column", "column2"), model.inputs, strict=False))
    using = {"task": task, "model": model.name.lower(), "target": model.target, "on_error": "null", **columns}
    out = predict(frame, using, {"endpoint": f"{service.url}/models"})
    rows = [["NULL" if cell is None else literal(cell) for cell in row] for row in zip(*cells, strict=True)]
    found = Plain().run(" UNION ALL ".join(as_subselect(model, tuple(row)) for row in rows))
    assert found.columns == list(out.columns)
    assert found.rows == [tuple(map(_as_sql, row)) for row in out.to_numpy(object).tolist()]


def _as_sql(cell: Any) -> Any:
    if isinstance(cell, dict):
        return json.dumps(cell, separators=(",", ":"))
    return None if pd.isna(cell) else cell


FAULTS = {
    "a row without an input is lost": (r"LEFT JOIN LATERAL", "JOIN LATERAL"),
    "a failure is passed off as NULL": (r"CASE WHEN __failed THEN '[^']*' END", "NULL::VARCHAR"),
    "a blank text is asked": (r"trim\(__x\) <> ''", "__x <> ''"),
    "a condition is lost": (r"WHERE (?=[^()]*$)", "WHERE true OR "),
    "a set's duplicates stay": (r"\bUNION\b(?! ALL)", "UNION ALL"),
    "OFFSET is lost": (r"OFFSET \d+", ""),
    "an order is turned": (r"ORDER BY 1(?= |$|,)(?! DESC| ASC)", "ORDER BY 1 DESC"),
    "a right join is a left one": (r"RIGHT JOIN", "LEFT JOIN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_made_small(fault: str) -> None:
    pattern, replacement = FAULTS[fault]
    plain, other = Plain(), Plain()

    def home(case: Case) -> Rows:
        other.use(case.tables)
        return other.run(re.sub(pattern, replacement, write(case.query, "plain")))

    summary = run(cases(seed=0, count=500), plain, home)
    assert summary.differences, fault
    case, _ = minimised(*summary.differences[0], plain, home)
    assert len(case.ours) < 600
    assert sum(len(table.rows) for table in case.tables) <= 4
