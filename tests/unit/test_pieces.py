"""What is done in pieces gives what the whole would, and lets other threads run between them."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler import pieces, redaction
from huggingface_api_handler.pieces import LARGE_BYTES, PIECE_BYTES
from huggingface_api_handler.redaction import Secret

KEY = "hf_Example+Key/0123456789"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    taken: list[None] = []
    monkeypatch.setattr(pieces, "pause", lambda: taken.append(None))
    monkeypatch.setattr(redaction, "pause", lambda: taken.append(None))
    return taken


@pytest.fixture(scope="class")
def tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LARGE_BYTES", 8)
        patch.setattr(pieces, "PIECE_BYTES", 6)
        patch.setattr(pieces, "pause", lambda: None)
        yield


@pytest.mark.usefixtures("tiny")
class TestTinyPieces:
    @given(data=st.binary(max_size=80))
    def test_base64_in_pieces_is_base64(self, data: bytes) -> None:
        text = base64.b64encode(data).decode()
        assert pieces.encode_base64(data, "head,") == f"head,{text}"
        assert pieces.decode_base64(text) == data
        assert pieces.decode_base64(" ".join(text), ignored=b" ") == data

    @given(text=st.text("Aa=+\u00e9 ", max_size=24))
    def test_what_is_no_base64_is_refused_in_pieces_too(self, text: str) -> None:
        try:
            expected = base64.b64decode(text, validate=True)
        except ValueError:
            with pytest.raises(ValueError):
                pieces.decode_base64(text)
        else:
            is_odd = text.endswith("=") and len(text.rstrip("=")) % 4 == 0  # which only some versions of Python take
            assert is_odd or pieces.decode_base64(text) == expected

    @given(body=st.text("ab", max_size=40).map(str.encode), part=st.text("ab", min_size=1, max_size=5).map(str.encode))
    def test_a_search_in_pieces_finds_what_is_there(self, body: bytes, part: bytes) -> None:
        assert pieces.contains(body, part) is (part in body)
        assert pieces.count(body, b"a") == body.count(b"a")


@pytest.mark.parametrize("form", [KEY, KEY.replace("/", "\\/"), "".join(f"\\u{ord(sign):04x}" for sign in KEY)])
def test_a_key_is_found_across_the_end_of_a_piece(form: str, pauses: list[None]) -> None:
    for end in (PIECE_BYTES, 5 * PIECE_BYTES):
        for before in (0, 1, len(form) // 2, len(form)):
            body = b"x" * (end - before) + form.encode() + b"x" * (LARGE_BYTES + 1)
            assert Secret(KEY).is_in(body)
    assert not Secret(KEY).is_in(b"\\u0041" * LARGE_BYTES)
    assert pauses


def test_what_is_small_is_done_at_once(pauses: list[None]) -> None:
    assert pieces.decode_base64(pieces.encode_base64(b"x" * 700_000))
    assert not Secret(KEY).is_in(b"\\u0041" * 100_000)
    assert not pieces.contains(b"x" * LARGE_BYTES, b"y")
    assert not pauses


def test_others_run_between_pieces_of_what_is_large(pauses: list[None]) -> None:
    text = pieces.encode_base64(b"x" * (3 * LARGE_BYTES))
    assert len(pauses) >= 12
    assert pieces.decode_base64(text) == b"x" * (3 * LARGE_BYTES)
    assert len(pauses) >= 28
