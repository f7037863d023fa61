"""Tables of pyarrow and Polars go in and come out, with the types that ``output_schema`` tells."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema, predict, predict_batches
from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "y"}
ARROW_TYPES = {"VARCHAR": pa.string(), "JSON": pa.string(), "DOUBLE": pa.float64(), "BIGINT": pa.int64()}
POLARS_TYPES = {"VARCHAR": pl.String, "JSON": pl.String, "DOUBLE": pl.Float64, "BIGINT": pl.Int64}


def answer(body: Any, *_: Any) -> Any:
    inputs = body["inputs"]
    if inputs == "bad":
        return Reply({"error": "no"}, 400)
    return [{"label": f"about {inputs}", "score": 0.75}]


def arrow_table(cells: dict[str, list[Any]]) -> Any:
    return pa.table(cells)


def record_batch(cells: dict[str, list[Any]]) -> Any:
    return pa.RecordBatch.from_pydict(cells)


KINDS: list[Callable[[dict[str, list[Any]]], Any]] = [arrow_table, record_batch, pl.DataFrame]


@pytest.mark.parametrize("table", KINDS)
def test_what_comes_in_goes_out_with_the_types_that_were_told(table: Any, service: Service) -> None:
    service.answer = answer
    given = table({"id": [1, 2, 3], "text": ["a", None, "bad"]})
    out = predict(given, USING, {"endpoint": service.url})
    assert type(out) is type(given)
    schema = output_schema(USING)
    names = out.columns if isinstance(out, pl.DataFrame) else out.schema.names
    assert list(names) == list(schema)
    if isinstance(out, pl.DataFrame):
        assert dict(out.schema) == {name: POLARS_TYPES[kind] for name, kind in schema.items()}
        rows = out.to_dicts()
    else:
        assert {field.name: field.type for field in out.schema} == {
            name: ARROW_TYPES[kind] for name, kind in schema.items()
        }
        rows = out.to_pylist()
    assert [row["y"] for row in rows] == ["about a", None, None]
    assert [row["y_confidence"] for row in rows] == [0.75, None, None]
    assert json.loads(rows[0]["y_explain"]) == {"about a": 0.75}
    assert rows[1] == {"y": None, "y_confidence": None, "y_explain": None, "y_error": None}
    assert rows[2]["y_error"].startswith("rejected input 400")


@pytest.mark.parametrize("table", KINDS)
def test_integers_beside_a_null_stay_integers(table: Any, service: Service) -> None:
    service.answer = lambda body, *_: {"choices": [{"message": {"content": body["messages"][0]["content"]}}]}
    using = {"task": "chat-completion", "prompt_template": "{{n}}", "target": "y"}
    predict(table({"n": [12, None]}), using, {"endpoint": service.url})
    assert [body["messages"][0]["content"] for body in service.asked] == ["12"]


@pytest.mark.parametrize("table", KINDS)
def test_columns_that_are_not_read_are_not_touched(table: Any, service: Service) -> None:
    service.answer = answer
    given = table({"text": ["a"], "Other": [object] if table is pl.DataFrame else [b"\xff"]})
    predict(given, USING, {"endpoint": service.url})
    assert len(service.asked) == 1


def test_frames_of_several_kinds_come_back_in_kind_and_order(service: Service) -> None:
    service.answer = answer
    frames = [pl.DataFrame({"text": ["a"]}), pd.DataFrame({"text": ["b"]}), pa.table({"text": ["c"]})]
    outs = list(predict_batches(frames, USING, {"endpoint": service.url}))
    assert [type(out) for out in outs] == [pl.DataFrame, pd.DataFrame, pa.Table]
    assert [out["y"][0] if isinstance(out, (pl.DataFrame, pd.DataFrame)) else out["y"][0].as_py() for out in outs] == [
        "about a",
        "about b",
        "about c",
    ]


def test_a_dry_run_has_its_own_schema(service: Service) -> None:
    using = {**USING, "dry_run": True}
    out = predict(pa.table({"text": ["a"]}), using, {"endpoint": service.url})
    assert out.schema.names == list(output_schema(using))
    assert out["requests"].to_pylist() == [1]


def test_a_template_reads_the_columns_that_it_names(service: Service) -> None:
    service.answer = lambda body, *_: {"choices": [{"message": {"content": body["messages"][0]["content"]}}]}
    using = {"task": "chat-completion", "prompt_template": "{{a}} and {{b}}", "target": "y"}
    out = predict(pl.DataFrame({"a": ["x"], "b": [2], "c": [None]}), using, {"endpoint": service.url})
    assert out["y"].to_list() == ["x and 2"]


@pytest.mark.parametrize(
    ("table", "said"),
    [([1, 2], "list"), ({"text": ["a"]}, "dict"), (None, "NoneType"), (pl.LazyFrame({"text": ["a"]}), "collect")],
)
def test_anything_else_is_refused_before_a_request(table: Any, said: str, service: Service) -> None:
    with pytest.raises(InputError, match=said):
        predict(table, USING, {"endpoint": service.url})
    assert service.asked == service.fetched == []


def test_neither_library_is_imported_for_pandas() -> None:
    import subprocess

    code = (
        "import sys, pandas as pd; from huggingface_api_handler.inference import predict;"
        "predict(pd.DataFrame({'text': ['a']}), {'task': 'text-classification', 'column': 'text', 'dry_run': True});"
        "assert 'polars' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("table", KINDS)
@pytest.mark.parametrize(
    ("odd", "fields"),
    [
        ('{"n": 1, "f": 1, "l": [1, {"b": 2}, null, 9999999999999999999999]}', (1, 1.0, ["1", '{"b":2}', None, "9999999999999999999999"])),
        ('{"n": 9999999999999999999999, "f": 1, "l": []}', None),
        ('{"n": 1, "f": %s, "l": []}' % ("9" * 400), None),
        ('{"n": 1, "f": 1, "l": ["\\ud800"]}', None),
    ],
)  # fmt: skip
def test_what_a_model_writes_costs_its_own_row_at_most(odd: str, fields: Any, table: Any, service: Service) -> None:
    def chat(body: Any, *_: Any) -> Any:
        asked = str(body["messages"][0])
        return {"choices": [{"message": {"content": odd if "odd" in asked else '{"n": 2, "f": 2.5, "l": ["x"]}'}}]}

    service.answer = chat
    using = {"task": "chat", "column": "text", "target": "y", "output_schema": {"n": "int", "f": "float", "l": "list"}}
    out = predict(table({"text": ["usual", "odd"]}), using, {"endpoint": service.url})
    usual, other = out.to_dicts() if isinstance(out, pl.DataFrame) else out.to_pylist()
    assert (usual["n"], usual["f"], usual["l"]) == (2, 2.5, ["x"])
    if fields is None:
        assert other["y"] is None
        assert "of the model's answer" in other["y_error"] or "not valid Unicode" in other["y_error"]
    else:
        assert (other["n"], other["f"], other["l"]) == fields


def test_two_columns_of_the_name_that_is_read_are_refused(service: Service) -> None:
    given = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(InputError, match="2 columns named 'text'"):
        predict(given, USING, {"endpoint": service.url})
