"""The same rows through hugging-py-face and through ``predict``, on the same server, have the same labels and texts.

Five tasks run on the local inference server, with real models. The others replay recorded answers: the body of one
input as it was recorded, and for a list of inputs the list of such bodies, as a pipeline answers one. Where the two
differ is in ``known_bugs.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service
from tests.peers.conftest import HuggingPyFace, sent
from tests.peers.known_bugs import PNG, WAV

RECORDED = Path(__file__).parents[1] / "recorded"

SENTIMENT, ZERO_SHOT = "local/sentiment", "local/zero-shot-minilm"
EMBEDDING, SIMILARITY = "local/minilm-l6-v2-int8", "sentence-transformers/all-MiniLM-L6-v2"
LABELS = ["refund", "delivery", "praise"]

TEXTS = [
    "I love this phone", "The parcel never arrived", "Terrible, I want my money back", "Great service, thank you!",
    "Das Gerät ist kaputt", "とても良い製品です", "Совершенно бесполезно", "😀👍🏽 perfect", "e\u0301 and \u00e9 look alike",
    "مرحبا بالعالم", "not bad at all", "The battery died after a week and nobody answers", "5/5", "a", "?!", "NULL", "nan",
    'She said "never again", \\ and left', "<b>bold</b> &amp; brave", "line one\nline two\ttabbed", "{{text}}", "[MASK]",
    "I would buy it again tomorrow", "Worst purchase of my life", "It is a phone", "Shipping took 3 weeks",
    "I love this phone", "I love this phone", "i love this phone", " I love this phone ", "zero\u200bwidth",
    "very good " * 2000, "no, no, no. " * 2000,
]  # fmt: skip
"""33 rows: other scripts, duplicates, blanks around, markup, and two of 20,000 characters and more."""


CUT = {"truncate": True}
"""hugging-py-face sends a long text whole, of which this server reads the beginning."""


def ours(url: str, using: dict[str, Any], table: dict[str, list[Any]], **engine: Any) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in table.items()})
    out = predict(frame, {"target": "y", **using}, {"endpoint": url, **engine})
    assert out["y_error"].isna().all(), out["y_error"].dropna().iloc[0]
    return out


def with_nulls(cells: list[Any]) -> list[Any]:
    """Every fifth cell NULL, which hugging-py-face cannot be sent."""
    return [cell for number, cell in enumerate(cells) for cell in ([None, cell] if number % 5 == 0 else [cell])]


def agree(out: pd.DataFrame, asked: list[Any], theirs: list[Any]) -> None:
    """Ours where a row has a cell is theirs, in order; where it is NULL, ours is NULL."""
    answers = list(out["y"])
    assert [one for one, cell in zip(answers, asked, strict=True) if cell is not None] == theirs
    assert all(one is None for one, cell in zip(answers, asked, strict=True) if cell is None)


def test_text_classification(peer: HuggingPyFace, inference: str) -> None:
    theirs = peer(inference, "text_classification_in_df", {"t": TEXTS}, column="t", model=SENTIMENT)
    assert set(theirs) == {"POSITIVE", "NEGATIVE"}
    asked = with_nulls(TEXTS)
    out = ours(inference, {"task": "text-classification", "column": "t", "model": SENTIMENT}, {"t": asked})
    agree(out, asked, theirs)


def test_scores_of_text_classification(peer: HuggingPyFace, inference: str) -> None:
    using = {"task": "text-classification", "column": "t", "model": SENTIMENT}
    for text in TEXTS[:8]:
        (theirs,) = peer(inference, "text_classification", text=text, model=SENTIMENT)
        out = ours(inference, using, {"t": [text]})
        assert out["y_explain"][0] == pytest.approx({one["label"]: one["score"] for one in theirs}, abs=1e-6)


def test_zero_shot_classification(peer: HuggingPyFace, inference: str) -> None:
    arguments = {"column": "t", "candidate_labels": LABELS, "model": ZERO_SHOT}
    # It reads the former form of answers, which the local server gives where it is asked for.
    former: dict[str, Any] = {"parameters": {"output_format": "object"}}
    theirs = peer(inference, "zero_shot_classification_in_df", {"t": TEXTS}, **arguments, **former)
    assert set(theirs) == set(LABELS)
    asked = with_nulls(TEXTS)
    out = ours(inference, {"task": "zero-shot-classification", **arguments}, {"t": asked})
    agree(out, asked, theirs)
    alone = peer(
        inference, "zero_shot_classification", text=TEXTS[1], candidate_labels=LABELS, model=ZERO_SHOT, **former
    )
    row = ours(inference, {"task": "zero-shot-classification", **arguments}, {"t": [TEXTS[1]]})
    assert list(row["y"]) == alone["labels"][:1]
    assert row["y_explain"][0] == pytest.approx(dict(zip(alone["labels"], alone["scores"], strict=True)), abs=1e-6)


def test_feature_extraction(peer: HuggingPyFace, inference: str) -> None:
    theirs = peer(inference, "feature_extraction", text=TEXTS, model=EMBEDDING)
    alone = peer(inference, "feature_extraction", text=TEXTS[3], model=EMBEDDING)
    using = {"task": "feature-extraction", "column": "t", "model": EMBEDDING, **CUT}
    out = ours(inference, using, {"t": TEXTS})
    assert [len(vector) for vector in out["y"]] == [384] * len(TEXTS)
    for one, other in zip(out["y"], theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert out["y"][3] == pytest.approx(alone, abs=1e-5)


def test_sentence_similarity(peer: HuggingPyFace, inference: str) -> None:
    pairs = {"t": TEXTS, "u": [TEXTS[(number * 7 + 3) % len(TEXTS)] for number in range(len(TEXTS))]}
    arguments = {"source_sentence_column": "t", "sentence_column": "u", "model": SIMILARITY}
    theirs = peer(inference, "sentence_similarity_in_df", pairs, **arguments)
    using = {"task": "sentence-similarity", "column": "t", "column2": "u", "model": SIMILARITY, **CUT}
    assert list(ours(inference, using, pairs)["y"]) == pytest.approx(theirs, abs=1e-5)
    one_source = {"t": [TEXTS[0]] * len(TEXTS), "u": TEXTS}
    scores = peer(inference, "sentence_similarity", source_sentence=TEXTS[0], sentences=TEXTS, model=SIMILARITY)
    assert list(ours(inference, using, one_source)["y"]) == pytest.approx(scores, abs=1e-5)


def bodies(task: str) -> list[Any]:
    """The recorded 200 answers to one input, each once; a recorded list's parts count as answers to one."""
    found: dict[str, Any] = {}
    for line in (RECORDED / f"{task}.jsonl").read_text("utf-8").splitlines():
        exchange = json.loads(line)
        inputs = (exchange["request"] or {}).get("inputs")
        if exchange["status"] == 200 and "json" in exchange["response"]:
            body = exchange["response"]["json"]
            for one in [[part] for part in body] if isinstance(inputs, list) else [body]:
                found.setdefault(json.dumps(one), one)
    return list(found.values())


def listed(body: Any) -> Any:
    """What a pipeline answers for one of several texts, by what it answers for one: ``[{summary_text}]`` in a list of lists
    is one object in a list."""
    flat = isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict)
    return body[0] if flat and "generated_text" not in body[0] else body


class Replay:
    """Gives each text a recorded answer of its task, always the same one, alone or in a list."""

    def __init__(self, task: str) -> None:
        self.task, self._bodies = task, bodies(task)

    def of(self, key: str) -> Any:
        return self._bodies[crc32(key.encode()) % len(self._bodies)]

    def __call__(self, body: Any, headers: dict[str, str], path: str) -> Any:
        assert path == f"/models/any/{self.task}"
        if isinstance(body, bytes) and body.startswith((PNG, WAV)):
            return self.of(body.hex())
        inputs = sent(body)["inputs"]
        if isinstance(inputs, dict) and isinstance(inputs.get("query"), list):
            return [self.of(query) for query in inputs["query"]]
        if isinstance(inputs, dict):
            return self.of(inputs.get("query") or inputs["question"] + inputs["context"])
        return self.of(inputs) if isinstance(inputs, str) else [listed(self.of(text)) for text in inputs]


@pytest.fixture
def replaying(service: Service) -> Iterator[Any]:
    def start(task: str) -> tuple[str, str]:
        service.answer = Replay(task)
        return f"{service.url}/models", f"any/{task}"

    yield start


READ_ALONE = {
    "summarization": lambda answer: answer[0]["summary_text"],
    "translation": lambda answer: answer[0]["translation_text"],
    "fill-mask": lambda answer: answer[0]["sequence"],
    "text-generation": lambda answer: answer[0]["generated_text"],
}
"""The text that a person takes from what its single-row methods hand back unread."""


@pytest.mark.parametrize("task", READ_ALONE)
def test_recorded_answers_to_texts(task: str, peer: HuggingPyFace, replaying: Any) -> None:
    url, model = replaying(task)
    method = task.replace("-", "_")
    texts = [f"{text} [MASK]" if task == "fill-mask" else text for text in TEXTS if "[MASK]" not in text]
    theirs = peer(url, f"{method}_in_df", {"t": texts}, column="t", model=model)
    assert len(set(theirs)) > 1
    asked = with_nulls(texts)
    out = ours(url, {"task": task, "column": "t", "model": model}, {"t": asked})
    agree(out, asked, theirs)
    for text in dict.fromkeys(texts):
        alone = peer(url, method, text=text, model=model)
        assert list(ours(url, {"task": task, "column": "t", "model": model}, {"t": [text]})["y"]) == [READ_ALONE[task](alone)]  # fmt: skip


def test_recorded_answers_to_questions(peer: HuggingPyFace, replaying: Any) -> None:
    url, model = replaying("question-answering")
    table = {"q": TEXTS, "c": TEXTS[::-1]}
    using = {"task": "question-answering", "column": "q", "context_column": "c", "model": model}
    theirs = peer(url, "question_answering_in_df", table, question_column="q", context_column="c", model=model)
    assert set(theirs) == {"Paris", "42"}
    asked = {name: with_nulls(cells) for name, cells in table.items()}
    agree(ours(url, using, asked), asked["q"], theirs)
    alone = peer(url, "question_answering", question=TEXTS[0], context="c", model=model)
    assert list(ours(url, using, {"q": TEXTS[:1], "c": ["c"]})["y"]) == [alone["answer"]]


def test_recorded_answers_from_tables(peer: HuggingPyFace, replaying: Any, service: Service) -> None:
    url, model = replaying("table-question-answering")
    stars = {"Repository": TEXTS, "Stars": [str(number) for number in range(len(TEXTS))]}
    theirs = peer(url, "table_question_answering_task_in_df", stars, question=TEXTS, model=model)
    using = {
        "task": "table-question-answering",
        "column": "q",
        "table_columns": ["Repository", "Stars"],
        "model": model,
    }
    assert list(ours(url, using, {"q": TEXTS, **stars})["y"]) == theirs
    alone = peer(url, "table_question_answering", question=TEXTS[0], table=stars, model=model)
    by_cell = {"task": "table-question-answering", "column": "q", "table_column": "b", "model": model}
    assert list(ours(url, by_cell, {"q": TEXTS[:1], "b": [json.dumps(stars)]})["y"]) == [alone["answer"]]
    assert all(sent(asked)["inputs"]["table"] == stars for asked in service.asked)


MEDIA = [
    ("ComputerVision", "image-classification", "png", PNG),
    ("AudioProcessing", "audio-classification", "wav", WAV),
    ("AudioProcessing", "automatic-speech-recognition", "wav", WAV),
]


@pytest.mark.parametrize(("client", "task", "suffix", "head"), MEDIA, ids=[case[1] for case in MEDIA])
def test_recorded_answers_to_files(
    client: str, task: str, suffix: str, head: bytes, peer: HuggingPyFace, replaying: Any, tmp_path: Path
) -> None:
    url, model = replaying(task)
    paths = [tmp_path / f"файл {number}.{suffix}" for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(head + bytes([number]) * 9)
    names = [str(path) for path in paths] + [str(paths[0])] * 2
    method = task.replace("-", "_")
    theirs = peer(url, f"{method}_in_df", {"t": names}, client=client, column="t", model=model)
    asked = with_nulls(names)
    out = ours(url, {"task": task, "column": "t", "model": model}, {"t": asked}, media_dir=str(tmp_path))
    agree(out, asked, theirs)
    answers = peer(url, method, client=client, inputs=names, model=model)
    assert len({json.dumps(answer) for answer in answers}) > 1
    if task != "automatic-speech-recognition":
        scores = [one for one, cell in zip(out["y_explain"], asked, strict=True) if cell is not None]
        assert scores == [{each["label"]: each["score"] for each in answer} for answer in answers]


def test_recorded_objects(peer: HuggingPyFace, replaying: Any, tmp_path: Path) -> None:
    url, model = replaying("object-detection")
    paths = [tmp_path / f"{number}.png" for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(PNG + bytes([number]))
    names = list(map(str, paths))
    theirs = peer(url, "object_detection", client="ComputerVision", inputs=names, model=model)
    out = ours(url, {"task": "object-detection", "column": "t", "model": model}, {"t": names}, media_dir=str(tmp_path))
    for one, other in zip(out["y"], theirs, strict=True):
        assert one == sorted(other, key=lambda found: -found["score"])


def test_what_is_replayed_is_what_was_recorded(service: Service) -> None:
    """The replay itself: a text has one answer, other texts have others, and an unknown path has none."""
    replay = Replay("summarization")
    answers = [replay.of(text)[0]["summary_text"] for text in TEXTS]
    assert len(set(answers)) == len(bodies("summarization"))
    assert answers != answers[::-1]
    assert answers == [replay.of(text)[0]["summary_text"] for text in TEXTS]
    with pytest.raises(AssertionError):
        replay({"inputs": "a"}, {}, "/models/another")
    assert isinstance(service.answer(None, {}, ""), Reply)
