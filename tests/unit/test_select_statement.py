"""What MindsDB makes of a SELECT, told apart from what it means."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import select_statement
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import DryRunSummary, InputError
from huggingface_api_handler.select_statement import (
    ROW_ID,
    input_frame,
    min_failures,
    refuse_budget_in_parts,
    refuse_to_be_kept,
)
from huggingface_api_handler.tasks import read_inputs

ENGINE = EngineSettings(endpoint="https://e.example")
SENTIMENT = {"task": "text-classification", "column": "text", "target": "sentiment"}
CHAT = {"task": "chat", "column": "text", "target": "answer", "output_schema": {"topic": "str", "urgency": "int"}}


def settings(**using: Any) -> Any:
    return model_settings({"model": "m", **SENTIMENT, **using}, ENGINE)


def joined(table: dict[str, list[Any]], **constants: Any) -> pd.DataFrame:
    """The frame of a JOIN, whose constants stand behind the row's number."""
    frame = pd.DataFrame(table)
    frame[ROW_ID] = range(len(frame))
    return frame.assign(**constants)


def row(**constants: Any) -> pd.DataFrame:
    return pd.DataFrame([constants])


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("`Review Text`", "Review Text"),
        ("rt.`Review Text`", "Review Text"),
        ("rt.text", "text"),
        ("mindsdb.`my model`.text", "text"),
        ("`text.1`", "text.1"),
        ("`SELECT`", "SELECT"),
        ("`it's`", "it's"),
        ("`Отзыв`", "отзыв"),
        ("a.b", "a.b"),
        ("TEXT", "text"),
    ],
)
def test_a_single_row_finds_its_column_however_mindsdb_writes_the_name(written: str, column: str) -> None:
    for using in ({"column": column}, {**CHAT, "column": None, "prompt_template": f"{{{{{column}}}}}"}):
        model = settings(**using)
        frame = input_frame(row(**{written: "I love it", "m.`other one`": 1}), model)
        assert read_inputs(model.definition, frame, model) == ["I love it"]


def test_a_name_that_is_there_is_taken_before_one_that_ends_alike() -> None:
    frame = input_frame(row(**{"text": "right", "x.text": "wrong"}), settings())
    assert list(frame["text"]) == ["right"]


def test_names_of_a_table_stay_as_they_are() -> None:
    for frame in (joined({"a.text": ["x"]}), pd.DataFrame({"a.text": ["x", "y"]})):
        assert list(input_frame(frame, settings()).columns) == list(frame.columns)


@pytest.mark.parametrize(
    ("using", "name", "value"),
    [
        (CHAT, "topic", "billing"),
        (CHAT, "Urgency", 3),
        (SENTIMENT, "sentiment_error", "x"),
        (SENTIMENT, "sentiment_confidence", 0.5),
        ({**CHAT, "dry_run": True}, "topic", "billing"),
    ],
)
def test_a_constant_on_a_column_of_the_prediction_is_refused_with_the_forms_that_work(
    using: dict[str, Any], name: str, value: object
) -> None:
    with pytest.raises(InputError) as refused:
        input_frame(joined({"id": [1, 2], "text": ["a", "b"]}, **{name: value}), settings(**using))
    assert f"WHERE m.{name} = {value!r} does not filter" in str(refused.value)
    assert f"(WHERE {name} = {value!r})" in str(refused.value)
    assert f"AS p WHERE p.{name} = {value!r}" in str(refused.value)
    with pytest.raises(InputError, match="in place of the prediction's") as refused:
        input_frame(row(**{"text": "a", f"m.`{name}`": value}), settings(**using))
    assert f"AS p WHERE p.{name} = {value!r}" in str(refused.value)
    assert "JOIN" not in str(refused.value)


def test_a_constant_that_the_model_neither_reads_nor_gives_is_refused_in_a_join() -> None:
    with pytest.raises(InputError, match=r"m\.sentimant = 'x' does not filter.*reads 'text'$"):
        input_frame(joined({"text": ["a"]}, sentimant="x"), settings())
    assert len(input_frame(row(text="a", id=7), settings())) == 1, "one row shows it beside its prediction"


def test_a_constant_on_an_input_is_the_models() -> None:
    pair = settings(task="sentence-similarity", column2="other", target="score")
    for frame in (joined({"text": ["a", "b"]}, Other="x"), row(text="a", other="x")):
        assert list(input_frame(frame, pair).columns) == list(frame.columns)
    field = settings(**{**CHAT, "output_schema": {"text": "str"}})
    assert len(input_frame(row(text="a"), field)) == 1, "a field of that name is an input too"


def test_columns_of_the_table_may_have_any_names() -> None:
    table: dict[str, list[Any]] = {
        "text": ["a", "b"],
        "sentiment": ["x", "x"],
        "sentiment_error": [None, None],
        "topic": [1, 1],
    }
    assert input_frame(joined(table), settings()) is not None
    assert len(input_frame(pd.DataFrame(table), settings())) == 2, "rows of MindsDB's HTTP API"


def test_a_mapping_in_other_letters_is_not_taken_for_the_tables_own_column() -> None:
    with pytest.raises(InputError, match=r"2 columns named 'text'.*subselect"):
        input_frame(joined({"id": [1], "text": ["own"], "TEXT": ["mapped"]}), settings())
    assert len(input_frame(joined({"TEXT": ["mapped"], "ID": [1], "id": [2]}), settings())) == 1


@pytest.mark.parametrize(("cell", "given"), [([], "no value"), (["a", "b", "c"], "3 values")])
def test_the_list_of_a_subselect_says_what_came_and_what_to_do(cell: list[str], given: str) -> None:
    with pytest.raises(InputError, match=rf"WHERE text = \(\.\.\.\): its subselect gave {given}, .*JOIN it"):
        input_frame(row(text=cell), settings())


def test_lists_go_where_lists_are_read() -> None:
    labels = settings(task="zero-shot", candidate_labels_column="labels")
    assert len(input_frame(row(text="a", labels=["b", "c"]), labels)) == 1


def test_a_dry_run_is_an_error_where_the_cache_would_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = settings(dry_run=True)
    out = pd.DataFrame({"sentiment": ["dry run: 2 rows, 0 NULL or blank"] * 2, "rows": [2, 2]})
    monkeypatch.setattr(select_statement, "_has_prediction_cache", lambda: True)
    with pytest.raises(DryRunSummary, match=r"^dry run: 2 rows, .*prediction cache is on.*doctor"):
        refuse_to_be_kept(out, joined({"text": ["a", "b"]}), model)
    refuse_to_be_kept(out[:1], row(text="a"), model)  # a single row is not cached
    refuse_to_be_kept(out[:0], joined({"text": []}), model)
    monkeypatch.setattr(select_statement, "_has_prediction_cache", lambda: False)
    refuse_to_be_kept(out, joined({"text": ["a", "b"]}), model)


@pytest.mark.parametrize(
    ("using", "fewest"),
    [({}, 1), ({"threshold": 0.5}, 1), ({"batch_size": 1000, "track_column": object()}, 20), ({"Threads": 2}, 20)],
)
def test_a_part_of_a_table_fails_only_where_many_rows_failed(using: dict[str, Any], fewest: int) -> None:
    assert min_failures(using) == fewest


@pytest.mark.parametrize("budget", [{"max_usd": 0.5}, {"max_tokens_total": 9}])
def test_a_budget_in_dollars_or_tokens_is_refused_where_a_table_comes_in_parts(budget: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"bounds one query, and with batch_size .* set usd_per_month of the engine"):
        refuse_budget_in_parts({"Batch_size": 1000, "track_column": object()}, settings(**budget))
    refuse_budget_in_parts({"threshold": 0.5}, settings(**budget))
    refuse_budget_in_parts({"batch_size": 1000}, settings(**budget, dry_run=True))
    refuse_budget_in_parts({"batch_size": 1000}, settings(max_requests=9))
