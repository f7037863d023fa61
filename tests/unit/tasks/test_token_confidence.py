"""The confidence of a value is the probability of the tokens that wrote it, or nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.tasks.token_confidence import field_confidence, span_confidence


def tokens(*pairs: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"token": token, "logprob": math.log(share)} for token, share in pairs]


FOOD = '{"topic": "food", "n": 1}'


@pytest.mark.parametrize(
    ("written", "share"),
    [
        ([('{"', 0.9), ("topic", 0.9), ('": "', 0.9), ("food", 0.5), ('", "n": 1}', 0.9)], 0.5),
        ([('{"topic": "', 0.9), ("fo", 0.5), ("od", 0.5), ('", "n": 1}', 0.9)], 0.25),
        ([('{"topic":', 0.9), (' "food", "', 0.5), ('n": 1}', 0.9)], 0.5),
        ([("Sure: ", 0.1), ('{"topic": "', 0.9), ("food", 0.5), ('", "n": 1}', 0.9), ("<|end|>", 0.9)], 0.5),
        (
            [
                ("<think>", 0.1),
                (FOOD, 0.1),
                ("</think>", 0.1),
                ('{"topic": "', 0.9),
                ("food", 0.5),
                ('", "n": 1}', 0.9),
            ],
            0.5,
        ),
        ([(FOOD, 1.0)], 1.0),
    ],
)
def test_it_is_the_product_of_the_tokens_within_the_value(written: list[tuple[str, float]], share: float) -> None:
    assert field_confidence(tokens(*written), FOOD, "topic") == pytest.approx(share)


def test_booleans_and_characters_of_several_tokens() -> None:
    parts = tokens(('{"spam": ', 0.9), ("tr", 0.5), ("ue", 0.5), ("}", 0.9))
    assert field_confidence(parts, '{"spam": true}', "spam") == pytest.approx(0.25)
    umlaut = "ü".encode()
    split: list[dict[str, Any]] = [
        {"token": '{"a": "', "logprob": -1, "bytes": list(b'{"a": "')},
        {"token": "\ufffd", "logprob": math.log(0.5), "bytes": [umlaut[0]]},
        {"token": "\ufffd", "logprob": math.log(0.5), "bytes": [umlaut[1]]},
        {"token": '"}', "logprob": -1, "bytes": list(b'"}')},
    ]
    assert field_confidence(split, '{"a": "ü"}', "a") == pytest.approx(0.25)
    assert field_confidence(tokens(('{"ü": "', 0.9), ("é", 0.5), ('"}', 0.9)), '{"ü": "é"}', "ü") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("written", "source"),
    [
        (None, FOOD),
        ([], FOOD),
        ([None], FOOD),
        (tokens(("Ġ{topic}", 0.5)), FOOD),
        (tokens((FOOD, 0.5)), '{"n": 1}'),
        (tokens(('{"a": {"topic": "x"}, "topic": "food"}', 0.5)), '{"a": {"topic": "x"}, "topic": "food"}'),
        ([{"token": FOOD}], FOOD),
        ([{"token": FOOD, "logprob": None}], FOOD),
        ([{"token": FOOD, "logprob": True}], FOOD),
        ([{"token": FOOD, "logprob": 2.0}], FOOD),
        ([{"token": FOOD, "logprob": float("nan")}], FOOD),
        ([{"token": FOOD, "logprob": "-1"}], FOOD),
        ([{"token": FOOD, "logprob": -1, "bytes": [300]}], FOOD),
        (tokens(('{"topic": ""}', 0.5)), '{"topic": ""}'),
    ],
)
def test_where_it_is_not_clear_which_tokens_wrote_the_value_there_is_none(written: Any, source: str) -> None:
    assert field_confidence(written, source, "topic") is None


@given(
    st.data(),
    st.sampled_from(["good", "bad", "größer", 'say "x"', "\\"]),
    st.sampled_from(["mood", "ü"]),
    st.booleans(),
)
def test_however_the_text_is_cut_into_tokens(data: st.DataObject, value: str, field: str, is_ascii: bool) -> None:
    source = json.dumps({"more": "mood: x", field: value, "n": 1}, ensure_ascii=is_ascii)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(source) - 1), max_size=12)))
    pieces = [source[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(source)], strict=True)]
    inner = source.index(": ", source.index(json.dumps(field, ensure_ascii=is_ascii) + ":")) + 3
    end = inner + len(json.dumps(value, ensure_ascii=is_ascii)) - 2
    begins = [0, *cuts]
    within = [begin < end and begin + len(piece) > inner for begin, piece in zip(begins, pieces, strict=True)]
    written = tokens(*[(piece, 0.5 if inside else 0.3) for piece, inside in zip(pieces, within, strict=True)])
    assert field_confidence(written, source, field) == pytest.approx(0.5 ** sum(within))


@pytest.mark.parametrize("end", ["</s>", "<|eot_id|>", "<end_of_turn>"])
def test_no_letter_of_a_token_that_ends_the_answer_is_taken_for_the_value(end: str) -> None:
    for letter in "esotd":
        parts = tokens((letter, 0.5), (end, 0.9))
        assert span_confidence(parts, letter, 0, 1) == pytest.approx(0.5)
