"""OpenAI's completions: what text-generation is asked as, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.protocols.base import Batching, Decoded, ReportedUsage
from huggingface_api_handler.inference.protocols.openai_completions import OpenAICompletions
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Prediction

PROTOCOL = OpenAICompletions()
TASK = TASKS["text-generation"]
USING = {"task": "text-generation", "column": "t", "target": "y", "model": "m", "endpoint": "http://h"}
PLAIN = {"model": "m", "prompt": "Once", "stream": False}


def sent(**parameters: Any) -> Any:
    return json.loads(PROTOCOL.encode(TASK, ["Once"], model_settings({**USING, **parameters})).data)


def decoded(answer: Any) -> Decoded:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return PROTOCOL.decode(TASK, Response(200, CIMultiDict(), body), 1)


@pytest.mark.parametrize(
    ("parameters", "more"),
    [
        ({}, {}),
        ({"max_new_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"stop": ["\n", "END"]}, {"stop": ["\n", "END"]}),
        (
            {"seed": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 5},
            {"seed": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 5},
        ),
        (
            {"frequency_penalty": 0.1, "repetition_penalty": 1.1, "best_of": 2},
            {"frequency_penalty": 0.1, "repetition_penalty": 1.1, "best_of": 2},
        ),
        ({"do_sample": True, "temperature": 0.5}, {"temperature": 0.5}),
        ({"do_sample": False}, {"temperature": 0}),
        ({"return_full_text": True}, {"echo": True}),
        ({"return_full_text": False, "details": True, "watermark": False, "num_return_sequences": 1}, {}),
    ],
)
def test_parameters_get_the_names_that_such_servers_know(parameters: dict[str, Any], more: dict[str, Any]) -> None:
    assert sent(**parameters) == {**PLAIN, **more}


def test_the_model_comes_first_in_the_body() -> None:
    assert PROTOCOL.encode(TASK, ["Once"], model_settings(USING)).data.startswith(b'{"model":"m",')


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("watermark", True, "Leave it out"),
        ("typical_p", 0.9, "Leave it out"),
        ("truncate", 100, "Leave it out"),
        ("top_n_tokens", 2, "Leave it out"),
        ("decoder_input_details", True, "Leave it out"),
        ("adapter_id", "a", "Give the adapter's name as model"),
        ("num_return_sequences", 2, "One text is made for each row"),
        ("grammar", {"type": "json", "value": {}}, "Use task = 'chat-completion' with output_schema"),
    ],
)
def test_a_parameter_without_an_equal_is_refused_by_name(name: str, value: Any, advice: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} = .* has no equal in OpenAI's completions. {advice}$"):
        sent(**{name: value})


def test_two_parameters_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="do_sample = false and temperature"):
        sent(do_sample=False, temperature=0.5)


def test_no_parameter_of_the_task_is_dropped_unseen() -> None:
    """A parameter that a later schema brings is refused until somebody says what it is called here."""
    settings = model_settings(USING).model_copy(update={"parameters": {"of_tomorrow": 1}})
    with pytest.raises(ValueError, match="of_tomorrow = 1 has no equal"):
        PROTOCOL.encode(TASK, ["Once"], settings)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h", "http://h/v1/completions"),
        ("http://h/", "http://h/v1/completions"),
        ("http://h/v1", "http://h/v1/completions"),
        ("http://h/v1/completions", "http://h/v1/completions"),
        ("http://h/v1/completions/", "http://h/v1/completions/"),
        ("http://h/v1/chat/completions", "http://h/v1/completions"),
        ("http://h/v1beta/openai", "http://h/v1beta/openai/completions"),
        (
            "http://h/openai/deployments/g/chat/completions?api-version=1",
            "http://h/openai/deployments/g/completions?api-version=1",
        ),
    ],
)
def test_the_address_is_made_of_a_base_as_people_write_it(base: str, url: str) -> None:
    assert PROTOCOL.url(base, "m", TASK) == url


# As llama.cpp, vLLM and LiteLLM send it.
ANSWER = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": " upon a time", "logprobs": None, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6},
}


def test_an_answer_is_what_the_task_reads_and_its_tokens_are_reported() -> None:
    parts, usage, unreadable = decoded(ANSWER)
    assert unreadable is None
    assert usage == ReportedUsage(tokens=6)
    assert parts == [{"generated_text": " upon a time", "details": {"finish_reason": "length", "generated_tokens": 4}}]
    explain = {"finish_reason": "length", "tokens": 4}
    assert TASK.read(parts[0], "Once", model_settings(USING)) == Prediction(" upon a time", None, explain)


@pytest.mark.parametrize("usage", [None, [], "6", {}, {"completion_tokens": None}])
def test_an_answer_without_counts_is_read(usage: Any) -> None:
    (part,) = decoded({**ANSWER, "usage": usage}).parts
    assert part == {
        "generated_text": " upon a time",
        "details": {"finish_reason": "length", "generated_tokens": None},
    }


def test_an_empty_text_is_an_answer() -> None:
    (part,) = decoded({"choices": [{"text": "", "finish_reason": "stop"}]}).parts
    assert part["generated_text"] == ""


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ([], "the server's answer is not one of text-generation: got an object with ['choices']"),
        (None, "the server's answer is not one of text-generation: got an object with ['choices']"),
        (["x"], "the server's answer is not one of text-generation: got an object with ['choices']"),
        ([{"text": None, "finish_reason": "length"}], "the server made no text: finish_reason is 'length'"),
        ([{"text": ["x"]}], "the server made no text: finish_reason is None"),
        ([{"text": "", "finish_reason": "content_filter"}], "the server made no text: finish_reason is content_filter"),
        ([{"text": "The ans", "finish_reason": "error"}], "the server made no text: finish_reason is error"),
        (
            [{"text": "The ans", "error": {"message": "the provider went away", "code": 502}}],
            "the server ended with an error: the provider went away",
        ),
        ([{"text": "", "error": "out of memory"}], "the server ended with an error: out of memory"),
    ],
)
def test_no_text_is_the_rows_reason_in_the_servers_words(choices: Any, reason: str) -> None:
    answer = decoded({"choices": choices})
    assert answer.parts == []
    assert str(answer.unreadable) == reason


@pytest.mark.parametrize("answer", [None, [], "text", 1, [ANSWER]])
def test_another_answer_is_refused_and_not_guessed(answer: Any) -> None:
    assert decoded(answer).unreadable is not None


def test_a_request_is_one_prompt() -> None:
    assert PROTOCOL.batching(TASK) is Batching.NEVER
    assert {name for name, task in TASKS.items() if PROTOCOL.supports(task)} == {"text-generation"}
