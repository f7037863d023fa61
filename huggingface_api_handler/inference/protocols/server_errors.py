"""The error bodies that servers send, in the shapes that most of them share, read as words, a code and a wait."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...printable import printable, shorten
from ...redaction import redact
from ..echoes import ServerError
from ..input_lengths import sane_tokens
from ..transport.client import Response
from ..transport.large_bodies import MAX_ERROR_BYTES

_MAX_SERVER_WORDS_CHARS = 500
"""A message stands in a cell of a table."""

# An error body can be as large as any response. Only its head is redacted and searched, and no larger JSON is parsed.
_MAX_TEXT_BYTES = 30_000
_MAX_BODY_TEXT_CHARS = 20_000
_MAX_LISTED_ERRORS = 10
_MAX_LISTED_KEYS = 10
_MAX_LOCATION_STEPS = 10
_MAX_LEADING_BYTES = 64
_MAX_INT_DIGITS = 20
_MAX_ERROR_CONTAINERS = 20_000  # lists and objects: pydantic has four for each input that it refuses
_MAX_ERROR_DEPTH = 5  # {"error": {"message": [...]}} has three

_TITLE = re.compile("<title", re.I)
_TITLE_END = re.compile("</title>", re.I)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MESSAGE_KEYS = ("error", "message", "detail", "title")
_CODE_KEYS = ("code", "type", "error_type")
_STATUS_KEYS = ("code", "status", "status_code", "statusCode")

_ERROR_KEYS = {
    "error", "errors", "error_type", "error_code", "warnings", "status", "status_code", "statusCode", "message",
    "detail", "title", "code", "type", "object", "param", "instance", "path", "timestamp", "request_id", "success",
    "estimated_time",
}  # fmt: skip
"""An object with no other keys holds no answer."""

_ANSWER_KEYS = (
    "data", "results", "predictions", "output", "outputs", "label", "labels", "score", "scores", "answer",
    "text", "generated_text", "summary_text", "translation_text", "embeddings", "similarities", "entities", "image",
    "images", "audio", "video",
)  # fmt: skip
"""Where the answers of tasks stand. What stands there counts where it is not empty, whatever is said beside it.
Choices of a chat do not: beside an error they are what was written before it."""

_STATUSES_OF_CODES = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "overloaded_error": 503,
}
"""The words that services give in place of a status, in lower case."""

_FIRST_ERROR_STATUS = 400
_LAST_ERROR_STATUS = 599


def read_error(response: Response) -> ServerError | None:
    """Read the error of a response in any of the usual shapes.

    Args:
        response: The response. Its JSON may be ``{"error": ...}``, with ``error_type`` or ``estimated_time`` beside it
            or ``message``, ``type`` and ``code`` within it, or ``{"detail": ...}`` with pydantic's list of errors.
            Some servers send these with a status that means success.

    Returns:
        The error. None for a response that means success, and is no error in place of an answer (see ``is_error``) nor
        a list of nothing but such errors.

    >>> read_error(Response(413, {}, b'{"error": "too many inputs", "error_type": "Validation"}')).code
    'Validation'
    >>> read_error(Response(200, {}, b'{"error": {"message": "Provider returned error", "code": 502}}')).status
    502
    >>> read_error(Response(200, {}, b'[{"label": "error", "score": 0.9}]')) is None
    True
    """
    body = response.body
    if not response.is_success:
        return _parse(body)
    # Nearly every response ends here, at its first bytes.
    head = body[:_MAX_LEADING_BYTES].lstrip()
    if head[:1] == b"{":
        may_be_error = b'"error"' in body or b'"detail"' in body or b'"message"' in head
    else:
        may_be_error = head[:1] == b"[" and head[1:].lstrip(b"{ \t\r\n").startswith(b'"error"')
    if not may_be_error or len(body) > MAX_ERROR_BYTES:
        return None
    try:
        answer = _load(body)
    except (ValueError, RecursionError):
        return None
    errors = answer if isinstance(answer, list) else [answer]
    if not all(map(is_error, errors)):
        return None
    return replace(_server_error(answer, errors[0]), status=_status(errors[0]))


def is_error(answer: object) -> bool:
    """Whether parsed JSON says that something failed, and answers nothing.

    Args:
        answer: What stands in place of an answer, or of the part of one input.

    Returns:
        True for an object that tells of an error and has no answer beside it. An ``error`` that is null or empty tells
        of none where anything else stands beside it, and numbers are the scores of labels.

    >>> is_error({"error": "out of memory", "choices": []}), is_error({"error": None, "choices": [{"index": 0}]})
    (True, False)
    """
    if not isinstance(answer, dict) or not answer:
        return False
    if all(type(value) is float or type(value) is int for value in answer.values()):
        return False
    has_no_more = not answer.keys() - _ERROR_KEYS
    if answer.get("error") or answer.get("object") == "error":
        return has_no_more or not any(map(answer.get, _ANSWER_KEYS))
    return (has_no_more and any(answer.get(key) for key in ("detail", "message"))) or answer.keys() == {"error"}


def web_page(body: bytes) -> str | None:
    """What to say of a web page that came in place of an answer, such as a login page or a firewall's.

    Args:
        body: The body of a response.

    Returns:
        A sentence with the page's title; None where the body is no web page.

    >>> web_page(b"<html><head><title>Log in</title></head></html>")
    'a web page instead of an answer (Log in)'
    """
    text = _head_of(body)
    if text[:1] != "<":
        return None
    return _one_line(f"a web page instead of an answer ({_title_of(text) or 'HTML'})")


def _title_of(page: str) -> str:
    """The words of the first title. Step by step, since one pattern would try each of many beginnings to the end."""
    tag = _TITLE.search(page)
    begin = page.find(">", tag.end()) + 1 if tag is not None else 0
    end = _TITLE_END.search(page, begin)
    return " ".join(page[begin : end.start()].split()) if begin and end is not None else ""


def _head_of(body: bytes) -> str:
    return redact(body[:_MAX_TEXT_BYTES].decode("utf-8", "replace")).strip()[:_MAX_BODY_TEXT_CHARS]


def _parse(body: bytes) -> ServerError:
    try:
        answer = _load(body[:MAX_ERROR_BYTES])
    except (ValueError, RecursionError):
        return ServerError(web_page(body) or _one_line(_head_of(body)))
    return _server_error(answer, answer)


def _server_error(answer: object, error: object) -> ServerError:
    """What an answer says, with what the first of its errors has in fields of their own."""
    inner = error.get("error") if isinstance(error, Mapping) else None
    fields = inner if isinstance(inner, Mapping) else {}
    return ServerError(
        _message(answer),
        _code(error),
        _estimated_wait_s(error),
        max_tokens=sane_tokens(fields.get("n_ctx")),  # llama.cpp's
        tokens=sane_tokens(fields.get("n_prompt_tokens")),
    )


def _load(body: bytes) -> Any:
    """Parse the JSON of an error; raises ``ValueError`` also where it is none that a server would mean."""
    if body.count(b"[") + body.count(b"{") > _MAX_ERROR_CONTAINERS:
        raise ValueError
    # Python reads no whole number of more than 4,300 digits, but a float of any number.
    return json.loads(body, parse_int=_parse_int)


def _parse_int(digits: str) -> float:
    return int(digits) if len(digits) < _MAX_INT_DIGITS else float(digits)


def _message(value: object, depth: int = 0) -> str:
    if depth > _MAX_ERROR_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        if isinstance(value.get("msg"), str):  # pydantic's, whose "input" and "ctx" repeat what was sent
            place = value.get("loc")
            steps = place[:_MAX_LOCATION_STEPS] if isinstance(place, list) else []
            where = ".".join(str(step) for step in steps if isinstance(step, (str, int)))
            return _one_line(f"{where}: {value['msg']}" if where else value["msg"])
        texts = [value[key] for key in _MESSAGE_KEYS if value.get(key)]
        if texts:  # beside {"error": true} stand the words
            words = (each for each in texts if not isinstance(each, (bool, int, float)))
            return _message(next(words, texts[0]), depth + 1)
        keys = ", ".join(map(str, list(value)[:_MAX_LISTED_KEYS]))
        return _one_line(f"an error without a message, but with {keys}") if keys else ""
    if isinstance(value, list):  # counts twice: lists of lists are wide as well as deep
        return _one_line("; ".join(_message(item, depth + 2) for item in value[:_MAX_LISTED_ERRORS]))
    return _one_line(str(value))


def _code(answer: object) -> str | None:
    """The words that programs are meant to read, where they look like such."""
    if not isinstance(answer, Mapping):
        return None
    inner = answer.get("error")
    found = [each.get(key) for each in (inner, answer) if isinstance(each, Mapping) for key in _CODE_KEYS]
    return " ".join(code for code in found if isinstance(code, str) and _CODE.fullmatch(code)) or None


def _status(answer: object) -> int | None:
    """The status that an error would have had, by its number or by its word for programs."""
    if not isinstance(answer, Mapping):
        return None
    objects = [each for each in (answer.get("error"), answer.get("detail"), answer) if isinstance(each, Mapping)]
    for place in objects:
        for key in _STATUS_KEYS:
            code = place.get(key)
            if isinstance(code, str) and code.isdecimal() and len(code) < _MAX_INT_DIGITS:
                code = int(code)
            if type(code) is int and _FIRST_ERROR_STATUS <= code <= _LAST_ERROR_STATUS:
                return code
    words = (place.get(key) for place in objects for key in _CODE_KEYS)
    statuses = (_STATUSES_OF_CODES.get(word.lower()) for word in words if isinstance(word, str))
    return next((status for status in statuses if status is not None), None)


def _estimated_wait_s(answer: object) -> float | None:
    estimate = answer.get("estimated_time") if isinstance(answer, Mapping) else None
    if estimate is None:
        return None
    try:
        return float(estimate) if isinstance(estimate, (int, float)) and not isinstance(estimate, bool) else 0.0
    except OverflowError:
        return 0.0


def _one_line(text: str) -> str:
    # Before the cut: half a key would not be recognised. A longer text is cut twice.
    text = " ".join(redact(printable(text[:_MAX_BODY_TEXT_CHARS])).split())
    return shorten(text, _MAX_SERVER_WORDS_CHARS)
