"""Texts that are longer than the model, in SQL: at the local server, which tells its length, and at one that refuses them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from huggingface_api_handler.tasks.text_windows import estimate_tokens
from tests.conftest import Reply, Service
from tests.integration.conftest import rows_of

GOOD = " ".join(f"Day {day} was wonderful and I loved every minute of it." for day in range(150))
BAD = " ".join(f"Day {day} was terrible and I hated every minute of it." for day in range(30))
MIXED = f"{GOOD}\n\n{BAD}"
SHORT = "What an awful film."
ROWS = [(1, GOOD, "good"), (2, SHORT, "short"), (3, None, None), (4, MIXED, "mixed"), (5, GOOD, "good"), (6, " ", "")]
LIMIT = 60
"""Tokens that the server takes which refuses longer texts."""


@pytest.fixture(scope="module")
def documents(mindsdb: MindsDB, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("data") / "long_documents.csv"
    pd.DataFrame(ROWS, columns=["id", "text", "topic"]).to_csv(file, index=False)
    mindsdb.upload(file, "long_documents")
    return "files.long_documents"


def create(mindsdb: MindsDB, engine: str, name: str, using: str) -> str:
    mindsdb.sql(f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = '{engine}', {using}")
    mindsdb.wait_for_model(name)
    return f"mindsdb.{name}"


@pytest.fixture(scope="module")
def mood(mindsdb: MindsDB, engine: str) -> str:
    return create(mindsdb, engine, "mood_of_long", "task = 'text-classification', column = 'text'")


def usage_of(mindsdb: MindsDB, model: str) -> list[dict[str, Any]]:
    """All queries of the model together, then each one, the last one first."""
    found = mindsdb.sql(f"DESCRIBE {model}.usage")
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def explained(cell: object) -> dict[str, Any]:
    """What ``_explain`` says, which SQL has as JSON text."""
    assert isinstance(cell, str)
    found: dict[str, Any] = json.loads(cell)
    return found


def joined(mindsdb: MindsDB, documents: str, model: str, using: str = "") -> dict[int, dict[str, Any]]:
    """The columns of the prediction, by the row's id."""
    found = mindsdb.sql(f"SELECT t.id, m.* FROM {documents} AS t JOIN {model} AS m {using}")
    assert len(found.rows) == len(ROWS)
    rows: list[dict[str, Any]] = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return {row.pop("id"): row for row in rows}


def test_describe_tells_how_long_a_text_may_be(mindsdb: MindsDB, mood: str) -> None:
    described = dict(rows_of(mindsdb, f"DESCRIBE {mood}.model"))
    assert described["max input tokens"].startswith("256 (max_input_length of ")


def test_one_long_text_is_answered_by_its_parts(mindsdb: MindsDB, mood: str) -> None:
    found = mindsdb.sql(f"SELECT y, y_confidence, y_explain, y_error FROM {mood} WHERE text = '{MIXED}'")
    ((label, confidence, explain, error),) = found.rows
    assert (label, error) == ("POSITIVE", None)
    said = explained(explain)
    assert said["POSITIVE"] == pytest.approx(float(str(confidence)))
    parts = said["parts"]
    assert len(parts) > 5
    assert parts[0]["start"] == 0 and parts[-1]["end"] == len(MIXED)
    assert (parts[0]["value"], parts[-1]["value"]) == ("POSITIVE", "NEGATIVE")
    assert "left_out" not in said


def test_a_table_of_long_and_short_texts_and_nulls(mindsdb: MindsDB, mood: str, documents: str) -> None:
    answers = joined(mindsdb, documents, mood)
    assert {key: row["y"] for key, row in answers.items()} == {
        1: "POSITIVE",
        2: "NEGATIVE",
        3: None,
        4: "POSITIVE",
        5: "POSITIVE",
        6: None,
    }
    assert all(row["y_error"] is None for row in answers.values())
    assert "parts" in explained(answers[1]["y_explain"]) and "parts" in explained(answers[4]["y_explain"])
    assert "parts" not in explained(answers[2]["y_explain"])
    assert answers[3]["y_explain"] is None and answers[6]["y_explain"] is None
    assert answers[1] == answers[5]
    last = usage_of(mindsdb, mood)[1]
    assert (last["long_texts"], last["left_out"], last["answered"], last["nulls"]) == (2, 0, 4, 2)
    assert last["parts"] == sum(len(explained(answers[key]["y_explain"])["parts"]) for key in (1, 4))


@pytest.mark.parametrize(("using", "count"), [("long_text = 'truncate'", 1), ("max_chunks = 2", 2)])
def test_what_is_left_out_is_said(mindsdb: MindsDB, mood: str, documents: str, using: str, count: int) -> None:
    answers = joined(mindsdb, documents, mood, f"USING {using}")
    assert answers[2]["y"] == "NEGATIVE"
    for row in (answers[1], answers[4]):
        said = explained(row["y_explain"])
        assert len(said["parts"]) == count
        assert said["left_out"] == {"text": said["parts"][-1]["end"]}
    total, last, *_ = usage_of(mindsdb, mood)
    assert (last["long_texts"], last["parts"], last["left_out"]) == (2, 2 * count, 2)
    assert total["left_out"] >= 2


def test_a_dry_run_counts_parts(mindsdb: MindsDB, inference: str, documents: str) -> None:
    mindsdb.sql(f"CREATE ML_ENGINE long_dry FROM huggingface_api USING endpoint = '{inference}/models'")
    model = create(mindsdb, "long_dry", "long_dry_mood", "task = 'text-classification', column = 'text'")
    dry = f"SELECT m.y, m.distinct_inputs, m.stored, m.requests FROM {documents} AS t JOIN {model} AS m USING"
    for settings, of_each in (("", ""), ("max_chunks = 2,", "4"), ("long_text = 'truncate',", "2")):
        sentence, distinct, stored, requests = rows_of(mindsdb, f"{dry} {settings} dry_run = true")[0]
        assert f"2 texts too long, in {of_each}" in sentence
        assert (distinct, stored) == (3, 0)
        assert requests >= 1
    sentence = rows_of(mindsdb, f"{dry} long_text = 'error', dry_run = true")[0][0]
    assert "too long" not in sentence
    answers = joined(mindsdb, documents, model)
    count = sum(len(explained(answers[key]["y_explain"])["parts"]) for key in (1, 4))
    sentence, _, stored, requests = rows_of(mindsdb, f"{dry} dry_run = true")[0]
    assert f"in {count} parts" in sentence
    assert requests == 0


def test_arguments_of_create_are_shown_and_a_select_overrides_them(mindsdb: MindsDB, engine: str) -> None:
    using = "task = 'text-classification', column = 'text', long_text = 'truncate', max_chunks = 3"
    model = create(mindsdb, engine, "only_begin", using)
    settings = dict(rows_of(mindsdb, f"DESCRIBE {model}.settings"))
    assert (settings["long_text"], settings["max_chunks"]) == ("truncate", "3")
    select = f"SELECT y, y_explain FROM {model} WHERE text = '{MIXED}'"
    for overrides, count in (
        ("", 1),
        ("USING long_text = 'auto'", 3),
        ("USING long_text = 'chunk', max_chunks = 2", 2),
    ):
        ((label, explain),) = rows_of(mindsdb, f"{select} {overrides}")
        assert label == "POSITIVE"
        assert len(explained(explain)["parts"]) == count
    with pytest.raises(SQLError, match=r"must have less than 256 tokens\..* Leave long_text = 'error' out"):
        mindsdb.sql(f"{select} USING long_text = 'error'")


def test_a_vector_of_a_long_text_has_length_1_and_says_its_parts(mindsdb: MindsDB, engine: str, documents: str) -> None:
    model = create(mindsdb, engine, "vector_of_long", "task = 'embeddings', column = 'text'")
    answers = joined(mindsdb, documents, model)
    assert [key for key, row in answers.items() if row["y"] is None] == [3, 6]
    for key in (1, 2, 4):
        vector = json.loads(answers[key]["y"])
        assert len(vector) == 384
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    assert answers[2]["y_explain"] is None
    parts = explained(answers[4]["y_explain"])["parts"]
    assert all(part.keys() == {"start", "end"} for part in parts)
    assert parts[-1]["end"] == len(MIXED)


@pytest.mark.parametrize("way", ["chunk", "truncate"])
@pytest.mark.parametrize("task", ["chat-completion", "text-generation", "fill-mask", "text-to-image"])
def test_create_says_why_a_task_has_no_parts(mindsdb: MindsDB, engine: str, task: str, way: str) -> None:
    with pytest.raises(SQLError) as refused:
        create(mindsdb, engine, "no_parts", f"task = '{task}', column = 'text', model = 'm', long_text = '{way}'")
    assert f"long_text = '{way}' is not for {task}" in str(refused.value)
    assert "Shorten the" in str(refused.value)
    assert mindsdb.sql("SELECT name FROM mindsdb.models WHERE name = 'no_parts'").rows == []


@pytest.fixture(scope="module")
def refusing() -> Iterator[Service]:
    """A server that says nothing of its length, and refuses what is longer."""
    server = Service()
    server.answer = refuse_or_answer
    yield server
    server.close()


def refuse_or_answer(body: Any, _headers: dict[str, str], _path: str) -> Any:
    if body is None:
        return Reply({"error": "not found"}, 404)
    inputs = body["inputs"]
    if isinstance(inputs, dict):  # of a pair
        sides = [inputs["source_sentence"], *inputs["sentences"]]
        refusal = refusal_of(sides)
        return refusal or [0.5 for _ in inputs["sentences"]]
    texts = inputs if isinstance(inputs, list) else [inputs]
    answers = [[{"label": "LONG", "score": 0.9}, {"label": "SHORT", "score": 0.1}] for _ in texts]
    return refusal_of(texts) or (answers if isinstance(inputs, list) else answers[0])


def refusal_of(texts: list[str]) -> Reply | None:
    tokens = max(round(1.2 * estimate_tokens(text)) for text in texts)
    words = f"`inputs` must have less than {LIMIT} tokens. Given: {tokens}"
    return Reply({"error": words, "error_type": "Validation"}, 413) if tokens > LIMIT else None


@pytest.fixture(scope="module")
def refusing_engine(mindsdb: MindsDB, refusing: Service) -> str:
    mindsdb.sql(f"CREATE ML_ENGINE hf_refusing FROM huggingface_api USING endpoint = '{refusing.url}/models'")
    return "hf_refusing"


def test_what_a_server_refuses_is_asked_in_parts(
    mindsdb: MindsDB, refusing: Service, refusing_engine: str, documents: str
) -> None:
    model = create(mindsdb, refusing_engine, "found_out", "task = 'text-classification', column = 'text', model = 'm'")
    described = dict(rows_of(mindsdb, f"DESCRIBE {model}.model"))
    assert described["max input tokens"].startswith("not known until the server refuses a text")
    refusing.asked.clear()
    whole = joined(mindsdb, documents, model, "USING long_text = 'error'")
    assert "must have less than 60 tokens" in whole[1]["y_error"]
    assert (whole[1]["y"], whole[2]["y"]) == (None, "LONG")
    answers = joined(mindsdb, documents, model, "USING max_chunks = 1000")
    assert {key for key, row in answers.items() if row["y"] == "LONG"} == {1, 2, 4, 5}
    assert all(row["y_error"] is None for row in answers.values())
    described = dict(rows_of(mindsdb, f"DESCRIBE {model}.model"))
    assert described["max input tokens"] == "60 (the server said so when it refused a text)"
    asked = len(refusing.asked)
    assert joined(mindsdb, documents, model, "USING max_chunks = 1000") == answers
    assert len(refusing.asked) == asked, "all parts are stored"


def test_a_pair_says_which_side_was_cut(
    mindsdb: MindsDB, refusing: Service, refusing_engine: str, documents: str
) -> None:
    using = "task = 'sentence-similarity', column = 'topic', column2 = 'text', model = 'm'"
    model = create(mindsdb, refusing_engine, "pairs_of_long", using)
    answers = joined(mindsdb, documents, model)
    assert [answers[key]["y"] for key in (1, 2, 4)] == [0.5, 0.5, 0.5]
    said = explained(answers[1]["y_explain"])
    assert said.keys() == {"left_out"} and said["left_out"].keys() == {"text"}
    assert 0 < said["left_out"]["text"] < len(GOOD)
    assert answers[2]["y_explain"] is None
    ((score, explain),) = rows_of(
        mindsdb, f"SELECT y, y_explain FROM {model} WHERE topic = '{GOOD}' AND text = '{BAD}'"
    )
    assert score == 0.5
    assert explained(explain)["left_out"].keys() == {"topic", "text"}
