"""MindsDB's verbs on the handler object, with storages that are dictionaries."""

from __future__ import annotations

import json
import re
import traceback
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.errors import DryRunSummary, HuggingFaceAPIError, InferenceError, InputError
from huggingface_api_handler.handler import HuggingFaceInferenceAPIHandler as Handler
from tests.conftest import Reply, Service
from tests.support.mindsdb_storage import Storage

USING = {"task": "text-classification", "column": "text", "engine": "e"}


def created(service: Service, **using: Any) -> Handler:
    handler = Handler(model_storage=Storage(), engine_storage=Storage({"endpoint": service.url}))
    handler.create("sentiment", None, {"target": "sentiment", "using": {**USING, **using}})
    return handler


def answer(body: Any, *_: Any) -> Any:
    return [[{"label": "POSITIVE", "score": 0.75}, {"label": "NEGATIVE", "score": 0.25}]]


def test_create_stores_task_column_and_model_and_any_process_predicts_from_that(service: Service) -> None:
    service.answer = answer
    storage = created(service).model_storage
    assert {name: storage.values["using"][name] for name in ("task", "column", "model", "target")} == {
        "task": "text-classification",
        "column": "text",
        "model": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "target": "sentiment",
    }
    other = Handler(model_storage=storage, engine_storage=Storage({"endpoint": service.url}))
    out = other.predict(pd.DataFrame({"text": ["I like you."]}), {"using": {"batch_size": 10, "threads": 2}})
    assert list(out["sentiment"]) == ["POSITIVE"]
    assert list(out["sentiment_explain"]) == ['{"POSITIVE":0.75,"NEGATIVE":0.25}']
    assert list(out["sentiment_confidence"]) == [0.75]


def test_a_select_overrides_and_is_not_remembered(service: Service) -> None:
    service.answer = answer
    handler = created(service)
    frame = pd.DataFrame({"text": ["I like you."]})
    assert list(handler.predict(frame, {"using": {"threshold": 0.9}})["sentiment"]) == ["uncertain"]
    assert list(handler.predict(frame, {"using": {}})["sentiment"]) == ["POSITIVE"]


def test_a_table_with_a_column_named_like_an_argument_steers_nothing(service: Service) -> None:
    service.answer = answer
    frame = pd.DataFrame(
        {"text": ["x"], "model": ["evil/model"], "labels": ["a,b"], "endpoint": ["http://evil"], "task": ["ner"]}
    )
    assert list(created(service).predict(frame, {})["sentiment"]) == ["POSITIVE"]
    assert service.paths == ["/"]


@pytest.mark.parametrize("target", ["sentiment", ["sentiment"]])
def test_validation_refuses_before_anything_is_recorded(target: Any) -> None:
    storage = Storage({"endpoint": "http://127.0.0.1:9"})
    Handler.create_validation(target, {"target": target, "using": dict(USING)}, handler_storage=storage)
    empty: list[Any] = [{}, {"using": None}, {"using": {}}, None]
    for args in empty:
        with pytest.raises(InputError, match="task"):
            Handler.create_validation(target, args, handler_storage=storage)
    for bad in ({"api_key": "hf_secret"}, {"colum": "x"}, {"task": "sentimnt"}):
        with pytest.raises(InputError) as error:
            Handler.create_validation(target, {"using": {**USING, **bad}}, handler_storage=storage)
        assert "hf_secret" not in str(error.value)


def test_errors_leave_as_a_sentence_without_what_led_to_them(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "Invalid credentials in Authorization header"}, 401)
    with pytest.raises(InferenceError) as error:
        created(service).predict(pd.DataFrame({"text": ["x"]}), {})
    shown = "".join(traceback.format_exception(error.value))
    assert "During handling" not in shown
    assert "executor.py" not in shown


def test_describe_lists_its_tables_and_shows_each(service: Service) -> None:
    service.answer = lambda body, headers, path: (
        {"package": "p==1", "accuracy": "86 %"} if body is None else answer(body)
    )
    handler = created(service, threshold=0.6)
    names = list(handler.describe(None)["tables"])
    assert names == ["settings", "task", "model", "usage"]
    settings = handler.describe("settings")
    assert dict(zip(settings["argument"], settings["value"], strict=True))["threshold"] == "0.6"
    task = handler.describe("task")
    assert list(task.columns) == ["argument", "type", "required", "given", "description"]
    assert dict(zip(task["argument"], task["type"], strict=True))["top_k"] == "whole number"
    assert dict(zip(task["argument"], task["type"], strict=True))["output"] == "'label' | 'scores' | 'all'"
    model = handler.describe("model")
    assert dict(zip(model["property"], model["value"], strict=True))["accuracy"] == "86 %"
    with pytest.raises(HuggingFaceAPIError, match="settings, task, model"):
        handler.describe("weights")


def max_input_tokens(handler: Handler) -> str | None:
    model = handler.describe("model")
    found: str | None = dict(zip(model["property"], model["value"], strict=True)).get("max input tokens")
    return found


def test_describe_tells_what_was_found_of_how_long_a_text_may_be(service: Service) -> None:
    def reply(body: Any, *_: Any) -> Any:
        if body is None:
            return Reply({"error": "not found"}, 404)
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        if max(map(len, texts)) > 600:
            return Reply({"error": words}, 413)
        scores = [{"label": "POSITIVE", "score": 0.9}]
        return [scores] * len(texts) if isinstance(body["inputs"], list) else [scores]

    service.answer, words = reply, "the input is too long"
    handler = created(service)
    assert str(max_input_tokens(handler)).startswith("not known until the server refuses a text")
    long = pd.DataFrame({"text": ["A sentence of a text that is long. " * 100, "A short one."]})
    assert list(handler.predict(long, {})["sentiment"]) == ["POSITIVE", "POSITIVE"]
    assert re.fullmatch(r"fewer than about \d+ \(found by what the server refused\)", str(max_input_tokens(handler)))
    words = "`inputs` must have less than 150 tokens. Given: 812"
    named = created(service, model="another")
    named.predict(long, {})
    assert max_input_tokens(named) == "150 (the server said so when it refused a text)"


def test_describe_tells_the_length_that_the_server_told_and_none_of_a_task_without_parts(service: Service) -> None:
    service.info = {"model_id": "m", "max_input_length": 512}
    service.answer = lambda *_: Reply({"error": "not found"}, 404)
    assert max_input_tokens(created(service)) == "512 (max_input_length of /info)"
    service.info = None
    assert max_input_tokens(created(service, task="fill-mask", model="m")) is None


def test_finetune_says_what_to_do_instead(service: Service) -> None:
    with pytest.raises(InputError, match="CREATE MODEL"):
        created(service).finetune(pd.DataFrame(), {})


def test_create_engine_refuses_a_key_that_is_refused_and_only_warns_of_a_dead_host(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Handler(model_storage=None, engine_storage=Storage())
    service.answer = lambda body, headers, path: Reply(
        {}, 200 if headers.get("authorization") == "Bearer a-good-key-of-ours" else 401
    )
    engine.create_engine({"api_key": "a-good-key-of-ours", "endpoint": f"{service.url}/models"})
    assert service.fetched == ["/health"]
    with pytest.raises(InferenceError, match="refused the key") as error:
        engine.create_engine({"api_key": "hf_wrong", "endpoint": service.url})
    assert "hf_wrong" not in str(error.value)
    assert "huggingface.co" not in str(error.value)  # which makes no keys for this server
    engine.create_engine({"api_key": "a-good-key-of-ours", "endpoint": "http://127.0.0.1:9"})
    assert "could not be checked" in caplog.text


def test_create_engine_asks_hugging_face_who_the_key_is(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", service.url)
    engine = Handler(model_storage=None, engine_storage=Storage())
    service.answer = lambda body, headers, path: (
        {"name": "ann"} if headers.get("authorization") == "Bearer hf_good" else Reply({}, 401)
    )
    engine.create_engine({"api_key": "hf_good"})
    assert service.fetched == ["/api/whoami-v2"]
    with pytest.raises(InferenceError, match="Hugging Face refused the key"):
        engine.create_engine({"api_key": "hf_bad"})


def test_create_engine_says_where_a_key_that_was_named_does_not_go(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_OfTheMachine000")
    engine = Handler(model_storage=None, engine_storage=Storage())
    service.answer = lambda body, headers, path: Reply({}, 401 if "authorization" not in headers else 200)
    named = {"api_key_env": "HF_TOKEN", "endpoint": service.url}
    with pytest.raises(InferenceError, match="HUGGINGFACE_API_KEY_VARIABLES=HF_TOKEN"):
        engine.create_engine(named)
    service.answer = lambda *_: {}
    engine.create_engine(named)
    assert "HUGGINGFACE_API_KEY_VARIABLES=HF_TOKEN" in caplog.text
    caplog.clear()
    engine.create_engine({"endpoint": service.url})
    assert "No key went along" not in caplog.text


def test_a_private_endpoint_is_refused_before_anything_is_recorded(service: Service) -> None:
    args = {"using": {"task": "text-classification", "column": "text", "endpoint": service.url}}
    with pytest.raises(InputError, match="allow_private_endpoints"):
        Handler.create_validation("y", args, Storage({}))
    Handler.create_validation("y", args, Storage({"allow_private_endpoints": True}))
    Handler.create_validation("y", args, Storage({"endpoint": "http://127.0.0.1:9"}))


def test_a_providers_own_key_is_not_shown_to_hugging_face(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", service.url)
    engine = Handler(model_storage=None, engine_storage=Storage())
    engine.create_engine({"api_key": "gsk_of_another_provider", "provider": "groq"})
    assert service.fetched == []


def test_typed_fields_come_as_columns_that_sql_can_hold(service: Service) -> None:
    content = '{"topic": "refund", "tags": ["late", "box"]}'
    service.answer = lambda *_: {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    using = {"task": "chat-completion", "column": "text", "output_schema": {"topic": "str", "tags": "list"}}
    out = created(service, **using).predict(pd.DataFrame({"text": ["where is it?"]}), {})
    assert list(out["topic"]) == ["refund"]
    assert list(out["tags"]) == ['["late","box"]']
    assert json.loads(out["sentiment"][0]) == json.loads(content)


def test_an_error_of_a_select_begins_with_select(service: Service) -> None:
    with pytest.raises(InputError, match=r"^SELECT: threshold: "):
        created(service).predict(pd.DataFrame({"text": ["x"]}), {"using": {"threshold": 2}})


def test_part_of_the_arguments_says_that_retrain_replaces_all(service: Service) -> None:
    handler = created(service)
    for using in ({"threshold": 0.9}, {"task": "ner"}, {"task": "zero-shot", "column": "text"}):
        for verb in (handler.create, Handler.create_validation):
            with pytest.raises(InputError, match=r"RETRAIN .* give all arguments again") as refused:
                verb("sentiment", args={"using": using})
            assert type(refused.value) is InputError


def test_what_mindsdb_makes_of_where_reaches_nobody(service: Service) -> None:
    service.answer = answer
    handler = created(service)
    assert list(handler.predict(pd.DataFrame({"`sent`.`text`": ["x"]}), {})["sentiment"]) == ["POSITIVE"]
    service.asked.clear()
    with pytest.raises(InputError, match="does not filter"):
        handler.predict(pd.DataFrame({"text": ["x"], "sentiment": ["NEGATIVE"]}), {})
    assert service.asked == []


@pytest.mark.parametrize("cache", ["local", "redis", "none"])
def test_a_dry_run_is_kept_by_no_cache(service: Service, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    from mindsdb.utilities.config import Config

    monkeypatch.setattr(Config, "get", lambda *_: {"type": cache})
    handler, using = created(service), {"using": {"dry_run": True}}
    frame = pd.DataFrame({"text": ["a", "b"], "__mindsdb_row_id": [0, 1]})
    if cache == "none":
        assert list(handler.predict(frame, using)["rows"]) == [2, 2]
    else:
        with pytest.raises(DryRunSummary, match=r"^dry run: 2 rows, .* 2 requests"):
            handler.predict(frame, using)
    assert list(handler.predict(frame[["text"]][:1], using)["rows"]) == [1], "a single row is kept by none"


def test_a_model_without_task_takes_its_own_from_the_hub(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_api_handler.inference.protocols import preflight

    class Hub:
        def model_info(self, model: str, **_: Any) -> Any:
            assert model in ("a/b", "a/c")
            return type("Info", (), {"pipeline_tag": "token-classification"})

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    handler = Handler(model_storage=Storage(), engine_storage=Storage({"endpoint": service.url}))
    handler.create("entities", None, {"using": {"model": "a/b", "column": "text"}})
    assert handler.model_storage.values["using"]["task"] == "token-classification"
    monkeypatch.setattr(Hub, "model_info", lambda *_, **__: (_ for _ in ()).throw(OSError("hf_secret in here")))
    with pytest.raises(InputError, match="task = ") as error:
        preflight.task_of("a/c", EngineSettings())
    assert "hf_secret" not in str(error.value)
