"""Tokens are estimated alike whatever the text is about, so that one ratio makes them a tokenizer's."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.server.models.minilm import VOCABULARY_PATH
from huggingface_api_handler.tasks.token_estimate import estimate_tokens

ROOT = Path(__file__).parents[3]


@given(st.text(max_size=60) | st.text("aA. 1\nßяあ漢한🙂\ud83d", max_size=60), st.integers(0, 60))
def test_a_text_counts_no_less_than_what_it_begins_with(text: str, place: int) -> None:
    assert 0 <= estimate_tokens(text[:place]) <= estimate_tokens(text)


@pytest.mark.parametrize("character", "aA.1ßяאคあ漢한🙂\ud83d")
def test_a_long_run_of_any_character_has_tokens(character: str) -> None:
    assert estimate_tokens(character * 1_000) >= 150


def test_blanks_have_fewer_than_words() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("a" + " " * 1_000) < estimate_tokens("a b" * 200)


def test_a_ratio_makes_them_the_tokens_of_a_tokenizer() -> None:
    tokenizers = pytest.importorskip("tokenizers.implementations.bert_wordpiece")
    tokenizer = tokenizers.BertWordPieceTokenizer(str(VOCABULARY_PATH), lowercase=True)
    words = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split()
    parts = [" ".join(words[place : place + 180]) for place in range(0, len(words) - 180, 180)]

    ratios = [len(tokenizer.encode(part, add_special_tokens=False).ids) / estimate_tokens(part) for part in parts]

    assert 0.8 < statistics.mean(ratios) < 1.2
    assert statistics.stdev(ratios) < 0.1 * statistics.mean(ratios)
