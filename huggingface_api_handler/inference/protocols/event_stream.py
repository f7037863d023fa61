"""Chat completions that come as a stream of events, joined into the completion that was asked for.

Events: https://html.spec.whatwg.org/multipage/server-sent-events.html. Requests say ``"stream": false``; some servers
stream all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import UnreadableAnswer
from ..transport.client import Response
from .base import AnswerCutOffError

END_OF_STREAM = b"[DONE]"
"""The data of the event that ends a stream."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIRST_BYTES = (b"data:", b":", b"event:", b"id:", b"retry:")
_MAX_LEADING_BYTES = 64
_CUT_OFF = "the answer came as a stream, which was cut off before its end"

Parse = Callable[[bytes], Any]
"""Parses the JSON of one event; raises ValueError where it is none."""


def is_event_stream(response: Response) -> bool:
    """Whether a response is a stream of events, whatever its content type says.

    Args:
        response: The response.

    Returns:
        True where the body begins as one.

    >>> is_event_stream(Response(200, {}, b'data: {"choices": []}'))
    True
    """
    if response.body[:1] == b"{":  # nearly every one
        return False
    return response.body[:_MAX_LEADING_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(_FIRST_BYTES)


def without_end_mark(body: bytes) -> bytes | None:
    """Take ``data: [DONE]`` from the end of a body that is no stream.

    Args:
        body: The body of a response.

    Returns:
        What stands before it, None where it does not end so.

    >>> without_end_mark(b'{"choices": []} data: [DONE]')
    b'{"choices": []} '
    """
    end = body[-_MAX_LEADING_BYTES:].rstrip()
    if not end.endswith(END_OF_STREAM):
        return None
    head, mark, _ = body.rpartition(b"data:")
    return head if mark else None


def events_of(body: bytes) -> Iterator[bytes]:
    """The data of each event, up to the mark of the end.

    Args:
        body: The body of a response that is a stream of events.

    Yields:
        The data of an event. The last one is ``[DONE]`` where the server says so.
    """
    data: list[bytes] = []
    for line in body.removeprefix(_BYTE_ORDER_MARK).splitlines():
        name, _, value = line.partition(b":")
        if name.strip() == b"data":
            data.append(value.removeprefix(b" "))
        elif not line.strip() and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def join_events(body: bytes, parse: Parse) -> dict[str, Any]:
    """Join a stream into one chat completion.

    Args:
        body: The body of a response that is a stream of events.
        parse: Parses one event.

    Returns:
        ``{"choices": [{"message", "finish_reason", ...}], "usage", ...}``, as the server would have sent it at once.

    Raises:
        AnswerCutOffError: The stream has no end: what came of it is no answer.
        ValueError: An event is no JSON.
    """
    joined: dict[str, Any] = {}
    parts: list[tuple[int, dict[str, Any]]] = []
    has_end = False
    for data in events_of(body):
        if data.strip() == END_OF_STREAM:
            has_end = True
            break
        try:
            event = parse(data)
        except UnreadableAnswer:
            raise
        except ValueError:
            if body.rstrip().endswith(data):
                raise AnswerCutOffError(_CUT_OFF) from None
            raise
        if not isinstance(event, dict):
            raise ValueError("an event is no object")
        parts += [(_index_of(part, number), part) for number, part in enumerate(_objects(event.pop("choices", None)))]
        joined.update({name: value for name, value in event.items() if value is not None})
    is_of_one = _counts_tokens(parts)
    choices: dict[int, _Choice] = {}
    for index, part in parts:
        choices.setdefault(0 if is_of_one else index, _Choice()).add(part)
    if not choices or not (has_end or all("finish_reason" in choice.fields for choice in choices.values())):
        raise AnswerCutOffError(_CUT_OFF)
    if "object" in joined:
        joined["object"] = "chat.completion"
    return {**joined, "choices": [choices[index].joined(index) for index in sorted(choices)]}


def _counts_tokens(parts: Sequence[tuple[int, Mapping[str, Any]]]) -> bool:
    """Whether the index is the number of the token from 1 on, as in Text Generation Inference 1.4: choices have a 0."""
    return bool(parts) and all(index == number for number, (index, _) in enumerate(parts, start=1))


@dataclass
class _Choice:
    """The pieces of one choice. They are joined once, since joining each to those before takes the square of it."""

    fields: dict[str, Any] = field(default_factory=dict)
    message: dict[str, list[Any]] = field(default_factory=dict)
    tool_calls: dict[int, dict[str, list[Any]]] = field(default_factory=dict)
    logprobs: list[Any] = field(default_factory=list)

    def add(self, part: Mapping[str, Any]) -> None:
        """Take one event's part: a ``delta``, or a whole ``message`` where that is the only event."""
        for name, value in part.items():
            if name in ("delta", "message"):
                self._add_to_message(value)
            elif name == "logprobs":
                tokens = value.get("content") if isinstance(value, dict) else None
                self.logprobs += tokens if isinstance(tokens, list) else ()
            elif value is not None:
                self.fields[name] = value

    def _add_to_message(self, delta: object) -> None:
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "tool_calls":
                for number, call in enumerate(_objects(value)):
                    pieces = self.tool_calls.setdefault(_index_of(call, number), {})
                    _collect(pieces, call.get("function"))
            else:
                _collect(self.message, {name: value})

    def joined(self, index: int) -> dict[str, Any]:
        """The choice as it would have come at once."""
        message = {name: pieces[0] if name == "role" else _joined(pieces) for name, pieces in self.message.items()}
        if self.tool_calls:
            functions = [{name: _joined(pieces) for name, pieces in call.items()} for call in self.tool_calls.values()]
            message["tool_calls"] = [{"type": "function", "function": function} for function in functions]
        choice = {**self.fields, "index": index, "message": message}
        return {**choice, "logprobs": {"content": self.logprobs}} if self.logprobs else choice


def _collect(pieces: dict[str, list[Any]], delta: object) -> None:
    for name, value in delta.items() if isinstance(delta, dict) else ():
        pieces.setdefault(name, []).append(value)


def _joined(pieces: list[Any]) -> Any:
    """The pieces of a text, or of a list of parts, as one. Of anything else the last one counts."""
    present = [piece for piece in pieces if piece is not None]
    if all(isinstance(piece, str) for piece in present):
        return "".join(present) if present else None
    if all(isinstance(piece, (str, list)) for piece in present):
        return [part for piece in present for part in ([piece] if isinstance(piece, str) else piece)]
    return present[-1]


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _index_of(part: Mapping[str, Any], number: int) -> int:
    index = part.get("index", number)
    return index if type(index) is int else number
