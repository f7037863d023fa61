"""Lists of numbers that are parsed in pieces are those that a parser of the whole gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huggingface_api_handler import pieces
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference.protocols import number_lists
from huggingface_api_handler.inference.protocols.number_lists import is_number_lists, parse_number_lists
from huggingface_api_handler.tasks.base import MAX_DEPTH

NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False), st.none())
LISTS = st.recursive(
    st.lists(NUMBERS, max_size=9), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=12
)


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_lists, "_MAX_PARSED_BYTES", 8)
        patch.setattr(number_lists, "pause", lambda: None)
        yield


@given(LISTS, st.sampled_from([None, 1]), st.booleans())
def test_lists_are_read_as_by_a_parser_of_the_whole(value: list[object], indent: int | None, spaced: bool) -> None:
    body = json.dumps(value, indent=indent, separators=None if spaced else (",", ":")).encode()
    assert is_number_lists(body)
    assert parse_number_lists(body) == orjson.loads(body)


@given(st.text("[],1 .-e\n", max_size=14).map(str.encode))
@example(b"[,1]")
@example(b"[1,]")
@example(b"[1,,2]")
@example(b"[[1][2]]")
@example(b"[[1],]")
@example(b"[1][2]")
@example(b",[1]")
@example(b"[1]]")
@example(b"[[1]")
@example(b"[1]2")
@example(b"1]")
@example(b"[]1]")
@example(b"[1111111,,222222]")
@example(b"[1111111,222222,]")
@example(b"[11111111\v,1]")
def test_what_is_no_json_is_refused(text: bytes) -> None:
    try:
        expected = orjson.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse_number_lists(text)
        return
    try:
        assert parse_number_lists(text) == expected
    except ValueError:
        assert text.strip()[:1] != b"[" or b",[" in text.replace(b" ", b"").replace(b"\n", b""), "numbers, then a list"


def test_too_deep_lists_are_refused() -> None:
    assert parse_number_lists(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(UnreadableAnswer, match="levels deep"):
        parse_number_lists(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("body", [b'["a"]', b'[{"a":1}]', b"1", b'{"a":[1]}'])
def test_other_json_is_parsed_otherwise(body: bytes) -> None:
    assert not is_number_lists(body)


def test_other_threads_run_between_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[threading.Thread] = []
    monkeypatch.setattr(number_lists, "pause", lambda: paused.append(threading.current_thread()))
    parse_number_lists(b"[" + b"1," * 1000 + b"1]")
    assert len(paused) > 100
    assert pieces.PIECE_BYTES <= 1024 * 1024
