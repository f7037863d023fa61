"""Tasks that find or rewrite something in a text: entities, answers, masked words, summaries, translations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any

from ..errors import UnreadableAnswer
from .base import (
    TEXT,
    Column,
    Prediction,
    Read,
    Settings,
    Task,
    best_of,
    json_value,
    number,
    object_with_text,
    objects_of,
    unreadable,
    unwrap_list,
)
from .chunking import Overlap, context_chunking, text_chunking
from .input_types import ContextQuestion, Input
from .merging import merge_summaries, merge_translations, summaries_to_shorten
from .merging_spans import merge_answers, merge_entities

_TEXT_KEYS = ("generated_text", "summary_text", "translation_text")
"""Where servers put a text that they wrote: TGI always under the first."""

_SQUARE_MASK = "[MASK]"
_ANGLE_MASK = "<mask>"
_ANGLE_MASK_FAMILIES = (
    "roberta",
    "bart",
    "bert-generation",
    "camembert",
    "xlm",
    "longformer",
    "bigbird",
    "mpnet",
    "esm",
)
_SQUARE_MASK_FAMILIES = ("modernbert", "mobilebert")


def read_entities(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The entities as the server sent them, and ``{group: [words]}``.

    Args:
        answer: ``[{"entity_group" or "entity", "word", ...}, ...]``, the same in a list of one, or as ``entities`` of
            an object.

    Returns:
        For the target the list of entities, which may be empty. ``explain`` is ``{group: [word, ...]}``.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    if isinstance(answer, dict) and isinstance(answer.get("entities"), list):
        answer = answer["entities"]
    answer = unwrap_list(answer)
    if not isinstance(answer, list):
        raise unreadable("token-classification", answer)
    groups: dict[str, list[str]] = {}
    for entity in answer:
        group = entity.get("entity_group") or entity.get("entity") if isinstance(entity, dict) else None
        if not isinstance(group, str) or not isinstance(entity.get("word"), str):
            raise unreadable("token-classification", entity)
        groups.setdefault(group, []).append(entity["word"])
    return Prediction(answer, None, groups)


def answers_of(answer: object) -> list[dict[str, Any]]:
    """The candidates of an answer to a question.

    Args:
        answer: ``{"answer", "score", "start", "end"}``, or a list of these.

    Returns:
        At least one, each with an ``answer`` that is a text or None.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    candidates = objects_of(answer)
    if not candidates or not all(isinstance(item.get("answer", 0), (str, NoneType)) for item in candidates):
        raise unreadable("question-answering", answer)
    return candidates


def read_answer(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The best answer, its score, and where it stands in the context.

    Args:
        answer: ``{"answer", "score", "start", "end"}``, or a list of these; ``start`` and ``end`` in characters.
            ``answer`` is null where the text has none.

    Returns:
        The answer's text for the target, None where the text has none; its score, None where the server sent none.
        ``explain`` holds ``score``, ``start`` and ``end``, those that the server sent; None where there is no answer.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    best = max(answers_of(answer), key=lambda item: number(item.get("score")) or 0.0)
    if best["answer"] is None:
        return Prediction(None, number(best.get("score")))
    explain = {key: best[key] for key in ("score", "start", "end") if key in best}
    return Prediction(best["answer"], number(best.get("score")), explain)


def mask_of(settings: Settings) -> str:
    """The mask that the model was trained with.

    Args:
        settings: of which ``mask_token`` is taken, else the family that ``model`` names.

    Returns:
        The mask, such as ``[MASK]`` or ``<mask>``.
    """
    if settings.mask_token:
        return settings.mask_token
    name = settings.model.lower()
    if any(family in name for family in _SQUARE_MASK_FAMILIES):
        return _SQUARE_MASK
    return _ANGLE_MASK if any(family in name for family in _ANGLE_MASK_FAMILIES) else _SQUARE_MASK


def with_mask_of(settings: Settings, text: str) -> str:
    """A text with the mask that the model was trained with, whichever common one it was written with.

    Args:
        settings: as for ``mask_of``.
        text: the text, with ``[MASK]`` or ``<mask>`` in it.

    Returns:
        The text with the model's own mask.
    """
    mask = mask_of(settings)
    return text.replace(_SQUARE_MASK, mask).replace(_ANGLE_MASK, mask)


def read_filled_mask(answer: object, text: str, settings: Settings) -> Prediction:
    """The text with the best word in place of its mask.

    Args:
        answer: ``[{"sequence", "score", "token_str"}, ...]``, or a list of these for each mask.
        text: the text that was sent, with its masks.
        settings: the model's settings, which are not read.

    Returns:
        With one mask, the best sequence for the target, its score, and ``{sequence: score}`` for ``explain``. With
        several, the text with the best word of each mask, the product of their scores, and the list of these words.

    Raises:
        UnreadableAnswer: the answer has another shape, or is to another number of masks.
    """
    answer = unwrap_list(answer)
    if not isinstance(answer, list) or not answer:
        raise unreadable("fill-mask", answer)
    if all(isinstance(part, list) for part in answer):
        return _read_several_masks(answer, text)
    pairs = []
    for item in answer:
        if not isinstance(item, dict) or not isinstance(item.get("sequence"), str):
            raise unreadable("fill-mask", item)
        pairs.append((item["sequence"], number(item.get("score"))))
    pairs.sort(key=lambda pair: -(pair[1] or 0.0))
    return Prediction(pairs[0][0], pairs[0][1], dict(pairs))


def _read_several_masks(masks: list[object], text: str) -> Prediction:
    words, score = [], 1.0
    for candidates in masks:
        if (
            not isinstance(candidates, list)
            or not candidates
            or not all(isinstance(item, dict) and isinstance(item.get("token_str"), str) for item in candidates)
        ):
            raise unreadable("fill-mask", candidates)
        best = max(candidates, key=lambda item: number(item.get("score")) or 0.0)
        words.append(best["token_str"].strip())
        score *= number(best.get("score")) or 0.0
    pieces = text.replace(_ANGLE_MASK, _SQUARE_MASK).split(_SQUARE_MASK)
    if len(pieces) != len(words) + 1:
        raise UnreadableAnswer(f"{len(pieces) - 1} masks were answered with words for {len(words)}")
    sequence = pieces[0] + "".join(word + piece for word, piece in zip(words, pieces[1:], strict=True))
    return Prediction(sequence, score, words)


def read_text(key: str, task: str) -> Read:
    """A reader of ``{key: text}``, alone or first in a list.

    Args:
        key: under which the text stands. Where it is not there, the text may stand under the key of another task.
        task: the task's name, for the error.

    Returns:
        A function of answer, input and settings. It makes a prediction with the text for the target, or raises
        UnreadableAnswer where the answer has another shape.
    """

    def read(answer: object, _input: Input, _settings: Settings) -> Prediction:
        best = best_of(answer)
        if isinstance(best, dict) and key not in best:
            keys = [each for each in _TEXT_KEYS if each in best]
            if len(keys) == 1:
                return Prediction(object_with_text(best, keys[0], task)[keys[0]])
        return Prediction(object_with_text(best, key, task)[key])

    return read


def model_of_languages(arguments: Mapping[str, object]) -> str | None:
    """The translation model for two languages.

    Args:
        arguments: of which ``src_lang`` and ``tgt_lang``, or their older names, are read.

    Returns:
        The model's name where both are codes such as 'en', or codes of mBART such as 'en_XX'; else None.
    """
    source = arguments.get("src_lang", arguments.get("lang_input"))
    target = arguments.get("tgt_lang", arguments.get("lang_output"))
    if _is_language_code(source) and _is_language_code(target):
        return f"Helsinki-NLP/opus-mt-{source}-{target}"
    if _is_mbart_code(source) and _is_mbart_code(target):
        return "facebook/mbart-large-50-many-to-many-mmt"
    return None


def _is_language_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z]{2,3}", value) is not None


def _is_mbart_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z]{2}_[A-Z]{2}", value) is not None


_GENERATION_PARAMETERS = {
    **dict.fromkeys(("min_length", "max_length", "max_new_tokens", "num_beams", "top_k"), int),
    **dict.fromkeys(("temperature", "top_p", "repetition_penalty", "max_time"), float),
    "do_sample": bool,
}
_read_summary = read_text("summary_text", "summarization")
_read_translation = read_text("translation_text", "translation")

_RENAMED_LENGTHS = {"min_output_length": "min_length", "max_output_length": "max_length"}

TASKS = (
    Task(
        name="token-classification",
        description="Finds the people, organisations, places, ... that a text names",
        aliases=("ner", "named-entity-recognition"),
        default_model="dslim/bert-base-NER",
        read=read_entities,
        chunking=text_chunking(merge_entities(read_entities), overlap=Overlap(1 / 8, 0.0, "stride")),
        value_type=json_value,
        explained=True,
    ),
    Task(
        name="question-answering",
        description="Answers a question from a text that holds the answer",
        default_model="deepset/roberta-base-squad2",
        columns=(*TEXT, Column("context_column")),
        combine=ContextQuestion,
        read=read_answer,
        chunking=context_chunking(merge_answers(answers_of), Overlap(1 / 4, 1 / 4, "doc_stride")),
        scored=True,
        explained=True,
    ),
    Task(
        name="fill-mask",
        description="Fills the masked word of a text",
        default_model="google-bert/bert-base-uncased",
        read=read_filled_mask,
        long_text_advice="A mask is filled from the whole of its text, so that it is not asked in parts. Shorten the "
        "text around the mask",
        arguments=frozenset({"mask_token"}),
        scored=True,
        explained=True,
    ),
    Task(
        name="summarization",
        description="Shortens a text",
        default_model="facebook/bart-large-cnn",
        read=_read_summary,
        chunking=text_chunking(
            merge_summaries(_read_summary, "summary_text"), ask_again=summaries_to_shorten("summary_text"), writes=True
        ),
        explained=True,
        more_parameters=_GENERATION_PARAMETERS,
        rename=_RENAMED_LENGTHS,
    ),
    Task(
        name="translation",
        description="Translates a text; the default model from English to French, German or Romanian",
        default_model="google-t5/t5-base",  # the one that Hugging Face's page of the task shows
        choose_model=model_of_languages,
        alias_pattern=r"translation-\w+-to-\w+",
        read=_read_translation,
        chunking=text_chunking(merge_translations(_read_translation, "translation_text"), writes=True),
        explained=True,
        more_parameters=_GENERATION_PARAMETERS,
        rename={**_RENAMED_LENGTHS, "lang_input": "src_lang", "lang_output": "tgt_lang"},
    ),
)
