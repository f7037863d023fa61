"""Every file of every model that is served is checked when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from huggingface_api_handler.server import catalog
from huggingface_api_handler.server.card import Card
from tests.unit.test_weights import each_file_is_checked

MODELS = [card.name for card in catalog.CARDS]


@pytest.mark.parametrize("card", catalog.CARDS, ids=lambda card: f"{card.name} {card.task}")
def test_one_flipped_byte_of_any_file_is_refused(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert each_file_is_checked(card, tmp_path, monkeypatch)
