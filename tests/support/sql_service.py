"""The inference server of the statements that run in both homes: small answers that anybody can foresee."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.conftest import Reply, Service

_GOOD = ("love", "great", "best", "perfect", "wonderful", "good", "like")
_BAD = ("terrible", "broke", "bad", "awful", "worst", "hate", "cold")
_TOPICS = {"food": ("soup", "pizza", "dough"), "delivery": ("parcel", "courier"), "travel": ("hotel", "train")}
_NAMES = {"Giuseppe": "PER", "Lisbon": "LOC", "Denver": "LOC", "Dolomites": "LOC", "Bavaria": "LOC"}
FAILS = "unreadable"
"""A text with this word in it is refused."""


def running_service() -> Service:
    """A service that answers text classification, zero-shot, entities, vectors, similarity and chat."""
    service = Service()
    service.answer = _answer
    return service


def _answer(body: Any, headers: dict[str, str], path: str) -> Any:
    if not isinstance(body, dict):
        return Reply({"error": "not found"}, 404)
    if path.endswith("/chat/completions"):
        return _chat(body)
    inputs = body["inputs"]
    if isinstance(inputs, dict):
        sentences = inputs["sentences"]
        return _each(sentences, lambda text: _similarity(inputs["source_sentence"], text))
    texts = inputs if isinstance(inputs, list) else [inputs]
    labels = (body.get("parameters") or {}).get("candidate_labels")
    if labels:
        return _many(inputs, texts, lambda text: _zero_shot(text, labels))
    if "feature-extraction" in path or "MiniLM" in path:
        return _many(inputs, texts, _vector)
    if "NER" in path:
        return _many(inputs, texts, _entities)
    return _each(texts, _sentiment)


def _each(texts: Sequence[str], predict: Callable[[str], Any]) -> Any:
    if any(FAILS in text for text in texts):
        return Reply({"error": "this text cannot be read"}, 422)
    return [predict(text) for text in texts]


def _many(inputs: Any, texts: Sequence[str], predict: Callable[[str], Any]) -> Any:
    answers = _each(texts, predict)
    return answers if isinstance(inputs, list) or isinstance(answers, Reply) else answers[0]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _sentiment(text: str) -> list[dict[str, Any]]:
    words = _words(text)
    positive, negative = len(words.intersection(_GOOD)), len(words.intersection(_BAD))
    hundredths = 50 + min(len(text) % 40 + 5, 49)
    best, other = ("NEGATIVE", "POSITIVE") if negative > positive else ("POSITIVE", "NEGATIVE")
    return [{"label": best, "score": hundredths / 100}, {"label": other, "score": (100 - hundredths) / 100}]


def _zero_shot(text: str, labels: Sequence[str]) -> dict[str, Any]:
    words = _words(text)
    first = next(
        (label for label in labels if words.intersection(_TOPICS.get(label, ()))), labels[len(text) % len(labels)]
    )
    ordered = [first, *(label for label in labels if label != first)]
    return {"sequence": text, "labels": ordered, "scores": [0.5, *([0.5 / (len(labels) - 1)] * (len(labels) - 1))]}


def _entities(text: str) -> list[dict[str, Any]]:
    found = ((match, _NAMES[match[0]]) for match in re.finditer(r"\w+", text) if match[0] in _NAMES)
    return [
        {"entity_group": group, "score": 0.99, "word": match[0], "start": match.start(), "end": match.end()}
        for match, group in found
    ]


def _vector(text: str) -> list[float]:
    return [len(text) / 8, len(_words(text)) / 4, text.count("e") / 2]


def _similarity(first: str, second: str) -> float:
    ours, theirs = _words(first), _words(second)
    return round(len(ours & theirs) / max(1, len(ours | theirs)), 4)


def _chat(body: Any) -> Any:
    prompt = str(body["messages"][-1]["content"])
    topic = next((topic for topic, words in _TOPICS.items() if _words(prompt).intersection(words)), "other")
    order = {"number": str(len(prompt) % 7), "items": [{"name": topic, "price": 1.5}]}
    content = json.dumps({"topic": topic, "urgency": len(prompt) % 3, "tags": [topic, "mail"], "order": order})
    return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}
