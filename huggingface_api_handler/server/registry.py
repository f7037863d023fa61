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

# "dummy" is huggingface_hub's word where it was given a URL, "tgi" the one of Text Generation Inference's examples.
_NO_MODEL = ("", "dummy", "tgi")

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


def find_card(task: str, model_id: str | None) -> tuple[AnyModelCard, str]:
    """Find the card that answers a request whose URL names a task and whose body may name a model.

    Without a model, the only one that does the task answers. Models that were registered come before the built-in
    ones, since somebody chose them.

    Args:
        task: The task.
        model_id: What the body names: an id, with or without the router's suffix (`:fastest`, `:groq`), a word by
            which clients say that they name none, or None.

    Returns:
        The card, and the model's id without the suffix.

    Raises:
        HTTPError: 400 when no model is named and several do the task, or the model does not do it; 404 when there is
            no such model or its packages are not installed.
    """
    name = model_id or ""
    if name not in model_ids():
        name = name.partition(":")[0]
    if name in _NO_MODEL and name not in model_ids():
        cards = [card for card in _pipeline_cards if card.task == task] or [card for card in CARDS if card.task == task]
        if len(cards) != 1:
            names = ", ".join(card.name for card in cards)
            raise HTTPError(400, [f"Error in `model`: name one of this server's models for {task}: {names}"])
        name = cards[0].name
    return select_card(name, task, None), name


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
