"""The form in which a server takes the wanted JSON is found once for a route, at the cost of few requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import Session, predict
from tests.conftest import Reply, Service

TYPED = {"task": "chat", "column": "text", "target": "answer", "output_schema": {"topic": "str", "urgency": "int"}}
ROWS = [f"row {number:03}" for number in range(30)]


def answer(body: Any) -> Any:
    number = int(said(body).split()[1])
    text = json.dumps({"topic": f"topic {number}", "urgency": number})
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


def said(body: Any) -> str:
    return str(body["messages"][-1]["content"]).split("\n\n")[-1]


def form_of(body: Any) -> str:
    wanted = body.get("response_format")
    if wanted is None:
        return "prompt"
    return "value" if "value" in wanted else str(wanted["type"])


def ask(service: Service, rows: list[str] = ROWS, session: Session | None = None, **using: Any) -> pd.DataFrame:
    return predict(pd.DataFrame({"text": rows}), {**TYPED, **using}, {"endpoint": service.url}, session=session)


def server(taken: set[str], refusal: Callable[[Any], Reply]) -> Callable[..., Any]:
    return lambda body, *_: answer(body) if form_of(body) in taken else refusal(body)


def openai(_body: Any) -> Reply:
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    return Reply({"error": {"message": words, "type": "invalid_request_error", "param": "response_format"}}, 400)


def pydantic(_body: Any) -> Reply:
    place = ["body", "response_format", "type"]
    return Reply({"detail": [{"type": "literal_error", "loc": place, "msg": "Input should be 'text'"}]}, 422)


def openrouter(_body: Any) -> Reply:
    return Reply(
        {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}, 404
    )


def unspecific(_body: Any) -> Reply:
    return Reply({"error": "Bad Request"}, 400)


def unprocessable(_body: Any) -> Reply:
    return Reply(b"", 422)


REFUSALS = [openai, pydantic, openrouter, unspecific, unprocessable]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    ("taken", "refused"),
    [
        ({"json_schema"}, 0),
        ({"value"}, 1),
        ({"json_object"}, 2),
        ({"json_object", "value", "prompt"}, 1),
        ({"prompt"}, 3),
    ],
)
def test_30_rows_take_30_requests_and_one_for_each_form_that_is_refused(
    service: Service, refusal: Callable[[Any], Reply], taken: set[str], refused: int
) -> None:
    service.answer = server(taken, refusal)
    with Session() as session:
        out = ask(service, session=session)
        assert list(out["urgency"]) == list(range(30))
        assert list(out["topic"]) == [f"topic {number}" for number in range(30)]
        assert out["answer_error"].isna().all()
        assert len(service.asked) == 30 + refused
        service.asked.clear()
        again = ask(service, [f"row {number:03}" for number in range(100, 110)], session)
        assert list(again["urgency"]) == list(range(100, 110))
        assert len(service.asked) == 10, "the form is remembered"


def test_each_form_says_what_is_wanted(service: Service) -> None:
    service.answer = server({"prompt"}, openai)
    ask(service, ROWS[:1])
    first, value, plain, prompt = service.asked
    schema = first["response_format"]["json_schema"]["schema"]
    assert first["messages"] == [{"role": "user", "content": "row 000"}]
    assert value["response_format"] == {"type": "json_object", "value": schema}
    assert plain["response_format"] == {"type": "json_object"}
    assert "response_format" not in prompt
    for body in (value, plain, prompt):
        words = body["messages"][0]["content"].partition("nothing else: ")[2]
        assert json.loads(words.removesuffix("\n\nrow 000")) == schema
    assert set(prompt) == {"model", "messages", "stream"}


def test_a_row_that_is_refused_in_every_form_is_that_rows_and_no_forms(service: Service) -> None:
    def answers(body: Any, *_: Any) -> Any:
        return unspecific(body) if said(body) == ROWS[0] else answer(body)

    service.answer = answers
    with Session() as session:
        out = ask(service, ROWS[:4], session)
    assert out["urgency"].isna().tolist() == [True, False, False, False]
    assert out["answer_error"][0] == "rejected input 400: Bad Request"
    assert {form_of(body) for body in service.asked if said(body) != ROWS[0]} == {"json_schema"}
    assert len(service.asked) <= 4 + 3


def test_a_row_refused_after_an_answer_costs_no_other_form(service: Service) -> None:
    service.answer = lambda body, *_: unspecific(body) if said(body) == ROWS[20] else answer(body)
    out = ask(service)
    assert out["urgency"].isna().sum() == 1
    assert len(service.asked) == 30


def test_a_row_that_speaks_of_forms_is_not_taken_for_the_servers_words(service: Service) -> None:
    row = "response_format json_schema is not supported 5"

    def answers(body: Any, *_: Any) -> Any:
        echo = f"Input {said(body)} was flagged"
        return Reply({"error": echo}, 400) if said(body) == row else answer(body)

    service.answer = answers
    out = ask(service, [*ROWS, row])
    assert out["urgency"].isna().sum() == 1
    assert {form_of(body) for body in service.asked} == {"json_schema"}
    assert len(service.asked) == 31


def test_a_server_that_refuses_all_is_asked_no_more_than_before_it_is_given_up(service: Service) -> None:
    service.answer = lambda body, *_: unspecific(body)
    with pytest.raises(InferenceError, match="Bad Request"):
        ask(service)
    assert len(service.asked) <= 5 * 4


def test_other_failures_are_of_no_form(service: Service) -> None:
    wrong_model = Reply({"error": "The model `m` does not exist"}, 400)
    too_long = Reply({"error": "maximum context length is 4096 tokens, the prompt is too long"}, 400)
    for reply in (wrong_model, too_long, Reply({"error": "no key"}, 401)):
        service.asked.clear()
        service.answer = lambda *_, reply=reply: reply
        with pytest.raises(InferenceError):
            ask(service, ROWS[:2])
        assert {form_of(body) for body in service.asked} == {"json_schema"}


def test_untyped_chat_and_a_response_format_of_the_persons_own_have_one_form(service: Service) -> None:
    service.answer = lambda body, *_: openai(body)
    for using in ({"output_schema": None}, {"parameters": {"response_format": {"type": "json_object"}}}):
        service.asked.clear()
        with pytest.raises(InferenceError):
            ask(service, ROWS[:1], **using)
        assert len(service.asked) == 1


def test_the_schema_goes_into_the_last_message_of_the_user(service: Service) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "row 7"}]},
        {"role": "assistant", "content": "yes?"},
    ]
    service.answer = lambda body, *_: (
        openai(body) if "response_format" in body else answer({"messages": [{"content": "row 7"}]})
    )
    frame = pd.DataFrame({"m": [json.dumps(turns), json.dumps([{"role": "assistant", "content": "row 7"}])]})
    using = {key: value for key, value in TYPED.items() if key != "column"}
    out = predict(frame, {**using, "messages_column": "m"}, {"endpoint": service.url})
    assert list(out["urgency"]) == [7, 7]
    prompted = [body["messages"] for body in service.asked if "response_format" not in body]
    (long,) = [messages for messages in prompted if len(messages) == 2 and messages[0]["role"] == "user"]
    assert long[0]["content"][1] == {"type": "text", "text": "row 7"}
    assert "JSON schema" in long[0]["content"][0]["text"]
    assert long[1] == turns[1]
    (short,) = [messages for messages in prompted if messages[0]["role"] == "system"]
    assert "JSON schema" in short[0]["content"]


def test_a_cut_off_answer_is_not_repaired(service: Service) -> None:
    cut = {"choices": [{"message": {"content": '{"topic": "fo'}, "finish_reason": "length"}]}
    service.answer = lambda body, *_: cut if said(body) == ROWS[1] else answer(body)
    out = ask(service, ROWS[:3])
    assert "cut off at max_tokens" in out["answer_error"][1]
    assert out["answer_error"][1].endswith("raise max_tokens")
    assert len(service.asked) == 3
    assert out.attrs["usage"]["repairs"] == 0


def test_a_repair_at_length_names_the_schema(service: Service) -> None:
    def answers(body: Any, *_: Any) -> Any:
        if len(body["messages"]) == 1:
            return {"choices": [{"message": {"content": '{"mood": "fine"}'}, "finish_reason": "stop"}]}
        assert '"enum": ["good", "bad"]' in body["messages"][2]["content"]
        return {"choices": [{"message": {"content": '{"mood": "good"}'}, "finish_reason": "stop"}]}

    service.answer = answers
    out = ask(service, ["a"], output_schema={"mood": {"enum": ["good", "bad"]}})
    assert list(out["mood"]) == ["good"]
    assert len(service.asked) == 2


def test_a_row_refused_in_every_form_after_an_answer_leaves_the_form_to_the_next_query(service: Service) -> None:
    service.answer = lambda body, *_: openai(body) if said(body) == ROWS[20] else answer(body)
    with Session() as session:
        out = ask(service, ROWS, session)
        assert out["answer_error"].notna().sum() == 1
        service.asked.clear()
        ask(service, [f"row {number:03}" for number in range(100, 110)], session)
    assert {form_of(body) for body in service.asked} == {"json_schema"}
