"""OpenAI's completions: what text-generation is asked as, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pandas as pd
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols.base import AnswerCutOffError, Batching, Decoded
from huggingface_api_handler.inference.protocols.openai_completions import OpenAICompletions
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Prediction
from tests.conftest import Reply, Service

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
    assert usage == ReportedUsage(6, 2, 4)
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
        (
            [{"text": "", "finish_reason": "content_filter"}],
            "the server made no text: finish_reason is 'content_filter'",
        ),
    ],
)
def test_no_text_is_the_rows_reason_in_the_servers_words(choices: Any, reason: str) -> None:
    answer = decoded({"choices": choices})
    assert answer.parts == []
    assert str(answer.unreadable) == reason


@pytest.mark.parametrize(
    ("choice", "words", "status"),
    [
        ({"text": "The", "error": {"message": "the provider went away", "code": 502}}, "went away", 502),
        ({"text": "", "error": "out of memory"}, "out of memory", 500),
        ({"text": "The", "finish_reason": "error", "error": {}}, "ended the answer with an error", 500),
    ],
)
def test_an_error_in_a_choice_is_no_text_and_says_whether_to_try_again(choice: Any, words: str, status: int) -> None:
    error = PROTOCOL.error(Response(200, CIMultiDict(), orjson.dumps({"choices": [choice]})))
    assert error is not None
    assert words in error.message
    assert error.status == status


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + end


PIECES = [
    {"id": "c", "choices": [{"index": 0, "text": " upon", "finish_reason": None}]},
    {"id": "c", "choices": [{"index": 0, "text": " a time", "finish_reason": "length"}]},
    {"id": "c", "choices": [], "usage": ANSWER["usage"]},
]


@pytest.mark.parametrize("body", [stream(*PIECES), stream(*PIECES, end=b"")])
def test_a_stream_is_put_together(body: bytes) -> None:
    assert decoded(body).parts == decoded(ANSWER).parts
    assert decoded(body).usage == ReportedUsage(6, 2, 4)


@pytest.mark.parametrize("cut", [stream(PIECES[0], end=b""), stream(*PIECES)[:-40]])
def test_a_stream_that_broke_is_no_answer_and_is_asked_for_again(cut: bytes) -> None:
    with pytest.raises(AnswerCutOffError, match="cut off"):
        decoded(cut)


def test_the_pieces_of_another_choice_stay_out_of_a_text() -> None:
    pieces = [{"choices": [{"index": at % 2, "text": str(at), "finish_reason": None}]} for at in range(6)]
    assert decoded(stream(*pieces)).parts[0]["generated_text"] == "024"


@pytest.mark.parametrize("event", [[], "x", {"choices": ["x"]}])
def test_an_event_of_another_shape_is_refused(event: Any) -> None:
    with pytest.raises(UnreadableAnswer, match="not one of text-generation"):
        decoded(stream(event))


@pytest.mark.parametrize("choice", [{"text": 1}, {}, {"delta": {"content": "x"}}])
def test_a_stream_without_text_is_the_rows_reason(choice: Any) -> None:
    assert "made no text" in str(decoded(stream({"choices": [choice]})).unreadable)


@pytest.mark.parametrize("answer", [None, [], "text", 1, [ANSWER]])
def test_another_answer_is_refused_and_not_guessed(answer: Any) -> None:
    assert decoded(answer).unreadable is not None


def test_a_request_is_one_prompt() -> None:
    assert PROTOCOL.batching(TASK) is Batching.NEVER
    assert {name for name, task in TASKS.items() if PROTOCOL.supports(task)} == {"text-generation"}


def test_rows_go_on_each_from_a_prompt_of_its_own(service: Service) -> None:
    def answer(body: Any, _headers: Any, path: str) -> Any:
        if path != "/v1/completions":
            return Reply({"error": "not found"}, 404)
        if body["prompt"] == "bad":
            return {"choices": [{"text": None, "finish_reason": "content_filter"}]}
        return {"choices": [{"text": f"{body['prompt']}!", "finish_reason": "stop"}], "usage": {"total_tokens": 3}}

    service.answer = answer
    using = {**USING, "endpoint": None, "max_new_tokens": 5}
    frame = pd.DataFrame({"t": ["a", "bad", None, "b", "a"]})
    out = predict(frame, using, {"endpoint": f"{service.url}/v1/completions"})
    assert list(out["y"].where(out["y"].notna(), None)) == ["a!", None, None, "b!", "a!"]
    assert "finish_reason is 'content_filter'" in out["y_error"][1]
    assert out["y_explain"][0] == {"finish_reason": "stop", "tokens": None}
    assert out.attrs["usage"]["tokens"] == 6
    assert [body["max_tokens"] for body in service.asked] == [5, 5, 5]


def test_a_refused_parameter_costs_no_request(service: Service) -> None:
    using = {**USING, "endpoint": None, "typical_p": 0.5, "on_error": "null"}
    out = predict(pd.DataFrame({"t": ["a"]}), using, {"endpoint": f"{service.url}/v1/completions"})
    assert "typical_p = 0.5 has no equal" in out["y_error"][0]
    assert service.asked == []
