"""Words of others stand in messages as one line of printable characters."""

from __future__ import annotations

import pytest

from huggingface_api_handler.errors import InferenceError, MediaError, UnreadableAnswer
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.printable import printable

STEERING = "a\x1b[2Jb\x07\x08\u202ec\u2066d\ue000e\ud800f\u200bg\x7f\x9bh\ufeffi\U000e0041j"


@pytest.mark.parametrize("text", ["plain", "Grüße, 你好", "a  b", ""])
def test_what_is_printable_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (STEERING, "a[2Jbcdefghij"),
        ("one\r\ntwo\u2028three\x85four\tfive", "one two three four five"),
        ("می\u200cخواهم \U0001f469\u200d\U0001f52c", "می\u200cخواهم \U0001f469\u200d\U0001f52c"),
    ],
)
def test_what_steers_a_terminal_or_forges_a_line_is_taken_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("kind", [InferenceError, MediaError, UnreadableAnswer])
def test_every_error_of_the_package_is_printable(kind: type[Exception]) -> None:
    assert str(kind(STEERING)) == printable(STEERING)


def test_the_reason_of_a_row_is_printable_and_bounded() -> None:
    reason = Failure(FailureKind.INPUT_REJECTED, STEERING * 400_000, 400, attempts=5).reason
    assert len(reason) <= 1000
    assert reason.isprintable()


def test_invisible_characters_hide_no_key() -> None:
    assert "hf_" not in Failure(FailureKind.FATAL, "your key hf_Abc\u200bDefGhi\u202e123456").message
