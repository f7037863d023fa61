"""A text's answer does not depend on the texts it is sent with, and stays at its place."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from huggingface_api_handler.server.models import minilm, ner, sentiment, zero_shot

pytestmark = pytest.mark.same_on_every_python

HELD_OUT = Path(__file__).parents[4] / "training" / "held_out.tsv"
TEXTS = [
    "",
    "ok",
    "I love it!",
    "The soup was cold and the waiter rude.",
    "word " * 400,
    "Ünïcode 日本語 text 🙂",
    *(line.split("\t", 1)[1] for line in HELD_OUT.read_text(encoding="utf-8").splitlines()[:120]),
]


def test_vectors_are_the_same_alone_and_in_a_batch() -> None:
    encoder = minilm.shared_encoder()
    together = encoder.encode(TEXTS)
    alone = np.vstack([encoder.encode([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-6


def test_order_is_kept_whatever_the_lengths() -> None:
    shuffled = random.Random(3).sample(range(len(TEXTS)), len(TEXTS))
    encoder = minilm.shared_encoder()
    expected = encoder.encode(TEXTS)[shuffled]
    assert np.abs(encoder.encode([TEXTS[position] for position in shuffled]) - expected).max() < 1e-6


def test_sentiment_scores_are_the_same_alone_and_in_a_batch() -> None:
    model = sentiment.CARD.load()
    together = model.predict(TEXTS, {})
    for text, labels in zip(TEXTS, together, strict=True):
        [[first, second]] = model.predict([text], {})
        assert [first["label"], second["label"]] == [label["label"] for label in labels]
        assert first["score"] == pytest.approx(labels[0]["score"], abs=1e-6)


def test_zero_shot_scores_are_the_same_alone_and_in_a_batch() -> None:
    model = zero_shot.CARD.load()
    parameters = {"candidate_labels": ["film", "food", "a phone"]}
    for text, answer in zip(TEXTS, model.predict(TEXTS, parameters), strict=True):
        [alone] = model.predict([text], parameters)
        assert [pair["label"] for pair in alone] == [pair["label"] for pair in answer]
        assert [pair["score"] for pair in alone] == pytest.approx([pair["score"] for pair in answer], abs=1e-6)


def test_entities_are_the_same_alone_and_in_a_batch() -> None:
    model = ner.CARD.load()
    assert model.predict(TEXTS, {}) == [model.predict([text], {})[0] for text in TEXTS]


def test_a_long_text_is_cut_at_256_word_pieces() -> None:
    encoder = minilm.shared_encoder()
    assert len(minilm.truncate(encoder.tokenize(["word " * 400])[0], False)) == minilm.MAX_TOKENS
    ids = list(range(400))
    assert minilm.truncate(ids, truncate_left=False)[-2:] == [254, 399]
    assert minilm.truncate(ids, truncate_left=True)[:2] == [0, 145]
    same_start = encoder.encode(["word " * 254 + "cat", "word " * 254 + "dog"])
    assert np.array_equal(same_start[0], same_start[1])
