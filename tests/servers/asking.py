"""What a row is when its server is asked for it alone, with plain HTTP and none of the package's code."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import httpx

from .rows import LABELS, Row

ANSWERED_WITHIN_S = 300
"""Long, since the machine may have much else to do."""


class Asked(NamedTuple):
    """A request, below the server's address."""

    path: str
    json: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    files: Mapping[str, Any] | None = None
    data: Mapping[str, str] | None = None
    accept: str | None = None


class Answer(NamedTuple):
    """What a row must say."""

    value: Any
    confidence: float | None = None


Ask: TypeAlias = Callable[[Row], Asked]
Read: TypeAlias = Callable[[Any], Answer]


def send(base: str, asked: Asked, key: str | None) -> httpx.Response:
    """The server's response to one request."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if asked.accept:
        headers["accept"] = asked.accept
    url = base + asked.path
    if asked.files:
        return httpx.post(url, files=dict(asked.files), data=asked.data, headers=headers, timeout=ANSWERED_WITHIN_S)
    if asked.content is not None:
        headers["content-type"] = asked.content_type
        return httpx.post(url, content=asked.content, headers=headers, timeout=ANSWERED_WITHIN_S)
    return httpx.post(url, json=asked.json, headers=headers, timeout=ANSWERED_WITHIN_S)


def body_of(response: httpx.Response) -> Any:
    """The JSON of a response; the bytes of any other."""
    return response.json() if "json" in response.headers.get("content-type", "") else response.content


# Requests.


def inputs(path: str = "/", **parameters: Any) -> Ask:
    """Hugging Face's form for a text."""

    def ask(row: Row) -> Asked:
        return Asked(path, {"inputs": row["text"], **({"parameters": parameters} if parameters else {})})

    return ask


def fields(path: str = "/", names: Mapping[str, str] = {}, **parameters: Any) -> Ask:
    """Hugging Face's form for an object of several cells: the server's name -> the column."""

    def ask(row: Row) -> Asked:
        cells = {name: row[column] for name, column in names.items()}
        return Asked(path, {"inputs": cells, **({"parameters": parameters} if parameters else {})})

    return ask


def sentences(path: str = "/") -> Ask:
    """A source with one sentence."""
    return lambda row: Asked(path, {"inputs": {"source_sentence": row["text"], "sentences": [row["text2"]]}})


def media(column: str, content_type: str, path: str = "/") -> Ask:
    """Bytes alone."""
    return lambda row: Asked(path, content=row[column], content_type=content_type)


def media_in_json(column: str, path: str = "/", **parameters: Any) -> Ask:
    """Bytes as base64, with parameters."""
    return lambda row: Asked(path, {"inputs": base64.b64encode(row[column]).decode(), "parameters": parameters})


def asked_of_image(path: str = "/") -> Ask:
    """A picture with a question."""
    return lambda row: Asked(
        path, {"inputs": {"image": base64.b64encode(row["image"]).decode(), "question": row["question"]}}
    )


def data_row(path: str = "/") -> Ask:
    """One row of a table."""
    return lambda row: Asked(path, {"inputs": {"data": {name: [str(value)] for name, value in row.items()}}})


def openai_chat(model: str, path: str = "/v1/chat/completions", **parameters: Any) -> Ask:
    """A conversation of one message."""
    return lambda row: Asked(
        path, {"model": model, "messages": [{"role": "user", "content": row["text"]}], **parameters}
    )


def openai_completion(model: str, path: str = "/v1/completions", **parameters: Any) -> Ask:
    """A prompt."""
    return lambda row: Asked(path, {"model": model, "prompt": row["text"], **parameters})


def openai_embedding(model: str, path: str = "/v1/embeddings") -> Ask:
    """A text to embed."""
    return lambda row: Asked(path, {"model": model, "input": row["text"]})


def two_embeddings(model: str, path: str = "/v1/embeddings") -> Ask:
    """Both texts of a pair."""
    return lambda row: Asked(path, {"model": model, "input": [row["text"], row["text2"]]})


def rerank(model: str, path: str = "/rerank", texts: str = "documents") -> Ask:
    """A query with one text."""
    return lambda row: Asked(path, {"model": model, "query": row["text"], texts: [row["text2"]]})


def classify(model: str, path: str = "/classify") -> Ask:
    """A text, to infinity's classifier."""
    return lambda row: Asked(path, {"model": model, "input": [row["text"]]})


def transcription(model: str, path: str = "/v1/audio/transcriptions") -> Ask:
    """A sound, as a form."""
    return lambda row: Asked(path, files={"file": ("sound.wav", row["audio"], "audio/wav")}, data={"model": model})


# Answers.


def _one(answer: Any) -> Any:
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer


def best_label(answer: Any) -> Answer:
    """The best of ``[{"label", "score"}]``, or of ``{"labels", "scores"}``."""
    answer = _one(answer)
    if isinstance(answer, dict) and "labels" in answer:
        pairs = list(zip(answer["scores"], answer["labels"], strict=True))
    else:
        pairs = [(item["score"], item["label"]) for item in (answer if isinstance(answer, list) else [answer])]
    score, label = max(pairs)
    return Answer(label, score)


def all_labels(answer: Any) -> Answer:
    """The labels with a score of a half, best first; where there are none, what the package says by default."""
    answer = _one(answer)
    pairs = sorted(zip(answer["scores"], answer["labels"], strict=True), reverse=True)
    return Answer([label for score, label in pairs if score >= 0.5] or "uncertain", pairs[0][0])


def as_sent(answer: Any) -> Answer:
    """A list of objects."""
    return Answer(answer[0] if len(answer) == 1 and isinstance(answer[0], list) else answer)


def best_first(answer: Any) -> Answer:
    """A list of objects by their score."""
    return Answer(sorted(as_sent(answer).value, key=lambda item: -(item["score"] or 0)))


def best_answer(answer: Any) -> Answer:
    """The best of ``[{"answer", "score"}]``."""
    best = max(answer if isinstance(answer, list) else [answer], key=lambda item: item["score"])
    return Answer(best["answer"], best["score"])


def best_sequence(answer: Any) -> Answer:
    """The best of ``[{"sequence", "score"}]``."""
    best = max(answer, key=lambda item: item["score"])
    return Answer(best["sequence"], best["score"])


def text_at(key: str) -> Read:
    """A text under a key."""
    return lambda answer: Answer(_one(answer)[key])


def mean_vector(answer: Any) -> Answer:
    """A vector, of vectors of tokens their mean."""
    answer = _one(answer)
    if isinstance(answer[0], list):
        answer = [sum(column) / len(answer) for column in zip(*answer, strict=True)]
    return Answer(answer)


def vector_at(key: str) -> Read:
    """A vector under a key."""
    return lambda answer: mean_vector(answer[key])


def number_at(*keys: Any) -> Read:
    """A number where the keys lead."""

    def read(answer: Any) -> Answer:
        for key in keys:
            answer = answer[key]
        return Answer(float(answer))

    return read


def first(answer: Any) -> Answer:
    """The only item of a list."""
    return Answer(_one(answer))


def reply(answer: Any) -> Answer:
    """The message of a chat."""
    return Answer(answer["choices"][0]["message"]["content"])


def reply_fields(answer: Any) -> Answer:
    """The JSON object in the message of a chat."""
    return Answer(json.loads(answer["choices"][0]["message"]["content"]))


def completion(answer: Any) -> Answer:
    """The text of a completion."""
    return Answer(answer["choices"][0]["text"])


def openai_vector(answer: Any) -> Answer:
    """The vector of an embedding."""
    return Answer(answer["data"][0]["embedding"])


def cosine(answer: Any) -> Answer:
    """How alike two embeddings are."""
    one, two = (item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"]))
    dot = sum(a * b for a, b in zip(one, two, strict=True))
    return Answer(dot / math.hypot(*one) / math.hypot(*two))


def classified(answer: Any) -> Answer:
    """The best label of infinity's ``data``."""
    return best_label(answer["data"])


def data(answer: Any) -> Answer:
    """Bytes."""
    assert isinstance(answer, bytes)
    return Answer(answer)


def wave_rate(answer: Any) -> Answer:
    """A waveform of floats as 16 bit samples."""
    samples = [round(max(-1.0, min(1.0, sample)) * 32767) for sample in _one(answer["audio"])]
    return Answer((answer["sampling_rate"], samples))


CANDIDATES = {"candidate_labels": LABELS}
