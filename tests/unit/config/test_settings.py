"""USING clauses: what is accepted, under which names, and what an error says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from huggingface_api_handler.config.credentials import KEY_VARIABLES, is_machine_key, resolve_api_key
from huggingface_api_handler.config.normalize import KEY_NAMES
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
from huggingface_api_handler.creation_args import creation_args
from huggingface_api_handler.errors import InputError, MissingArgumentError
from huggingface_api_handler.inference import output_schema
from huggingface_api_handler.tasks import TASKS, parameters_of

BASE = {"task": "text-classification", "column": "text", "target": "sentiment"}
KEY = "a-key-of-the-engine"
ENDPOINT = engine_settings({"endpoint": "http://127.0.0.1:1/models"})


def test_defaults_are_pinned() -> None:
    assert model_settings(BASE).model_dump() == {
        "task": "text-classification",
        "model": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "target": "sentiment",
        "columns": {"column": "text"},
        "parameters": {},
        "endpoint": None,
        "provider": None,
        "prices": None,
        "description": None,
        "labels": None,
        "threshold": None,
        "below_threshold": "uncertain",
        "output": "label",
        "pooling": "mean",
        "mask_token": None,
        "prompt_template": None,
        "system_prompt": None,
        "candidate_labels": None,
        "question": None,
        "output_schema": None,
        "long_text": "auto",
        "max_chunks": 16,
        "on_error": None,
        "max_requests": None,
        "max_usd": None,
        "max_tokens_total": None,
        "max_seconds": None,
        "cache": None,
        "cascade": None,
        "proxy": None,
        "dry_run": False,
        "options": {"wait_for_model": True, "use_cache": True, "use_gpu": None},
    }
    assert engine_settings(None).model_dump() == {
        "api_key": None,
        "api_key_env": None,
        "endpoint": None,
        "protocol": None,
        "provider": None,
        "bill_to": None,
        "trusted_hosts": [],
        "max_concurrency": None,
        "media_dir": None,
        "output_dir": None,
        "allow_private_media": False,
        "allow_private_endpoints": False,
        "cache": None,
        "cache_dir": None,
        "store": None,
        "answers": "shared",
        "cache_ttl": 2592000.0,
        "requests_per_hour": None,
        "requests_per_month": None,
        "usd_per_month": None,
        "prices": None,
        "timeout": 120.0,
        "max_attempts": 5,
        "max_wait": 300.0,
    }


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("text-classification", "distilbert/distilbert-base-uncased-finetuned-sst-2-english"),
        ("zero-shot-classification", "facebook/bart-large-mnli"),
        ("token-classification", "dslim/bert-base-NER"),
        ("question-answering", "deepset/roberta-base-squad2"),
        ("fill-mask", "google-bert/bert-base-uncased"),
        ("summarization", "facebook/bart-large-cnn"),
        ("translation", "google-t5/t5-base"),
        ("text-ranking", "BAAI/bge-reranker-v2-m3"),
        ("chat-completion", "meta-llama/Llama-3.1-8B-Instruct"),
        ("text-generation", "meta-llama/Llama-3.1-8B-Instruct"),
        ("image-text-to-text", "google/gemma-4-31B-it"),
        ("text-to-image", "black-forest-labs/FLUX.1-dev"),
        ("feature-extraction", "sentence-transformers/all-MiniLM-L6-v2"),
        ("sentence-similarity", "sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_default_models_are_pinned(task: str, model: str) -> None:
    assert TASKS[task].default_model == model


@pytest.mark.parametrize(
    ("using", "changes"),
    [
        ({"input_column": "t"}, {"columns": {"column": "t"}}),
        ({"column": "t", "model_name": "a/b"}, {"model": "a/b"}),
        ({"column": "t", "task": "sentiment-analysis"}, {"task": "text-classification"}),
        ({"column": "t", "task": "ner"}, {"task": "token-classification"}),
        ({"column": "t", "task": "embeddings"}, {"task": "feature-extraction"}),
        ({"column": "t", "task": "conversational"}, {"task": "chat-completion"}),
        ({"column": "t", "task": "zero-shot", "labels": ["a", "b"]}, {"parameters": {"candidate_labels": ["a", "b"]}}),
        ({"column": "t", "task": "zero-shot", "candidate_labels": "a, b"}, {"parameters": {"candidate_labels": ["a", "b"]}}),
        ({"column": "t", "task": "zero-shot", "candidateLabels": ["a"], "multiLabel": "true"}, {"parameters": {"candidate_labels": ["a"], "multi_label": True}}),
        ({"column": "t", "task": "sentence-similarity", "input_column2": "u"}, {"columns": {"column": "t", "column2": "u"}}),
        ({"column": "t", "task": "question-answering", "context_column": "c"}, {"columns": {"column": "t", "context_column": "c"}}),
        ({"column": "t", "task": "summarization", "min_output_length": 5, "max_output_length": 9}, {"parameters": {"min_length": 5, "max_length": 9}}),
        ({"column": "t", "task": "summarization", "minLength": "5"}, {"parameters": {"min_length": 5}}),
        ({"column": "t", "task": "translation", "lang_input": "en", "lang_output": "fr"}, {"model": "Helsinki-NLP/opus-mt-en-fr"}),
        ({"column": "t", "task": "translation", "parameters": {"src_lang": "en_XX", "tgt_lang": "fr_XX"}}, {"model": "facebook/mbart-large-50-many-to-many-mmt"}),
        ({"column": "t", "task": "text-generation", "maxLength": 40}, {"task": "chat-completion", "parameters": {"max_tokens": 40}}),
        ({"column": "t", "parameters": '{"top_k": 2}'}, {"parameters": {"top_k": 2}}),
        ({"column": "t", "parameters": {"top_k": 2}}, {"parameters": {"top_k": 2}}),
        ({"column": "t", "top_k": 2}, {"parameters": {"top_k": 2}}),
        ({"column": "t", "labels": "ham, spam"}, {"labels": ["ham", "spam"]}),
        ({"column": "t", "labels": {"NEGATIVE": "bad"}}, {"labels": {"NEGATIVE": "bad"}}),
        ({"column": "t", "threshold": "0.8"}, {"threshold": 0.8}),
        ({"column": "t", "engine": "hf", "batch_size": 10, "track_column": "id", "join_learn_process": True}, {}),
        ({"column": "t", "top_k": None}, {"parameters": {}}),
    ],
)  # fmt: skip
def test_names_seen_in_the_wild_keep_working(using: dict[str, Any], changes: dict[str, Any]) -> None:
    settings = model_settings({"task": "text-classification", "target": "y", **using})
    for name, value in changes.items():
        assert getattr(settings, name) == value


def test_text_generation_on_an_endpoint_stays_text_generation() -> None:
    using = {"task": "text-generation", "column": "t", "max_length": 40}
    assert model_settings(using, ENDPOINT).task == "text-generation"
    assert model_settings(using, ENDPOINT).parameters == {"max_new_tokens": 40}
    assert model_settings({**using, "endpoint": "https://e.example"}).task == "text-generation"


@pytest.mark.parametrize(
    ("using", "says"),
    [
        (None, ["task", "column"]),
        ({}, ["task", "column"]),
        ({"task": "text-clasification", "column": "t"}, ["'text-clasification'", "did you mean 'text-classification'"]),
        ({"task": 3, "column": "t"}, ["task", "3"]),
        ({**BASE, "colum": "t"}, ["'colum'", "did you mean 'column'"]),
        ({**BASE, "top_n": 3}, ["'top_n'", "top_k"]),
        ({"task": "text-classification"}, ["needs column"]),
        ({"task": "zero-shot", "column": "t"}, ["needs candidate_labels"]),
        ({"task": "zero-shot", "column": "t", "candidate_labels": []}, ["needs candidate_labels"]),
        ({"task": "zero-shot", "column": "t", "candidate_labels": [1, 2]}, ["candidate_labels must be a list of texts", "[1, 2]"]),
        ({"task": "question-answering", "column": "t"}, ["needs context_column"]),
        ({"task": "sentence-similarity", "column": "t"}, ["needs column2"]),
        ({**BASE, "top_k": "many"}, ["top_k must be a whole number", "'many'"]),
        ({**BASE, "function_to_apply": "softmx"}, ["function_to_apply", "softmax", "'softmx'"]),
        ({**BASE, "threshold": 2}, ["threshold", "less than or equal to 1", "2"]),
        ({**BASE, "output": "everything"}, ["output", "'label'", "'everything'"]),
        ({**BASE, "pooling": "cls"}, ["text-classification does not take 'pooling'", "feature-extraction"]),
        ({**BASE, "context_column": "c"}, ["does not take 'context_column'", "question-answering"]),
        ({**BASE, "target": "TEXT"}, ["target 'TEXT'", "input column"]),
        ({**BASE, "column": 5}, ["column must be the name of a column", "5"]),
        ({**BASE, "column": ""}, ["column must be the name of a column"]),
        ({**BASE, "parameters": [1]}, ["parameters must be a map"]),
        ({**BASE, "parameters": "{top_k"}, ["parameters must be a map"]),
        ({**BASE, "parameters": {"top_x": 1}}, ["'top_x'", "top_k"]),
        ({**BASE, "endpoint": "localhost:80"}, ["endpoint", "https://"]),
        ({**BASE, "endpoint": "https://me:secret@host/"}, ["endpoint", "user name"]),
        ({**BASE, "endpoint": "https://h.example/team/../admin"}, ["endpoint", "/../"]),
        ({**BASE, "endpoint": "https://h.example/team/%2e%2E/admin"}, ["endpoint", "/../"]),
        ({**BASE, "endpoint": "https://h.example/team/..%252fadmin"}, ["endpoint", "/../"]),
        ({**BASE, "endpoint": "https://h.example/team/..;x/admin"}, ["endpoint", "/../"]),
        ({**BASE, "endpoint": "https://h.example//models"}, ["endpoint", "//"]),
        ({**BASE, "endpoint": "https://2130706433/models"}, ["endpoint", "one plain spelling"]),
        ({**BASE, "endpoint": "http://0x7f.1:8080"}, ["endpoint", "one plain spelling"]),
        ({**BASE, "endpoint": "https://a%2eb.example"}, ["endpoint", "one plain spelling"]),
        ({**BASE, "model": "../../admin/users"}, ["model", "/../"]),
        ({**BASE, "model": "a/%2e%2e/%2e%2e/admin"}, ["model", "/../"]),
        ({**BASE, "model": "a\\..\\b"}, ["model", "/../"]),
        ({**BASE, "model": "a//b"}, ["model", "//"]),
        ({**BASE, "model": "a/./b"}, ["model", "/./"]),
        ({**BASE, "model": "/etc/passwd"}, ["model", "endpoint of one model"]),
        ({**BASE, "options": {"wait_for_modl": True}}, ["options"]),
        ({**BASE, "input_column": "other"}, ["'column' was given twice"]),
        ({"task": "chat-completion"}, ["needs column", "prompt_template"]),
        ({"task": "chat-completion", "prompt_template": "Hello"}, ["names no column", "{{text}}"]),
        ({"task": "chat-completion", "column": "t", "prompt_template": "{{t}}"}, ["not both"]),
        ({"task": "text-generation", "column": "t", "temperature": "hot"}, ["temperature must be a number"]),
    ],
)  # fmt: skip
def test_errors_name_the_argument_the_value_and_the_nearest_name(using: dict[str, Any] | None, says: list[str]) -> None:
    with pytest.raises(InputError) as error:
        model_settings(using)
    for words in says:
        assert words in str(error.value)


@pytest.mark.parametrize(
    "using",
    [
        {**BASE, "api_key": "hf_secret"},
        {**BASE, "API_KEY": "hf_secret"},
        {**BASE, "huggingface_api_api_key": "hf_secret"},
        {**BASE, "token": "hf_secret"},
        {**BASE, "parameters": {"api_key": "hf_secret"}},
        {**BASE, "options": {"a": {"token": "hf_secret"}}},
    ],
)
def test_a_model_takes_no_key_and_the_refusal_does_not_repeat_it(using: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        model_settings(using)
    assert "CREATE ML_ENGINE" in str(error.value)
    assert "hf_secret" not in str(error.value)
    with pytest.raises(InputError):
        merge_select_overrides(BASE, {name: value for name, value in using.items() if name not in BASE})


@pytest.mark.parametrize("name", ["api_key", "huggingface_api_api_key", "huggingface_api_key", "token"])
def test_an_engine_takes_its_key_under_every_known_name(name: str) -> None:
    settings = engine_settings({name: "hf_secret"})
    assert settings.api_key == SecretStr("hf_secret")
    assert "hf_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("using", "says"),
    [
        ({"api_kee": "hf_secret"}, "did you mean 'api_key'"),
        ({"api_key": ["hf_secret"]}, "api_key"),
        ({"api_key": "hf_secret", "token": "hf_secret"}, "twice"),
        ({"api_key": "hf_secret", "endpoint": "http://far.example"}, "Use https"),
        ({"timeout": "long"}, "timeout"),
        ({"max_concurrency": 0}, "max_concurrency"),
    ],
)
def test_engine_errors_never_repeat_the_key(using: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        engine_settings(using)
    assert says in str(error.value)
    assert "hf_secret" not in str(error.value)


def test_mindsdb_is_told_of_exactly_the_arguments_that_an_engine_takes() -> None:
    assert set(creation_args) == set(EngineSettings.model_fields) | set(KEY_NAMES)
    assert {name for name, argument in creation_args.items() if argument.get("secret")} == set(KEY_NAMES)


def test_a_key_is_found_in_the_order_that_the_readme_gives() -> None:
    everything = {name: f"of {name}" for name in ("HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACE_API_KEY", "HF_TOKEN")}  # fmt: skip
    order = []
    while everything:
        key = resolve_api_key(EngineSettings(), everything)
        assert key is not None
        order.append(key.get_secret_value().removeprefix("of "))
        del everything[order[-1]]
    assert order == ["HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGINGFACE_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
    assert resolve_api_key(EngineSettings(), {}) is None
    assert resolve_api_key(engine_settings({"api_key_env": "HF_MINE"}), {"HF_MINE": KEY, "HF_TOKEN": "x"}) == SecretStr(KEY)  # fmt: skip
    with pytest.raises(InputError, match="HF_MINE"):
        resolve_api_key(engine_settings({"api_key_env": "HF_MINE"}), {"HF_TOKEN": "x"})


def test_an_engine_reads_no_variable_that_the_administrator_did_not_mean_for_engines() -> None:
    secrets = {"CLOUD_SECRET": "AKIA-secret-of-the-process", "HF_TOKEN": "x"}
    for name in ("CLOUD_SECRET", "PATH", "hf_token", " HF_TOKEN", "XHF_TOKEN"):
        with pytest.raises(InputError, match="HUGGINGFACE_API_KEY_VARIABLES") as refused:
            resolve_api_key(engine_settings({"api_key_env": name}), secrets)
        assert "AKIA" not in str(refused.value)
    listed = {**secrets, "HUGGINGFACE_API_KEY_VARIABLES": "OTHER, CLOUD_SECRET"}
    engine = engine_settings({"api_key_env": "CLOUD_SECRET"})
    assert resolve_api_key(engine, listed) == SecretStr("AKIA-secret-of-the-process")
    assert not is_machine_key(engine, listed)


def test_a_variable_that_is_searched_anyway_holds_the_machines_key_unless_the_administrator_lists_it() -> None:
    for name in KEY_VARIABLES:
        engine = engine_settings({"api_key_env": name})
        assert is_machine_key(engine, {name: KEY})
        assert not is_machine_key(engine, {name: KEY, "HUGGINGFACE_API_KEY_VARIABLES": f"A,{name}"})
        assert is_machine_key(engine_settings({"api_key_env": name[:4] + name[4:].lower()})), "as Windows finds it"
    assert is_machine_key(EngineSettings(), {"HUGGINGFACE_API_KEY_VARIABLES": "HF_TOKEN"})
    assert not is_machine_key(engine_settings({"api_key": KEY}), {})
    assert not is_machine_key(engine_settings({"api_key_env": "HF_TEAM"}), {})


@pytest.mark.parametrize(
    "key", ["POSITIVE", "entailment", "secret", "label_1", "non-toxic", "20251128", '"score":', '"a-token-in-quotes"', "[[1234567890123456]]", "a-key,and-another-key"]
)  # fmt: skip
def test_what_may_be_a_word_or_json_is_no_key(key: str) -> None:
    for refused in (
        lambda: engine_settings({"api_key": key}),
        lambda: resolve_api_key(engine_settings({"api_key_env": "HF_MINE"}), {"HF_MINE": key}),
    ):
        with pytest.raises(
            InputError, match=r"api_key.* (too short for a key.*at least 8 letters|is no key.*alone)"
        ) as error:
            refused()
        assert key not in str(error.value)


@pytest.mark.parametrize(
    "key",
    ["hf_short", "token-abc123", "api-key-value", "0123456789abcdef", "an-id:a-secret-of-fal", "abcdefgh+/abcdefgh=="],
)
def test_what_services_give_out_is_a_key(key: str) -> None:
    assert engine_settings({"api_key": key}).api_key == SecretStr(key)
    assert resolve_api_key(engine_settings({"api_key_env": "HF_MINE"}), {"HF_MINE": key}) == SecretStr(key)


@pytest.mark.parametrize(
    ("created", "selected", "counts"),
    [(5, 10**9, 5), (5, 3, 3), (5, None, 5), (None, 7, 7), (None, None, None), (5, "1000000000", 5), ("5", "3", 3)],
)
def test_of_max_requests_in_create_model_and_select_the_lower_counts(
    created: object, selected: object, counts: int | None
) -> None:
    merged = merge_select_overrides({**BASE, "max_requests": created}, {"max_requests": selected})
    assert model_settings(merged).max_requests == counts


@pytest.mark.parametrize("wrong", ["many", 0, -1, 2.5, True, [1]])
def test_a_select_with_a_max_requests_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="max_requests"):
        model_settings(merge_select_overrides({**BASE, "max_requests": 5}, {"maxRequests": wrong}))


def test_a_select_overrides_what_it_may() -> None:
    stored = {**BASE, "parameters": {"top_k": 1}, "threshold": 0.5}
    merged = model_settings(
        merge_select_overrides(stored, {"threshold": 0.9, "top_k": 3, "batch_size": 7, "error": "skip"})
    )
    assert merged.threshold == 0.9
    assert merged.parameters == {"top_k": 3}
    assert model_settings(merge_select_overrides(stored, {"parameters": {"function_to_apply": "none"}})).parameters == {
        "top_k": 1,
        "function_to_apply": "none",
    }
    assert model_settings(merge_select_overrides(stored, None)) == model_settings(stored)
    for name in ("task", "model", "model_name", "endpoint", "provider", "engine"):
        with pytest.raises(InputError, match="cannot change in a SELECT"):
            merge_select_overrides(stored, {name: "https://elsewhere.example"})


@pytest.mark.parametrize(("name", "value"), [("candidate_labels", ["a", "b"]), ("question", "Is it?")])
def test_a_select_does_not_make_another_task_of_the_models(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"{name} cannot be added in a SELECT.*Create another model with {name}"):
        merge_select_overrides(BASE, {name: value})
    chat = {**BASE, "task": "chat-classification", "question": "Is it good?"}
    assert merge_select_overrides(chat, {name: value})[name] == value


@pytest.mark.parametrize("name", ["track_column", "trackColumn", "batch_size", "threads", "partition_size", "error"])
def test_what_is_mindsdbs_in_a_select_passes_by_whatever_it_holds(name: str) -> None:
    class Identifier:
        """A name without quotes, as MindsDB's parser hands it over."""

    assert merge_select_overrides(BASE, {name: Identifier(), "threshold": 0.9}) == {**BASE, "threshold": 0.9}


def test_an_error_names_the_statement_that_was_written() -> None:
    wrong = {**BASE, "threshold": 2}
    for statement in ("CREATE MODEL", "SELECT", "using"):
        with pytest.raises(InputError, match=f"^{statement}: threshold: "):
            model_settings(wrong, statement=statement)
    with pytest.raises(InputError, match=r"^CREATE MODEL: threshold: "):
        model_settings(wrong)
    with pytest.raises(InputError, match=r"^using: threshold: "):
        output_schema(wrong)


def test_a_value_without_quotes_is_told_in_quotes() -> None:
    class Identifier:
        """A name without quotes, as MindsDB's parser hands it over."""

        parts = ("t", "Review Text")

    for name in ("column", "below_threshold", "top_k"):
        with pytest.raises(InputError, match=f"^'{name}' needs its value in quotes: 't.Review Text'$"):
            model_settings({**BASE, name: Identifier()})
    with pytest.raises(InputError, match=r"^'provider' needs its value in quotes"):
        engine_settings({"provider": Identifier()})


@pytest.mark.parametrize(
    "using",
    [{"threshold": 0.9}, {"task": "ner"}, {"task": "zero-shot", "column": "t"}, {"task": "text-to-speech", "column": "t"}],
)  # fmt: skip
def test_what_is_missing_is_told_apart_from_what_is_wrong(using: dict[str, Any]) -> None:
    with pytest.raises(MissingArgumentError):
        model_settings(using)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_task_has_a_readable_specification(task: Any) -> None:
    for parameter in parameters_of(task).values():
        assert parameter.name
        assert parameter.kind is None or isinstance(parameter.kind, type)
    assert set(task.required_parameters) <= set(parameters_of(task))
    assert set(task.rename.values()) <= set(parameters_of(task))
