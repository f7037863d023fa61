"""Every file of every model that is served is checked when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from huggingface_api_handler.server import registry
from huggingface_api_handler.server.model_card import AnyModelCard
from huggingface_api_handler.server.models import ner, ocr, speech_recognition, text_to_speech, translation
from tests.unit.server.test_weights import refused

MODELS = [card.name for card in registry.CARDS]
FILES = {
    "feature-extraction": 2,
    "sentence-similarity": 2,
    "text-classification": 3,
    "zero-shot-classification": 2,
    "token-classification": len(ner.FILE_SHA256),
    "automatic-speech-recognition": len(speech_recognition.FILE_SHA256),
    "text-to-speech": len(text_to_speech.FILE_SHA256),
    "text-generation": 1,
    "chat-completion": 1,
    "translation": min(map(len, translation.FILE_SHA256.values())),
    "image-to-text": len(ocr.FILE_SHA256),
    "image-classification": 2,
}
"""Files that a model is made of, as each module names them with their digests."""


@pytest.mark.parametrize("card", registry.CARDS, ids=lambda card: f"{card.name} {card.task}")
def test_one_flipped_byte_of_any_file_is_refused(
    card: AnyModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [refused(card, number, tmp_path, monkeypatch) for number in range(1, FILES[card.task] + 1)]
    assert names and all(names)
