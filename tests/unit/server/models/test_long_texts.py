"""A text is bounded before it is tokenised, and what is cut is only what would not have counted."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.models import minilm, ner, sentiment
from huggingface_api_handler.server.protocol.errors import HTTPError
from tests.support.memory import run_measured

MINILM = "/models/local/minilm-l6-v2-int8"

FOX = "The quick brown fox jumps over the lazy dog. "
LONG_TEXTS = {
    "words": FOX * 2_000,
    "one word": "a" * 50_000,
    "a word that the cut goes through": "x" * 8_190 + "unbelievable " + FOX * 500,
    "blanks": " " * 9_000 + FOX + "\t" * 100_000 + FOX * 20 + "\n" * 20_000 + "end",
    "marks": "!" * 20_000,
    "accents": "e\u0301tude " * 5_000,
    "Chinese": "\u65e5\u672c\u8a9e" * 5_000,
    "emoji": "\U0001f602" * 20_000,
    "few words": "word" + " " * 400_000,
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
@pytest.mark.parametrize("from_end", [False, True])
def test_a_long_text_has_the_tokens_that_it_has_when_all_of_it_is_tokenised(text: str, from_end: bool) -> None:
    encoder = minilm.shared_encoder()
    whole = encoder._tokenizer.encode(text).ids
    tokens = encoder.tokenize([FOX, text], from_end=from_end)
    assert tokens[0] == encoder._tokenizer.encode(FOX).ids
    assert minilm.truncate(tokens[1], from_end) == minilm.truncate(whole, from_end)
    assert (len(tokens[1]) > minilm.MAX_TOKENS) is (len(whole) > minilm.MAX_TOKENS)


def test_blanks_without_end_are_refused_and_not_tokenised() -> None:
    with pytest.raises(HTTPError) as error:
        minilm.shared_encoder().encode(["word" + " " * 5_000_000])
    assert error.value.status == 413 and "Input validation error" in str(error.value)


def test_a_vector_of_ten_megabytes_of_text_takes_little_memory() -> None:
    code = """
from huggingface_api_handler.server.models import minilm
text = "The quick brown fox. " * 450_000
print(minilm.shared_encoder().encode([text]).shape)
"""
    outcome, peak_mb = run_measured(code)
    assert outcome == "(1, 384)" and peak_mb < 450


def test_a_long_text_that_must_not_be_cut_is_refused_as_too_long(client: TestClient) -> None:
    refused = client.post(MINILM, json={"inputs": FOX * 10_000, "parameters": {"truncate": False}})
    assert refused.status_code == 413 and "Given: at least" in refused.json()["error"]


@pytest.mark.parametrize(
    ("model", "max_chars"),
    [("local/sentiment", sentiment.MAX_SENTIMENT_CHARS), ("local/entities-spacy-sm", ner.MAX_NER_CHARS)],
)
def test_a_text_that_is_read_to_its_end_has_a_greatest_length(client: TestClient, model: str, max_chars: int) -> None:
    refused = client.post(f"/models/{model}", json={"inputs": ["a", "a" * (max_chars + 1)]})
    assert refused.status_code == 413 and f"{max_chars} is the most" in refused.json()["error"]


def test_a_template_that_repeats_its_label_has_a_greatest_length(client: TestClient) -> None:
    parameters = {"candidate_labels": ["x" * 1_000], "hypothesis_template": "{}" * 11}
    refused = client.post("/models/local/zero-shot-minilm", json={"inputs": "a", "parameters": parameters})
    assert refused.status_code == 400 and "10000 is the most" in refused.json()["error"][0]
