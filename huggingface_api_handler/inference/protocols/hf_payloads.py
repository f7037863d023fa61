"""What hf-inference is sent for each kind of task: inputs and parameters as a JSON object, or media alone.

Shapes are those of Hugging Face's task specifications, https://huggingface.co/docs/inference-providers/tasks, and of
recorded requests where these differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from ...tasks import JSONObject, Media, Settings
from ...tasks.classification import candidate_labels
from ...tasks.input_types import (
    ContextQuestion,
    LabelledMedia,
    LabelledText,
    MediaQuestion,
    PromptedMedia,
    TableQuestion,
    TableRow,
    TextPair,
    loaded_media,
    to_base64,
)
from ...tasks.text import with_mask_of
from .parameters import SilentCut

# These functions take the named type of their own task's inputs, which one table of all tasks cannot say.
Encode: TypeAlias = Callable[[Sequence[Any], Settings], "JSONObject | Media"]
"""``encode(inputs, settings)`` makes the payload of one request for the inputs of one ``Task.group``."""


not_to_cut = SilentCut("Text Embeddings Inference", "truncate").not_to_cut
"""What such a server is told, and the local server, so that it refuses a text that is too long. Others ignore it."""


def text_payload(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """The payload of most tasks that read text.

    Args:
        inputs: The texts of one request, at least one.
        settings: The settings of the model.

    Returns:
        ``{"inputs": text or [text, ...]}``, with ``"parameters": {...}`` where there are parameters.
    """
    return _with_parameters({"inputs": _unwrap_single(inputs)}, settings)


def uncut_text_payload(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """As ``text_payload``, of tasks whose servers may cut a text.

    Args:
        inputs: The texts of one request, at least one.
        settings: The settings of the model.

    Returns:
        As ``text_payload``, with ``not_to_cut`` beside the inputs: pipelines take no such parameter.
    """
    payload = text_payload(inputs, settings)
    payload.update(not_to_cut(settings))
    return payload


def flat_text_payload(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """The payload of embeddings, whose parameters stand beside the inputs.

    Args:
        inputs: The texts of one request, at least one.
        settings: The settings of the model.

    Returns:
        ``{"inputs": text or [text, ...], "normalize": ..., ...}``, with ``not_to_cut``.
    """
    return {"inputs": _unwrap_single(inputs), **settings.parameters, **not_to_cut(settings)}


def masked_text_payload(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """As ``text_payload``, with the mask that the model was trained with.

    Args:
        inputs: The texts of one request, at least one.
        settings: The settings of the model.

    Returns:
        As ``text_payload``.
    """
    return text_payload([with_mask_of(settings, text) for text in inputs], settings)


def labelled_text_payload(inputs: Sequence[str | LabelledText], settings: Settings) -> JSONObject:
    """Texts with the labels to choose from. Inputs of one request share their labels.

    Args:
        inputs: The texts of one request, at least one.
        settings: The settings of the model.

    Returns:
        ``{"inputs": text or [text, ...], "parameters": {"candidate_labels": [...], ...}}``, with ``not_to_cut`` beside.
    """
    texts = [item.text if isinstance(item, LabelledText) else item for item in inputs]
    labels = list(candidate_labels(inputs[0], settings))
    parameters: JSONObject = {**settings.parameters, "candidate_labels": labels}
    return {"inputs": _unwrap_single(texts), "parameters": parameters, **not_to_cut(settings)}


def question_payload(inputs: Sequence[ContextQuestion], settings: Settings) -> JSONObject:
    """A question with the text that holds its answer.

    Args:
        inputs: Exactly one question.
        settings: The settings of the model.

    Returns:
        ``{"inputs": {"question", "context"}}``, with ``"parameters": {...}`` where there are parameters.
    """
    question, context = inputs[0]
    return _with_parameters({"inputs": {"question": question, "context": context}}, settings)


def similarity_payload(inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
    """One source with all the sentences that are compared with it, as Text Embeddings Inference takes them.

    Args:
        inputs: Pairs of one source, at least one.
        settings: The settings of the model.

    Returns:
        ``{"inputs": {"source_sentence", "sentences"}}``, with ``"parameters": {...}`` where there are parameters or
        ``not_to_cut``.
    """
    parameters = {**settings.parameters, **not_to_cut(settings)}
    payload: JSONObject = {"inputs": {"source_sentence": inputs[0].source, "sentences": [pair.text for pair in inputs]}}
    return {**payload, "parameters": parameters} if parameters else payload


def strict_similarity_payload(inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
    """As ``similarity_payload``, so that no server cuts a text where it must not.

    Hugging Face's inference toolkit ignores parameters, and cuts. Among ``inputs``, which are the arguments of its
    function, it refuses what it does not know.

    Args:
        inputs: Pairs of one source, at least one.
        settings: The settings of the model.

    Returns:
        As ``similarity_payload``, with ``not_to_cut`` among the inputs too.
    """
    payload = similarity_payload(inputs, settings)
    return {**payload, "inputs": {**cast(JSONObject, payload["inputs"]), **not_to_cut(settings)}}


def ranking_payload(inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
    """One query with all its texts, as Text Embeddings Inference's ``/rerank`` takes them.

    Args:
        inputs: Pairs of one query, at least one.
        settings: The settings of the model.

    Returns:
        ``{"query", "texts"}`` with the parameters and ``not_to_cut`` beside them.
    """
    pair: JSONObject = {"query": inputs[0].source, "texts": [pair.text for pair in inputs]}
    return {**pair, **settings.parameters, **not_to_cut(settings)}


def nested_ranking_payload(inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
    """As ``ranking_payload``, and as Hugging Face's inference toolkit takes it, which reads ``inputs`` alone.

    Text Embeddings Inference and llama.cpp's server read ``query`` and ``texts`` alone. So no server has to be asked
    twice to find out which it is. The toolkit cuts in any case, and refuses ``not_to_cut``, which it does not know.

    Args:
        inputs: Pairs of one query, at least one.
        settings: The settings of the model.

    Returns:
        ``{"query", "texts", "inputs": {"query", "texts"}}``.
    """
    payload = ranking_payload(inputs, settings)
    return {**payload, "inputs": payload}


def table_question_payload(inputs: Sequence[TableQuestion], settings: Settings) -> JSONObject:
    """A question with the table that holds its answer, as recorded (the schema says ``question``).

    Args:
        inputs: Exactly one question.
        settings: The settings of the model.

    Returns:
        ``{"inputs": {"query", "table": {column: [text, ...]}}}``, with ``"parameters": {...}`` where there are some.
    """
    question, table = inputs[0]
    return _with_parameters({"inputs": {"query": question, "table": json.loads(table)}}, settings)


def rows_payload(inputs: Sequence[TableRow], settings: Settings) -> JSONObject:
    """Rows turned into columns: the protocol carries many rows in a request.

    Args:
        inputs: The rows of one request, at least one.
        settings: The settings of the model, of which ``columns`` names the columns.

    Returns:
        ``{"inputs": {"data": {column: [value, ...]}}}``.
    """
    names = settings.columns["columns"]
    columns = zip(*(row.values for row in inputs), strict=True)
    return {"inputs": {"data": {name: list(values) for name, values in zip(names, columns, strict=True)}}}


def media_payload(inputs: Sequence[Media], settings: Settings) -> JSONObject | Media:
    """One image, sound or video.

    Args:
        inputs: Exactly one medium.
        settings: The settings of the model.

    Returns:
        The media itself, or ``{"inputs": base64, "parameters": {...}}`` where there are parameters.
    """
    media = inputs[0]
    if not settings.parameters:
        return media
    return _with_parameters({"inputs": to_base64(media)}, settings)


def labelled_media_payload(inputs: Sequence[Media | LabelledMedia], settings: Settings) -> JSONObject:
    """One medium with the labels to choose from; those of the row, where a column brings them.

    Args:
        inputs: Exactly one medium.
        settings: The settings of the model.

    Returns:
        ``{"inputs": base64, "parameters": {"candidate_labels": [...], ...}}``.
    """
    item = inputs[0]
    parameters = dict(settings.parameters)
    if isinstance(item, LabelledMedia):
        parameters["candidate_labels"] = list(item.labels)
    return {"inputs": to_base64(loaded_media(item)), "parameters": parameters}


def prompted_media_payload(inputs: Sequence[Media | PromptedMedia], settings: Settings) -> JSONObject | Media:
    """As ``media_payload``; the prompt is the row's, where a column brings it.

    Args:
        inputs: Exactly one medium.
        settings: The settings of the model.

    Returns:
        The media itself, or ``{"inputs": base64, "parameters": {...}}`` where there are parameters or a prompt.
    """
    item = inputs[0]
    if isinstance(item, Media):
        return media_payload([item], settings)
    return {"inputs": to_base64(loaded_media(item)), "parameters": {**settings.parameters, "prompt": item.prompt}}


def media_question_payload(inputs: Sequence[MediaQuestion], settings: Settings) -> JSONObject:
    """A question on an image.

    Args:
        inputs: Exactly one question.
        settings: The settings of the model.

    Returns:
        ``{"inputs": {"image": base64, "question"}}``, with ``"parameters": {...}`` where there are parameters.
    """
    item = inputs[0]
    return _with_parameters({"inputs": {"image": to_base64(loaded_media(item)), "question": item.question}}, settings)


def _unwrap_single(inputs: Sequence[str]) -> str | list[str]:
    """One input alone, as most servers want it, or the list of several."""
    return inputs[0] if len(inputs) == 1 else list(inputs)


def _with_parameters(payload: JSONObject, settings: Settings) -> JSONObject:
    if settings.parameters:
        payload["parameters"] = dict(settings.parameters)
    return payload
