"""Weights and vocabularies that are not those that were measured are refused at load, one flipped byte included."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from huggingface_api_handler.server import embedding, sentiment, weights
from huggingface_api_handler.server.card import Card
from huggingface_api_handler.server.weights import WeightsError

SERVER = "huggingface_api_handler.server"


def forget_loaded() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith(SERVER):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def flipped(path: Path, folder: Path) -> Path:
    """A copy of a file with one bit of its middle byte turned."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    copy = folder / path.name
    copy.write_bytes(content)
    return copy


def each_file_is_checked(card: Card, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Load the model with one file after another flipped. Returns the files that were, once it loads with none."""
    digest, names = weights.digest, []
    while True:
        seen: list[Path] = []

        def of_copy(path: Path, seen: list[Path] = seen) -> str:
            seen.append(path)
            return digest(flipped(path, folder) if len(seen) == len(names) + 1 else path)

        monkeypatch.setattr(weights, "digest", of_copy)
        forget_loaded()
        try:
            card.load()
        except WeightsError as error:
            assert seen[-1].name in str(error) and "To repair:" in str(error)
            names.append(seen[-1].name)
            continue
        finally:
            monkeypatch.setattr(weights, "digest", digest)
            forget_loaded()
        assert len(seen) == len(names), "a file was flipped, and the model loaded"
        return names


@pytest.mark.parametrize(
    ("card", "files"),
    [
        (embedding.CARD, ["model.onnx", "bert_base_uncased_vocab.txt"]),
        (sentiment.CARD, ["model.onnx", "bert_base_uncased_vocab.txt", "sentiment_head.npz"]),
    ],
    ids=["embedding", "sentiment"],
)
def test_one_flipped_byte_is_refused(
    card: Card, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(each_file_is_checked(card, tmp_path, monkeypatch)) == sorted(files)
