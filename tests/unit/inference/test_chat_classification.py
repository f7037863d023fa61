"""Labels by a chat model: text-classification with labels or a question, and the confidence of choices."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import Session, output_schema, predict
from tests.conftest import Reply, Service

LABELS = ["complaint", "praise", "other"]
USING = {"task": "text-classification", "column": "text", "target": "kind", "candidate_labels": LABELS}
ROWS = [f"row {number}" for number in range(30)]


def said(body: Any) -> str:
    return str(body["messages"][1]["content"]).split("\n\n")[-1]


def completion(*pieces: tuple[str, float], has_logprobs: bool = True, **message: Any) -> Any:
    text = "".join(piece for piece, _ in pieces)
    choice: dict[str, Any] = {"message": {"content": text, **message}, "finish_reason": "stop"}
    if has_logprobs:
        choice["logprobs"] = {"content": [{"token": piece, "logprob": math.log(share)} for piece, share in pieces]}
    return {"choices": [choice], "usage": {"total_tokens": 7}}


def label_of(text: str) -> str:
    return LABELS[int(text.split()[1]) % 3]


def answer(body: Any, *_: Any) -> Any:
    return completion(('{"label": "', 0.9), (label_of(said(body)), 0.8), ('"}', 0.9), has_logprobs="logprobs" in body)


def ask(service: Service, rows: list[str] = ROWS, session: Session | None = None, **using: Any) -> pd.DataFrame:
    return predict(pd.DataFrame({"text": rows}), {**USING, **using}, {"endpoint": service.url}, session=session)


def test_labels_make_a_chat_with_the_columns_of_a_classification(service: Service) -> None:
    service.answer = answer
    out = ask(service)
    assert list(out.columns) == ["kind", "kind_confidence", "kind_explain", "kind_error"]
    assert list(out.columns) == list(output_schema(USING, {"endpoint": service.url}))
    assert list(out["kind"]) == [label_of(row) for row in ROWS]
    assert out["kind_confidence"].tolist() == pytest.approx([0.8] * 30)
    assert out["kind_explain"][0] == {"finish_reason": "stop", "tokens": 7}
    assert len(service.asked) == 30
    body = service.asked[0]
    system, user = body["messages"]
    assert system["role"] == "system"
    assert all(f'"{label}"' in system["content"] for label in LABELS)
    assert user["role"] == "user"
    assert body["response_format"]["json_schema"]["schema"]["properties"] == {
        "label": {"type": "string", "enum": LABELS}
    }
    assert body["logprobs"] is True
    assert "candidate_labels" not in body
    assert set(service.paths) == {"/v1/chat/completions"}


def test_a_question_alone_is_answered_yes_or_no(service: Service) -> None:
    service.answer = lambda *_: completion(('{"label": "', 0.9), ("yes", 0.6), ('"}', 0.9))
    out = ask(service, ["a"], candidate_labels=None, question="Is this spam?", system_prompt="You know mail.")
    assert (out["kind"][0], out["kind_confidence"][0]) == ("yes", pytest.approx(0.6))
    told = service.asked[0]["messages"][0]["content"]
    assert told.startswith("You know mail.\n\nIs this spam? ")
    assert '"yes", "no"' in told


def test_the_threshold_counts_where_there_is_a_confidence(service: Service) -> None:
    service.answer = answer
    assert set(ask(service, ROWS[:3], threshold=0.85)["kind"]) == {"uncertain"}
    assert set(ask(service, ROWS[:3], threshold=0.85, below_threshold="?")["kind"]) == {"?"}
    assert "uncertain" not in set(ask(service, ROWS[:3], threshold=0.5)["kind"])
    service.answer = lambda body, *_: completion(('{"label": "praise"}', 1.0), has_logprobs=False)
    assert set(ask(service, ROWS[:3], threshold=0.85)["kind"]) == {"praise"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("praise", "praise"),
        ("Praise.", "praise"),
        ("**Praise**", "praise"),
        ("<think>Hm, a complaint?</think>praise", "praise"),
        ('{"label": "Praise"}', "praise"),
        ('The label is {"label": "praise"}.', "praise"),
        ('{"answer": {"label": "praise"}}', "praise"),
    ],
)
def test_a_label_in_every_form(service: Service, text: str, label: str) -> None:
    service.answer = lambda *_: completion((text, 1.0), has_logprobs=False)
    out = ask(service, ["a"])
    assert (out["kind"][0], len(service.asked)) == (label, 1)
    assert out["kind_confidence"].isna().all()


def test_a_label_alone_has_the_confidence_of_its_own_tokens(service: Service) -> None:
    service.answer = lambda *_: completion(
        ("<think>", 0.1), ("praise?", 0.1), ("</think>", 0.1), ("Pra", 0.5), ("ise", 0.5), (".", 0.1)
    )
    assert ask(service, ["a"])["kind_confidence"][0] == pytest.approx(0.25)


def test_no_label_is_guessed(service: Service) -> None:
    service.answer = lambda body, *_: (
        completion(("praise or complaint", 1.0)) if said(body) == "row 1" else answer(body)
    )
    out = ask(service, ["row 0", "row 1", "row 2"])
    assert out["kind"].isna().tolist() == [False, True, False]
    assert "holds no JSON object" in out["kind_error"][1]
    assert len(service.asked) == 4, "it is asked for once more"


def test_logprobs_that_are_refused_are_asked_for_once(service: Service) -> None:
    def refuses(body: Any, *_: Any) -> Any:
        words = {"error": {"message": "logprobs are not supported with reasoning models", "param": "logprobs"}}
        return Reply(words, 400) if "logprobs" in body else answer(body)

    service.answer = refuses
    with Session() as session:
        out = ask(service, session=session)
        assert list(out["kind"]) == [label_of(row) for row in ROWS]
        assert out["kind_confidence"].isna().all()
        assert len(service.asked) == 31
        assert "response_format" in service.asked[-1], "only what was refused is left out"
        ask(service, ["row 100"], session)
        assert len(service.asked) == 32


@pytest.mark.parametrize("taken", ["value", "json_object", "prompt"])
def test_a_choice_takes_no_more_than_three_requests_beside_those_of_the_rows(service: Service, taken: str) -> None:
    def refuses(body: Any, *_: Any) -> Any:
        wanted = body.get("response_format", {"type": "prompt"})
        form = "value" if "value" in wanted else wanted["type"]
        return answer(body) if form == taken and "logprobs" not in body else Reply({"error": "Bad Request"}, 400)

    service.answer = refuses
    assert list(ask(service)["kind"]) == [label_of(row) for row in ROWS]
    assert len(service.asked) <= 33


def test_other_labels_and_questions_have_other_stored_answers(service: Service) -> None:
    service.answer = answer
    ask(service, ["row 1"], cache=True)
    ask(service, ["row 1"], cache=True)
    assert len(service.asked) == 1
    ask(service, ["row 1"], cache=True, candidate_labels=[*LABELS, "more"])
    ask(service, ["row 1"], cache=True, question="What is it?")
    assert len(service.asked) == 3


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"], ["a", " "], "a", [1, 2]])
def test_labels_that_are_no_choice_are_refused(service: Service, labels: Any) -> None:
    with pytest.raises(InputError, match="candidate_labels"):
        ask(service, candidate_labels=labels)


def test_classification_without_labels_is_what_it_was(service: Service) -> None:
    service.answer = lambda body, *_: [[{"label": "POS", "score": 0.9}]]
    out = ask(service, ["a"], candidate_labels=None)
    assert (out["kind"][0], out["kind_confidence"][0]) == ("POS", 0.9)
    assert service.asked == [{"inputs": "a"}]
    with pytest.raises(InputError, match="candidate_labels"):
        ask(service, parameters={"candidate_labels": LABELS}, candidate_labels=None)


CHOICE = {
    "task": "chat",
    "column": "text",
    "target": "answer",
    "output_schema": {"spam": {"type": "bool"}, "why": "str"},
}


def test_the_only_choice_of_a_schema_has_the_confidence(service: Service) -> None:
    pieces = ('{"why": "it sells", "spam": ', 0.5), ("true", 0.7), ("}", 0.9)
    service.answer = lambda body, *_: completion(*pieces, has_logprobs=body.get("logprobs") is True)
    out = predict(pd.DataFrame({"text": ["a"]}), CHOICE, {"endpoint": service.url})
    assert list(out.columns) == ["answer", "answer_confidence", "answer_explain", "spam", "why", "answer_error"]
    assert out["spam"][0] is True
    assert out["answer_confidence"][0] == pytest.approx(0.7)


def test_fields_in_short_have_no_confidence_as_they_never_had(service: Service) -> None:
    service.answer = lambda *_: completion(('{"spam": true}', 0.5))
    using = {**CHOICE, "output_schema": {"spam": "bool"}}
    out = predict(pd.DataFrame({"text": ["a"]}), using, {"endpoint": service.url})
    assert list(out.columns) == ["answer", "answer_explain", "spam", "answer_error"]
    assert "logprobs" not in service.asked[0]


def test_a_nested_answer_comes_as_json_columns(service: Service) -> None:
    schema = {"who": {"name": "str", "age": "int?"}, "items": [{"price": "float"}], "tags": "list[str]"}
    value = {"who": {"name": "Ann", "age": None}, "items": [{"price": 2.0}], "tags": ["x"]}
    service.answer = lambda *_: completion((json.dumps(value), 1.0))
    out = predict(pd.DataFrame({"text": ["a"]}), {**CHOICE, "output_schema": schema}, {"endpoint": service.url})
    assert {name: out[name][0] for name in value} == value
    assert output_schema({**CHOICE, "output_schema": schema})["who"] == "JSON"


def test_a_cut_off_label_says_so(service: Service) -> None:
    service.answer = lambda *_: {"choices": [{"message": {"content": '{"label": "pra'}, "finish_reason": "length"}]}
    with pytest.raises(InferenceError, match="cut off at max_tokens"):
        ask(service, ["a"])
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("labels", "text", "label"),
    [
        (["U.S.", "U.K."], "U.S.", "U.S."),
        (["U.S.", "U.K."], "**u.k.**", "U.K."),
        (["C", "C!"], "C!", "C!"),
        (["C", "C!"], "C", "C"),
        (["US", "us"], "us", "us"),
        (['say "hi"', "no"], 'say "hi"', 'say "hi"'),
        (["1", "2"], '{"label": 2}', "2"),
        (["true", "false"], '{"label": true}', "true"),
    ],
)
def test_labels_with_marks_or_of_one_spelling_or_that_are_numbers(
    service: Service, labels: list[str], text: str, label: str
) -> None:
    service.answer = lambda *_: completion((text, 1.0), has_logprobs=False)
    out = ask(service, ["a"], candidate_labels=labels)
    assert (out["kind"][0], len(service.asked)) == (label, 1)
