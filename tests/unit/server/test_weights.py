"""Weights and vocabularies that are not those that were measured are refused at load, one flipped byte included."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from huggingface_api_handler.server import weights
from huggingface_api_handler.server.model_card import AnyModelCard
from huggingface_api_handler.server.models import embedding, sentiment
from huggingface_api_handler.server.weights import WeightsError

SERVER = "huggingface_api_handler.server"


def is_cached(value: object) -> bool:
    return hasattr(value, "cache_clear")


def held_by(function: object) -> list[object]:
    """What a function has from the one that made it, as those of ``load_once`` have their cache."""
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


def load_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions of the server that keep what they loaded load it each time. What others loaded stays theirs."""
    for name, module in list(sys.modules.items()):
        if name.startswith(SERVER):
            for attribute, value in list(vars(module).items()):
                if is_cached(value) or any(is_cached(held) for held in held_by(value)):
                    monkeypatch.setattr(module, attribute, value.__wrapped__)


def flipped(path: Path, folder: Path) -> Path:
    """A copy of a file with one bit of its middle byte turned."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    copy = folder / path.name
    copy.write_bytes(content)
    return copy


def refused(card: AnyModelCard, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Load the model with the file of that number flipped. Returns its name; None where so many are not looked at."""
    digest, seen = weights.file_sha256, list[Path]()

    def of_copy(path: Path) -> str:
        seen.append(path)
        return digest(flipped(path, folder) if len(seen) == number else path)

    with monkeypatch.context() as patch:
        load_anew(patch)
        patch.setattr(weights, "file_sha256", of_copy)
        try:
            card.load()
        except WeightsError as error:
            assert seen[-1].name in str(error) and "To repair:" in str(error)
            return seen[-1].name
    assert len(seen) < number, f"{seen[number - 1].name} was flipped, and the model loaded"
    return None


@pytest.mark.parametrize(
    ("card", "files"),
    [
        (embedding.CARD, ["model.onnx", "bert_base_uncased_vocab.txt"]),
        (sentiment.CARD, ["model.onnx", "bert_base_uncased_vocab.txt", "sentiment_head.npz"]),
    ],
    ids=["embedding", "sentiment"],
)
def test_one_flipped_byte_is_refused(
    card: AnyModelCard, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [refused(card, number, tmp_path, monkeypatch) for number in range(1, len(files) + 1)]
    assert sorted(map(str, found)) == sorted(files)
    assert refused(card, len(files) + 1, tmp_path, monkeypatch) is None


def test_damaged_weights_are_refused_with_the_way_to_repair_them(tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"damaged")
    with pytest.raises(weights.WeightsError, match=r"model\.onnx have SHA-256 .* To repair: pip install it"):
        weights.verify_sha256(damaged, "0" * 64, "pip install it")
    with pytest.raises(weights.WeightsError, match="Cannot read the weights absent"):
        weights.verify_sha256(tmp_path / "absent", "0" * 64, "pip install it")
