"""Tasks that find or rewrite something in a text: entities, answers, masked words, summaries, translations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import (
    TEXT,
    Batching,
    Column,
    Prediction,
    Settings,
    Task,
    number,
    split_typed,
    text_body,
    unreadable,
    unwrap,
    unwrap_single,
)

_MASKS = ("[MASK]", "<mask>")
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


def read_entities(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    """The list of entities as the server sent them, and ``{group: [words]}``."""
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    if not isinstance(answer, list):
        raise unreadable("token-classification", answer)
    groups: dict[str, list[str]] = {}
    for entity in answer:
        group = entity.get("entity_group") or entity.get("entity") if isinstance(entity, dict) else None
        if not isinstance(group, str) or not isinstance(entity.get("word"), str):
            raise unreadable("token-classification", entity)
        groups.setdefault(group, []).append(entity["word"])
    return Prediction(answer, None, groups)


def question_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    question, context = inputs[0]
    body: dict[str, Any] = {"inputs": {"question": question, "context": context}}
    if settings.parameters:
        body["parameters"] = dict(settings.parameters)
    return body


def read_answer(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    """The best answer, its score, and where it stands in the context."""
    candidates = answer if isinstance(answer, list) else [answer]
    if not candidates or not all(isinstance(item, dict) and isinstance(item.get("answer"), str) for item in candidates):
        raise unreadable("question-answering", answer)
    best = max(candidates, key=lambda item: number(item.get("score")) or 0.0)
    explain = {key: best[key] for key in ("score", "start", "end") if key in best}
    return Prediction(best["answer"], number(best.get("score")), explain)


def mask_of(settings: Settings) -> str:
    """The mask the model was trained with: as told, else by the family its name shows."""
    if settings.mask_token:
        return settings.mask_token
    name = settings.model.lower()
    if "modernbert" in name or "mobilebert" in name:
        return _MASKS[0]
    return _MASKS[1] if any(family in name for family in _ANGLE_MASK_FAMILIES) else _MASKS[0]


def masked_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    mask = mask_of(settings)
    texts = [text.replace(_MASKS[0], mask).replace(_MASKS[1], mask) for text in inputs]
    return {**text_body(inputs, settings), "inputs": unwrap_single(texts)}


def read_masked(answer: Any, text: Any, settings: Settings) -> Prediction:
    """The best sequence and ``{sequence: score}``; with several masks, the text with each mask's best word."""
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
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


def _read_several_masks(masks: list[Any], text: str) -> Prediction:
    words, score = [], 1.0
    for candidates in masks:
        if not candidates or not all(
            isinstance(item, dict) and isinstance(item.get("token_str"), str) for item in candidates
        ):
            raise unreadable("fill-mask", candidates)
        best = max(candidates, key=lambda item: number(item.get("score")) or 0.0)
        words.append(best["token_str"].strip())
        score *= number(best.get("score")) or 0.0
    pieces = text.replace(_MASKS[1], _MASKS[0]).split(_MASKS[0])
    if len(pieces) != len(words) + 1:
        raise UnreadableAnswer(f"{len(pieces) - 1} masks were answered with words for {len(words)}")
    sequence = pieces[0] + "".join(word + piece for word, piece in zip(words, pieces[1:], strict=True))
    return Prediction(sequence, score, words)


def read_text(key: str, task: str) -> Any:
    """Reader of ``{key: text}``, alone or in a list."""

    def read(answer: Any, _input: Any, _settings: Settings) -> Prediction:
        answer = unwrap(answer)
        if isinstance(answer, list) and answer:  # several candidates: the server's first is its best
            answer = answer[0]
        if not isinstance(answer, dict) or not isinstance(answer.get(key), str):
            raise unreadable(task, answer)
        return Prediction(answer[key])

    return read


_GENERATION = {
    **dict.fromkeys(("min_length", "max_length", "max_new_tokens", "num_beams", "top_k"), int),
    **dict.fromkeys(("temperature", "top_p", "repetition_penalty", "max_time"), float),
    "do_sample": bool,
}
_LENGTHS = {"min_output_length": "min_length", "max_output_length": "max_length"}

TASKS = (
    Task(
        name="token-classification",
        description="Finds the people, organisations, places, ... that a text names",
        aliases=("ner", "named-entity-recognition"),
        default_model="dslim/bert-base-NER",
        read=read_entities,
        split=split_typed(list),
        batching=Batching.PROBE,
        explained=True,
    ),
    Task(
        name="question-answering",
        description="Answers a question from a text that holds the answer",
        default_model="deepset/roberta-base-squad2",
        columns=(*TEXT, Column("context_column")),
        read=read_answer,
        body=question_body,
        scored=True,
        explained=True,
    ),
    Task(
        name="fill-mask",
        description="Fills the masked word of a text",
        default_model="google-bert/bert-base-uncased",
        read=read_masked,
        body=masked_body,
        split=split_typed(list),
        batching=Batching.PROBE,
        arguments=frozenset({"mask_token"}),
        scored=True,
        explained=True,
    ),
    Task(
        name="summarization",
        description="Shortens a text",
        default_model="facebook/bart-large-cnn",
        read=read_text("summary_text", "summarization"),
        split=split_typed(dict),
        batching=Batching.PROBE,
        more_parameters=_GENERATION,
        rename=_LENGTHS,
    ),
    Task(
        name="translation",
        description="Translates a text",
        default_model="facebook/mbart-large-50-many-to-many-mmt",
        read=read_text("translation_text", "translation"),
        split=split_typed(dict),
        batching=Batching.PROBE,
        more_parameters=_GENERATION,
        rename={**_LENGTHS, "lang_input": "src_lang", "lang_output": "tgt_lang"},
    ),
)
