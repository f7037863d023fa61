"""SQL that a person could write to do harm, through a real MindsDB: a sentence of refusal, or what was asked, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.conftest import Service

COLUMNS = ["it's", 'say "so"', "a.b", "two\nlines", "a;--", "{{x}}", "%s", "é", "SELECT", "model", "labels"]


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    """Each text's length for its score, in the form that its task has."""
    if body is None:
        return []
    inputs, parameters = body["inputs"], body.get("parameters", {})
    if "candidate_labels" in parameters:
        return {"labels": parameters["candidate_labels"][:2], "scores": [0.75, 0.25]}
    texts = inputs if isinstance(inputs, list) else [inputs]
    return [[{"label": text[:20], "score": 1 / (1 + len(text))}] for text in texts]


@pytest.fixture
def service(mindsdb: MindsDB) -> Iterator[Service]:
    running = Service()
    running.answer = answer
    mindsdb.sql(f"CREATE ML_ENGINE hostile FROM huggingface_api USING endpoint = '{running.url}', cache = false")
    yield running
    for (name,) in mindsdb.sql("SELECT name FROM mindsdb.models WHERE name LIKE 'hostile%'").rows:
        mindsdb.sql(f"DROP MODEL mindsdb.{name}")
    mindsdb.sql("DROP ML_ENGINE hostile")
    running.close()


def create(mindsdb: MindsDB, name: str, using: str, task: str = "text-classification") -> None:
    mindsdb.sql(
        f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = 'hostile', task = '{task}', model = 'm', {using}"
    )
    mindsdb.wait_for_model(name)


def test_a_column_of_any_name_is_read_and_steers_nothing(mindsdb: MindsDB, service: Service, tmp_path: Path) -> None:
    table = pd.DataFrame({column: [f"{number} one", f"{number} two"] for number, column in enumerate(COLUMNS)})
    table.to_csv(tmp_path / "odd.csv", index=False)
    mindsdb.upload(tmp_path / "odd.csv", "odd")
    for number, column in enumerate(COLUMNS):
        name = f"hostile_{number}"
        create(mindsdb, name, "column = '" + column.replace("'", "''") + "'")
        found = mindsdb.sql(f"SELECT m.y FROM files.odd AS t JOIN mindsdb.{name} AS m").rows
        assert [row[0] for row in found] == [f"{number} one", f"{number} two"], column
    assert set(service.paths) == {"/"}
    mindsdb.sql("DROP TABLE files.odd")


@pytest.mark.parametrize("cell", ["x" * 1_000_000, "a\x00b", "it's; DROP MODEL mindsdb.hostile; --", "{{ x.__class__ }}", "\u202e\U0001f600"], ids=["1 MB", "NUL", "quotes", "template", "Unicode"])  # fmt: skip
def test_a_text_of_any_kind_is_sent_as_it_is(mindsdb: MindsDB, service: Service, cell: str) -> None:
    create(mindsdb, "hostile", "column = 'text'")
    found = mindsdb.sql("SELECT y FROM mindsdb.hostile WHERE text = '" + cell.replace("'", "''") + "'")
    assert service.asked == [{"inputs": cell}]
    assert found.rows == [[cell[:20]]]


def test_ten_thousand_labels_are_sent_in_their_order(mindsdb: MindsDB, service: Service) -> None:
    labels = [f"label {number}" for number in range(10_000)]
    create(mindsdb, "hostile", f"column = 'text', candidate_labels = {json.dumps(labels)}", "zero-shot-classification")
    assert mindsdb.sql("SELECT y FROM mindsdb.hostile WHERE text = 'a'").rows == [["label 0"]]
    assert service.asked[0]["parameters"]["candidate_labels"] == labels


@pytest.mark.parametrize(
    ("using", "says"),
    [
        ("prompt_template = '{{ x.__class__ }} {{text}}', task = 'text-generation'", "x.__class__"),
        ("prompt_template = '{{missing}}', task = 'text-generation'", "missing"),
    ],
)
def test_a_template_that_names_no_column_is_refused_before_anything_is_sent(
    mindsdb: MindsDB, service: Service, using: str, says: str
) -> None:
    mindsdb.sql(f"CREATE MODEL mindsdb.hostile PREDICT y USING engine = 'hostile', model = 'm', {using}")
    mindsdb.wait_for_model("hostile")
    with pytest.raises(SQLError, match="prompt_template") as refused:
        mindsdb.sql("SELECT y FROM mindsdb.hostile WHERE text = 'a'")
    assert says in str(refused.value)
    assert service.asked == []


@pytest.mark.parametrize(
    "value", ["{" + '"a": {' * 100 + "}" * 101, "'" + "[" * 10_000 + "'", "'not JSON'", "7", "['a']"]
)
def test_parameters_of_any_depth_are_refused_in_a_sentence(mindsdb: MindsDB, service: Service, value: str) -> None:
    with pytest.raises(SQLError) as refused:
        create(mindsdb, "hostile", f"column = 'text', parameters = {value}")
    assert "parameters" in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert service.asked == []
