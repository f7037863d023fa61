"""Which models are served. A new model is a module with a CARD, and one line here."""

from __future__ import annotations

from typing import Any

from .model_card import ModelCard
from .models import (
    chat,
    embedding,
    image_classification,
    ner,
    ocr,
    sentiment,
    similarity,
    speech_recognition,
    text_generation,
    text_to_speech,
    translation,
    zero_shot,
)
from .protocol.errors import HTTPError

CARDS: tuple[ModelCard, ...] = (
    embedding.CARD,
    similarity.CARD,
    sentiment.CARD,
    zero_shot.CARD,
    ner.CARD,
    speech_recognition.CARD,
    text_to_speech.CARD,
    text_generation.CARD,
    chat.CARD,
    *translation.CARDS,
    ocr.CARD,
    image_classification.CARD,
)

_pipeline_cards: tuple[ModelCard, ...] = ()


def register_pipelines(named: tuple[ModelCard, ...]) -> None:
    """Serve `named` beside CARDS in this process, instead of those named before.

    Under an id that both have, the named model answers: who gives a model the id of the Hub wants that model, not
    its stand-in.
    """
    global _pipeline_cards  # noqa: PLW0603 - one process serves one catalogue
    _pipeline_cards = named


def find_cards(model_id: str) -> list[ModelCard]:
    """All tasks of a model. Raises HTTPError 404 when there is no model of that id."""
    found = [card for card in _pipeline_cards if model_id in card.ids] or [
        card for card in CARDS if model_id in card.ids
    ]
    if not found:
        raise HTTPError(404, f"Model {model_id} does not exist", models=model_ids())
    return found


def select_card(model_id: str, task: str | None, inputs: Any) -> ModelCard:
    """The card that answers a request.

    Without a task in the URL, an object as `inputs` asks for sentence-similarity where the model has it, and
    anything else for the model's first task. Raises HTTPError 404 (no such model, or its packages are not
    installed) and 400 (the model does not do that task).
    """
    found = find_cards(model_id)
    if task is not None:
        matching = [card for card in found if card.task == task]
        if not matching:
            does = " and ".join(card.task for card in found)
            raise HTTPError(400, f"Model {model_id} does not do {task}; it does {does}")
    elif isinstance(inputs, dict):
        matching = [card for card in found if card.task == "sentence-similarity"] or found
    else:
        matching = found
    if missing := matching[0].missing_requirements():
        raise HTTPError(404, f"Model {model_id} cannot be served: {missing}, then start the server again")
    return matching[0]


def model_ids() -> list[str]:
    """Every id that is answered, local names and stand-ins."""
    return list(dict.fromkeys(model_id for card in (*_pipeline_cards, *CARDS) for model_id in card.ids))


def model_metadata(model_id: str) -> dict[str, Any]:
    """What GET /models/{id} answers: the first task's facts, with all tasks in `tasks`."""
    found = find_cards(model_id)
    return {**found[0].metadata(model_id), "tasks": [card.task for card in found]}
