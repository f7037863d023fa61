"""What a chat completion says: the text, the reasoning apart from it, and why there is no text where none is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import UnreadableAnswer
from ..printable import shorten
from ..redaction import preview
from .base import unreadable

_TASK = "chat-completion"

_THINK = "<think>"
_END_OF_THINK = "</think>"
_QUOTES = {mark: mark for mark in "`'\""} | {"\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}
"""What a quotation ends with, by what it begins with."""

_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
"""Values of ``finish_reason`` that mean ``max_tokens``, or the room of the model, was used up."""

_TEXT_PARTS = frozenset({"text", "output_text"})
_REASONING_PARTS = frozenset({"thinking", "reasoning"})
_SILENT_PARTS = frozenset({"reference", "redacted_thinking"})
"""Parts that are no text of the answer: where a citation comes from, and reasoning that nobody can read."""

_MAX_REFUSAL_CHARS = 500
_MAX_NAMED_TOOLS = 5

RAISE_MAX_TOKENS = "raise max_tokens"
"""What to do about an answer that was cut off."""


class Reply(NamedTuple):
    """The first choice of a chat completion.

    Attributes:
        text: what the assistant says, without its reasoning.
        reasoning: what it thought before, None where nothing is known of it.
        finish_reason: why it ended, in the server's word; None where the server does not say.
        tokens: of prompt and reply together, None where the server does not say.
        logprobs: ``[{"token", "logprob", ...}, ...]`` of all that was generated, None where the server sent none.
    """

    text: str
    reasoning: str | None
    finish_reason: Any
    tokens: Any
    logprobs: Sequence[Any] | None

    @property
    def is_cut_off(self) -> bool:
        """Whether it ended because there was no room for more tokens."""
        return _is_cut_off(self.finish_reason)

    @property
    def explain(self) -> dict[str, Any]:
        """What ``<target>_explain`` shows; ``reasoning`` only where there is some."""
        explain = {"finish_reason": self.finish_reason, "tokens": self.tokens}
        return {**explain, "reasoning": self.reasoning} if self.reasoning else explain


def reply_of(answer: object) -> Reply:
    """Read the first choice of a chat completion.

    Args:
        answer: OpenAI's chat completion. The content is a text, or a list of parts.

    Returns:
        The reply. An answer that ended by itself and is empty is one.

    Raises:
        UnreadableAnswer: there is no text, and the sentence says why: no tokens were left for it, or the model refused,
            called a tool, or was stopped by a filter; or the answer has another shape.
    """
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(answer, Mapping) or not isinstance(choices, list):
        raise unreadable(_TASK, answer)
    if not choices:
        raise UnreadableAnswer("the server's answer has no text: its list of choices is empty")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise unreadable(_TASK, choice)
    finish_reason = choice.get("finish_reason")
    content, thoughts, refusal = _content_of(message)
    told_apart = _first_text(message, "reasoning_content", "reasoning")
    if told_apart is not None:
        thoughts = [told_apart, *thoughts]
    text = content
    # Where the server told the reasoning apart, a tag without its beginning is the answer's own.
    if text is not None and (told_apart is None or text.lstrip().startswith(_THINK)):
        thought, text = without_thoughts(text)
        thoughts += [each for each in thought if each not in thoughts]
    reasoning = "\n".join(thoughts).strip() or None
    usage = answer.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    if text is None or (not text.strip() and _has_no_answer(message, finish_reason, refusal)):
        raise UnreadableAnswer(_why_no_text(choice, message, refusal, reasoning, usage))
    return Reply(text, reasoning, finish_reason, tokens, _logprobs_of(choice))


def without_thoughts(text: str) -> tuple[list[str], str | None]:
    """Take the reasoning out of a text that begins with it, as servers send it that do not know of it.

    Reasoning stands before the answer and nowhere else. So only what begins the text counts: ``<think>...</think>``,
    or anything up to a ``</think>`` of which the beginning is missing, since many chat templates write ``<think>``
    into the prompt. Tags further on are the answer's own words, such as those of an explanation; so is a first
    ``</think>`` in quotes, or one after a ``<think>`` that does not begin the text.

    Args:
        text: the assistant's text.

    Returns:
        The reasoning, none or one text, and what follows it, without the line breaks between. The latter is None where
        reasoning began and did not end.

    >>> without_thoughts("<think>So 1 + 1.</think> 2")
    (['So 1 + 1.'], '2')
    >>> without_thoughts("Close it with `</think>`.")
    ([], 'Close it with `</think>`.')
    """
    start = text.lstrip()
    has_begun = start.startswith(_THINK)
    thought, tag, rest = (start[len(_THINK) :] if has_begun else text).partition(_END_OF_THINK)
    if has_begun:
        return [thought], rest.lstrip() if tag else None
    is_quoted = thought[-1:] in _QUOTES and _QUOTES[thought[-1:]] == rest[:1]
    if not tag or _THINK in thought or is_quoted:
        return [], text
    return [thought], rest.lstrip()


def _content_of(message: Mapping[str, Any]) -> tuple[str | None, list[str], str | None]:
    """The text of a message's content, the reasoning in its parts, and the words of a refusal."""
    content, refusal = message.get("content"), _first_text(message, "refusal")
    if content is None or isinstance(content, str):
        return content, [], refusal
    if not isinstance(content, list):
        raise unreadable(_TASK, message)
    texts, thoughts = [], []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        said = part if isinstance(part, str) else _text_of_part(part)
        if kind in _TEXT_PARTS and said is not None:
            texts.append(said)
        elif kind in _REASONING_PARTS:
            thoughts.append(said or "")
        elif kind == "refusal":
            refusal = refusal or said
        elif kind not in _SILENT_PARTS:
            raise UnreadableAnswer(f"the server's answer has a part that is no text, of type {preview(kind)}")
    return "".join(texts) if texts else None, ["".join(thoughts)] if thoughts else [], refusal


def _text_of_part(part: object) -> str | None:
    """The text of one part. A part of reasoning may hold parts of its own."""
    if not isinstance(part, dict):
        return None
    for key in ("text", "thinking", "reasoning", "refusal"):
        said = part.get(key)
        if isinstance(said, str):
            return said
        if isinstance(said, list):
            inner = [
                each if isinstance(each, str) else each.get("text") for each in said if isinstance(each, (str, dict))
            ]
            return "".join(each for each in inner if isinstance(each, str))
    return None


def _first_text(message: Mapping[str, Any], *keys: str) -> str | None:
    return next((message[key] for key in keys if isinstance(message.get(key), str) and message[key]), None)


def _logprobs_of(choice: Mapping[str, Any]) -> Sequence[Any] | None:
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    return tokens if isinstance(tokens, list) and tokens else None


def _is_cut_off(finish_reason: object) -> bool:
    return isinstance(finish_reason, str) and finish_reason.lower() in _CUT_OFF


def _has_no_answer(message: Mapping[str, Any], finish_reason: object, refusal: str | None) -> bool:
    """Whether an empty text is none. A model that ends by itself may well say nothing."""
    is_filtered = finish_reason == "content_filter"
    return _is_cut_off(finish_reason) or is_filtered or refusal is not None or bool(_tools_called(message))


def _why_no_text(
    choice: Mapping[str, Any], message: Mapping[str, Any], refusal: str | None, reasoning: str | None, usage: object
) -> str:
    finish_reason = choice.get("finish_reason")
    if refusal is not None:
        return f"the model refused: {_shown(refusal)}"
    if finish_reason == "content_filter":
        words = _words_of_filter(choice)
        return f"a content filter stopped the answer{f': {words}' if words else ''}"
    if tools := _tools_called(message):
        names = ", ".join(preview(name) for name in tools[:_MAX_NAMED_TOOLS] if name is not None)
        return f"the model called {f'the tool {names}' if names else 'a tool'} instead of answering"
    if _is_cut_off(finish_reason):
        by_reasoning = " by reasoning" if reasoning or _reasoning_tokens(usage) else ""
        return f"no text: all tokens were used up{by_reasoning} before the answer; {RAISE_MAX_TOKENS}"
    reason = f" (finish_reason {preview(finish_reason)})" if finish_reason is not None else ""
    if reasoning:
        return f"no text: the model's reasoning has no end, or no answer after it{reason}"
    return f"no text: the content of the answer is null{reason}"


def _tools_called(message: Mapping[str, Any]) -> list[Any]:
    """The name of each tool that was called, None for one without."""
    calls = message.get("tool_calls")
    calls = [*calls] if isinstance(calls, list) else []
    functions = [call.get("function") if isinstance(call, dict) else None for call in calls]
    if isinstance(message.get("function_call"), dict):
        functions.append(message["function_call"])
    return [function.get("name") if isinstance(function, dict) else None for function in functions]


def _words_of_filter(choice: Mapping[str, Any]) -> str:
    """What was filtered, in Azure's form: ``{"hate": {"filtered": true, "severity": "high"}, ...}``."""
    results = choice.get("content_filter_results") or choice.get("content_filter_result")
    if isinstance(results, str):
        return _shown(results)
    if not isinstance(results, dict):
        return ""
    found = {name: each for name, each in results.items() if isinstance(each, dict) and each.get("filtered")}
    words = (f"{name} ({each['severity']})" if each.get("severity") else str(name) for name, each in found.items())
    return _shown(", ".join(words))


def _reasoning_tokens(usage: object) -> bool:
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    return isinstance(details, dict) and bool(details.get("reasoning_tokens"))


def _shown(words: str) -> str:
    return shorten(re.sub(r"\s+", " ", words[: 4 * _MAX_REFUSAL_CHARS]).strip(), _MAX_REFUSAL_CHARS)
