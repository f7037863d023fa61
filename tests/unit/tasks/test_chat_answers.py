"""What a chat completion says in every form that servers send: the text, the reasoning, or why there is no text."""

from __future__ import annotations

from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.chat_answers import reply_of, without_thoughts

ENGINE = engine_settings({"endpoint": "http://127.0.0.1:1"})


def completion(content: Any, finish_reason: Any = "stop", choice: Any = None, usage: Any = None, **more: Any) -> Any:
    message = {"role": "assistant", "content": content, **more}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason, **(choice or {})}]}
    return answer if usage is None else {**answer, "usage": usage}


TEXTS: list[tuple[Any, str, str | None]] = [
    (completion("4"), "4", None),
    (completion(""), "", None),
    (completion(" \n"), " \n", None),
    (completion([{"type": "text", "text": "The "}, {"type": "text", "text": "answer"}]), "The answer", None),
    (completion(["The ", "answer"]), "The answer", None),
    (
        completion(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "4"}]
        ),
        "4",
        "Hm.",
    ),
    (
        completion(
            [
                {"type": "thinking", "thinking": "H"},
                {"type": "thinking", "thinking": "m"},
                {"type": "text", "text": "4"},
            ]
        ),
        "4",
        "Hm",
    ),
    (completion([{"type": "reasoning", "text": "Hm."}, {"type": "output_text", "text": "4"}]), "4", "Hm."),
    (completion([{"type": "text", "text": "4"}, {"type": "reference", "reference_ids": [1]}]), "4", None),
    (completion("<think>1 + 3 is 4</think>4"), "4", "1 + 3 is 4"),
    (completion("\n<think>\nSo.\n</think>\n\n4"), "4", "So."),
    (completion("<think>\n\n</think>\n\n4"), "4", None),
    (completion("So 4, they want 'short'\n</think>\n\n4"), "4", "So 4, they want 'short'"),
    (completion('They said "hi".</think>```json\n{}\n```'), "```json\n{}\n```", 'They said "hi".'),
    (completion("</think>\n4"), "4", None),
    (completion("<think>maybe <think> ends it</think>4"), "4", "maybe <think> ends it"),
    (completion("4", reasoning_content="Hm."), "4", "Hm."),
    (completion("4", reasoning="Hm."), "4", "Hm."),
    (completion("4", reasoning=None, reasoning_content=""), "4", None),
    (completion("<think>Hm.</think>4", reasoning_content="Hm."), "4", "Hm."),
    (completion("The tag </think> ends it", reasoning_content="Hm."), "The tag </think> ends it", "Hm."),
    (completion("Write <think>x</think> first"), "Write <think>x</think> first", None),
    (completion("End with `</think>`, then answer"), "End with `</think>`, then answer", None),
    (completion('"</think>" ends it'), '"</think>" ends it', None),
    (completion("The answ", "length"), "The answ", None),
    (completion("4", refusal=None, tool_calls=None), "4", None),
    (completion("4", tool_calls=[]), "4", None),
    (completion("Half", "content_filter"), "Half", None),
    (
        completion("I looked it up: 4", "tool_calls", tool_calls=[{"function": {"name": "look"}}]),
        "I looked it up: 4",
        None,
    ),
]


@pytest.mark.parametrize(("answer", "text", "reasoning"), TEXTS)
def test_the_text_comes_without_the_reasoning(answer: Any, text: str, reasoning: str | None) -> None:
    reply = reply_of(answer)
    assert (reply.text, reply.reasoning) == (text, reasoning)
    for task in ("chat-completion", "image-text-to-text"):
        prediction = TASKS[task].read(answer, "q", model_settings({"task": "chat", "column": "t"}, ENGINE))
        assert prediction.value == text
        assert prediction.explain.get("reasoning") == reasoning
        assert set(prediction.explain) == {"finish_reason", "tokens"} | ({"reasoning"} if reasoning else set())


CALL = [{"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
REASONED = {"total_tokens": 90, "completion_tokens_details": {"reasoning_tokens": 80}}
NO_TEXT: list[tuple[Any, str]] = [
    (completion(None, "length"), "no text: all tokens were used up before the answer; raise max_tokens"),
    (completion(None, "length", reasoning_content="Hm"), "used up by reasoning before the answer; raise max_tokens"),
    (completion("", "length", usage=REASONED), "used up by reasoning before the answer; raise max_tokens"),
    (completion("", "MAX_TOKENS"), "raise max_tokens"),
    (completion("<think>Hm", "length"), "used up by reasoning before the answer; raise max_tokens"),
    (completion("<think>Hm</think>\n", "length"), "used up by reasoning before the answer; raise max_tokens"),
    (completion([{"type": "thinking", "thinking": "Hm"}], "length"), "used up by reasoning"),
    (completion("<think>Hm, and then", "stop"), "the model's reasoning has no end"),
    (completion(None, "stop", reasoning_content="Hm"), "no answer after it"),
    (completion(None, "stop", refusal="I cannot help\n with this."), "the model refused: I cannot help with this."),
    (completion("", "stop", refusal="I cannot."), "the model refused: I cannot."),
    (completion([{"type": "refusal", "refusal": "I cannot."}]), "the model refused: I cannot."),
    (completion(None, "tool_calls", tool_calls=CALL), "the model called the tool 'get_weather' instead of answering"),
    (completion("", "tool_calls", tool_calls=CALL), "the model called the tool 'get_weather' instead of answering"),
    (completion("", "stop", tool_calls=CALL), "the model called the tool 'get_weather'"),
    (completion(None, "function_call", function_call={"name": "look"}), "the model called the tool 'look'"),
    (completion(None, "tool_calls", tool_calls=[{}]), "the model called a tool instead of answering"),
    (completion(None, "content_filter"), "a content filter stopped the answer"),
    (
        completion(
            None,
            "content_filter",
            {"content_filter_results": {"hate": {"filtered": True, "severity": "high"}, "sexual": {"filtered": False}}},
        ),
        "a content filter stopped the answer: hate (high)",
    ),
    (completion("", "content_filter"), "a content filter stopped the answer"),
    (completion(None), "no text: the content of the answer is null (finish_reason 'stop')"),
    (completion(None, None), "no text: the content of the answer is null"),
    (completion([]), "no text: the content of the answer is null"),
    (completion([{"type": "image_url", "image_url": {}}]), "has a part that is no text, of type 'image_url'"),
    (completion({"text": "4"}), "got an object with ['content', 'role']"),
    ({"choices": []}, "has no text: its list of choices is empty"),
    ({"choices": [None]}, "got NoneType"),
    ({"choices": [{}]}, "got an object with"),
    ({"choices": "4"}, "got an object with ['choices']"),
    (["4"], "not one of chat-completion"),
]


@pytest.mark.parametrize(("answer", "reason"), NO_TEXT)
def test_an_answer_without_text_says_why(answer: Any, reason: str) -> None:
    with pytest.raises(UnreadableAnswer) as error:
        reply_of(answer)
    assert reason in str(error.value)


def test_the_words_of_a_refusal_are_bounded() -> None:
    with pytest.raises(UnreadableAnswer) as error:
        reply_of(completion(None, refusal="no " * 1_000_000))
    assert len(str(error.value)) < 600


def test_only_what_begins_a_text_is_taken_for_reasoning() -> None:
    assert without_thoughts("a <think>b</think> c") == ([], "a <think>b</think> c")
    assert without_thoughts("<think>a</think>b</think>c") == (["a"], "b</think>c")
    assert without_thoughts("<thinking>a</thinking>b") == ([], "<thinking>a</thinking>b")
    assert without_thoughts("<think>a") == (["a"], None)
