"""Which models are served. To add one, write a module with a CARD and add a line to CARDS."""

from __future__ import annotations

from .model_card import AnyModelCard
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
from .protocol.json_types import JSON

CARDS: tuple[AnyModelCard, ...] = (
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

_pipeline_cards: tuple[AnyModelCard, ...] = ()


def register_pipelines(cards: tuple[AnyModelCard, ...]) -> None:
    """Serve pipelines beside CARDS in this process, instead of those registered before.

    Under an id that both have, the pipeline answers: if you name a model as the Hub does, you want that model and
    not its stand-in.

    Args:
        cards: The pipelines' cards.
    """
    global _pipeline_cards  # noqa: PLW0603 - one process has one registry
    _pipeline_cards = cards


def find_cards(model_id: str) -> list[AnyModelCard]:
    """Find all tasks of a model.

    Args:
        model_id: Its own id, or the one of the Hub that it answers under too.

    Returns:
        One card for each task, at least one.

    Raises:
        HTTPError: 404 when there is no model of that id.
    """
    found = [card for card in _pipeline_cards if model_id in card.ids]
    found = found or [card for card in CARDS if model_id in card.ids]
    if not found:
        raise HTTPError(404, f"Model {model_id} does not exist", models=model_ids())
    return found


def select_card(model_id: str, task: str | None, inputs: object) -> AnyModelCard:
    """Select the card that answers a request.

    Without a task in the URL, an object as `inputs` asks for sentence-similarity where the model has it, and
    anything else for the model's first task.

    Args:
        model_id: The id that the request names.
        task: The task that the URL names, or None.
        inputs: The request's `inputs`, unchecked.

    Returns:
        The card.

    Raises:
        HTTPError: 404 when there is no such model or its packages are not installed, 400 when the model does not do
            that task.
    """
    cards = find_cards(model_id)
    if task is not None:
        matching = [card for card in cards if card.task == task]
        if not matching:
            tasks = " and ".join(card.task for card in cards)
            raise HTTPError(400, f"Model {model_id} does not do {task}; it does {tasks}")
    elif isinstance(inputs, dict):
        matching = [card for card in cards if card.task == "sentence-similarity"] or cards
    else:
        matching = cards
    if missing := matching[0].missing_requirements():
        raise HTTPError(404, f"Model {model_id} cannot be served: {missing}, then start the server again")
    return matching[0]


def model_ids() -> list[str]:
    """List every id that is answered.

    Returns:
        The models' own ids and those of the Hub that they answer under.
    """
    return list(dict.fromkeys(model_id for card in (*_pipeline_cards, *CARDS) for model_id in card.ids))


def model_metadata(model_id: str) -> dict[str, JSON]:
    """Describe a model, as `GET /models/{id}` does.

    Args:
        model_id: One of `model_ids`.

    Returns:
        The first task's metadata, with all tasks in `tasks`.

    Raises:
        HTTPError: 404 when there is no model of that id.
    """
    cards = find_cards(model_id)
    return {**cards[0].metadata(model_id), "tasks": [card.task for card in cards]}
