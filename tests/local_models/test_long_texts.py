"""Texts that are longer than the model, asked of real models behind `serve` as a person asks: every row is answered.

The documents have 100 to 20,000 words. Vectors and sentiment are of all 200 of them, entities of every 24th. The
translator and the language model are slow on two cores, so they read a few documents of up to some hundred words.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.demo.mindsdb_server import running_inference_server
from huggingface_api_handler.inference import Session, predict
from huggingface_api_handler.server.models import minilm
from tests.support.long_documents import documents

MINILM = "local/minilm-l6-v2-int8"
SENTIMENT = "local/sentiment"
ENTITIES = "local/entities-spacy-sm"
TRANSLATION = "local/translation-en-pt"
LANGUAGE_MODEL = "local/smollm2-135m-instruct"
MODELS = (MINILM, SENTIMENT, ENTITIES, TRANSLATION, LANGUAGE_MODEL)

Predict = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_inference_server() as url:
        yield url


@pytest.fixture(scope="module")
def all_documents() -> list[str]:
    return documents(200)


@pytest.fixture
def ask(url: str, tmp_path: Path) -> Iterator[Predict]:
    """Predict the texts from Python, where nothing is found out before."""
    engine = {"endpoint": f"{url}/models", "cache_dir": str(tmp_path / "answers")}

    def ask(texts: list[str], **using: Any) -> pd.DataFrame:
        arguments = {"column": "text", "max_chunks": 1000, **using}
        return predict(pd.DataFrame({"text": texts}), arguments, engine, session=session)

    with Session() as session:
        yield ask


def alone(url: str, model: str, texts: list[str], **parameters: object) -> list[Any]:
    """What the server answers to texts, without any of the package's code in between."""
    body = json.dumps({"inputs": texts, "parameters": parameters}).encode()
    request = urllib.request.Request(f"{url}/models/{model}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        answers: list[Any] = json.load(response)
    return answers


def cut_into(answers: pd.DataFrame, row: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (answers.prediction_explain[row] or {}).get("parts") or []
    return found


def assert_all_answered(answers: pd.DataFrame) -> None:
    assert [error for error in answers.prediction_error if error] == []
    assert answers.prediction.notna().all()
    assert not any("left_out" in explain for explain in answers.prediction_explain if isinstance(explain, dict))


def assert_parts_are_all_of_it(text: str, parts: list[dict[str, Any]]) -> None:
    end = 0
    for part in parts:
        assert not text[end : part["start"]].strip() and part["start"] < part["end"]
        end = max(end, part["end"])
    assert not text[end:].strip()


def test_the_sentiment_of_a_long_text_is_the_mean_of_its_parts(
    ask: Predict, url: str, all_documents: list[str]
) -> None:
    using = {"task": "text-classification", "model": SENTIMENT}
    answers = ask(all_documents, **using)
    assert_all_answered(answers)
    assert answers.attrs["usage"]["long_texts"] >= 150
    for row, text in enumerate(all_documents):
        assert_parts_are_all_of_it(text, cut_into(answers, row) or [{"start": 0, "end": len(text)}])
    for row in (30, 90, 150):
        spans = [(part["start"], part["end"]) for part in cut_into(answers, row)]
        texts = [all_documents[row][start:end] for start, end in spans]
        assert max(map(len, minilm.shared_encoder().tokenize(texts))) <= minilm.MAX_TOKENS, "a part was cut"
        scores = [{each["label"]: each["score"] for each in labels} for labels in alone(url, SENTIMENT, texts)]
        lengths = [end - start for start, end in spans]
        mean = np.average([each["POSITIVE"] for each in scores], weights=lengths)
        explain = answers.prediction_explain[row]
        assert explain["POSITIVE"] == pytest.approx(mean, abs=1e-6)
        assert explain["POSITIVE"] + explain["NEGATIVE"] == pytest.approx(1)
        assert answers.prediction[row] == ("POSITIVE" if mean > 0.5 else "NEGATIVE")
        assert answers.prediction_confidence[row] == pytest.approx(max(mean, 1 - mean), abs=1e-6)
    again = ask(all_documents, **using)
    assert again.attrs["usage"]["requests"] == 0
    assert list(again.prediction) == list(answers.prediction)


def test_the_vector_of_a_long_text_is_near_the_mean_of_its_paragraphs(
    ask: Predict, url: str, all_documents: list[str]
) -> None:
    """A text that the model reads whole has the model's own vector."""
    using = {"task": "feature-extraction", "model": MINILM}
    answers = ask(all_documents, **using)
    assert_all_answered(answers)
    vectors = np.array(list(answers.prediction), dtype=float)
    assert vectors.shape == (200, 384) and np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    cut = [row for row in range(len(vectors)) if cut_into(answers, row)]
    whole = [row for row in range(len(vectors)) if row not in cut]
    assert len(cut) >= 150 and whole
    own = np.array(alone(url, MINILM, [all_documents[row] for row in whole]))
    assert vectors[whole] == pytest.approx(own, abs=1e-6)
    paragraphs = [text.split("\n\n") for text in all_documents]
    distinct = sorted({each for text in paragraphs for each in text})
    found = ask(distinct, **using)
    assert_all_answered(found)
    by_text = {text: np.array(vector, dtype=float) for text, vector in zip(distinct, found.prediction, strict=True)}
    for row, text in enumerate(paragraphs):
        mean = np.average([by_text[each] for each in text], axis=0, weights=[len(each) for each in text])
        assert float(vectors[row] @ mean / np.linalg.norm(mean)) >= 0.95, row
    assert ask(all_documents, **using).attrs["usage"]["requests"] == 0


def test_entities_of_a_long_text_point_at_their_words(ask: Predict, all_documents: list[str]) -> None:
    """The longest have more characters than spaCy reads here at once, which shows when they are refused."""
    texts = all_documents[7::24]
    using = {"task": "token-classification", "model": ENTITIES}
    answers = ask(texts, **using)
    assert_all_answered(answers)
    assert answers.attrs["usage"]["long_texts"] == 1 and len(cut_into(answers, len(texts) - 1)) >= 2
    for text, entities in zip(texts, answers.prediction, strict=True):
        assert all(text[each["start"] : each["end"]] == each["word"] for each in entities)
        assert all(one["end"] <= other["start"] for one, other in pairwise(entities)), "one is doubled or halved"
    assert {"Tim Cook", "Dublin"} <= {each["word"] for each in answers.prediction[len(texts) - 1]}
    assert ask(texts, **using).attrs["usage"]["requests"] == 0


def test_entities_of_a_long_text_are_those_of_its_parts(ask: Predict, url: str, all_documents: list[str]) -> None:
    texts = [all_documents[60], all_documents[110]]
    answers = ask(texts, task="token-classification", model=ENTITIES, long_text="chunk")
    assert_all_answered(answers)
    for row, text in enumerate(texts):
        spans = [(part["start"], part["end"]) for part in cut_into(answers, row)]
        assert len(spans) >= 2
        of_parts = [
            (start + each["start"], start + each["end"], each["entity_group"])
            for (start, end), found in zip(spans, alone(url, ENTITIES, [text[slice(*at)] for at in spans]), strict=True)
            for each in found
        ]
        merged = {(each["start"], each["end"], each["entity_group"]) for each in answers.prediction[row]}
        assert merged <= set(of_parts)
        read_once = {each for each in of_parts if sum(at < each[1] and each[0] < end for at, end in spans) == 1}
        assert read_once <= merged


def test_the_translation_of_a_long_text_has_all_its_paragraphs_in_order(ask: Predict) -> None:
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    said = ["um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez"]
    paragraphs = [
        f"My house has number {number}. The cat sleeps on the table and the dog plays in the garden. "
        "We drink coffee in the morning. My brother works in the city."
        for number in numbers
    ]
    using = {"task": "translation", "model": TRANSLATION}
    texts = ["\n\n".join(paragraphs), "\n\n".join(paragraphs[:2]), paragraphs[0]]
    answers = ask(texts, **using)
    assert_all_answered(answers)
    translated = str(answers.prediction[0])
    # The model makes one line of a part's lines, so a paragraph is known by its number.
    spans = [re.search(rf"\b{number}\.", translated) for number in said]
    assert None not in spans
    starts = [span.start() for span in spans if span]
    assert starts == sorted(starts)
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        assert "gato" in translated[start:end] and "irmão" in translated[start:end], translated[start:end]
    assert len(cut_into(answers, 0)) > len(cut_into(answers, 1)) >= 0 and answers.prediction_explain[2] is None
    assert ask(texts, **using).attrs["usage"]["requests"] == 0


ERROR = {"long_text": "error", "on_error": "null"}
TOO_LONG = (
    r"rejected input 413: Input validation error: `inputs` must have less than (\d+) tokens\. Given: \S.*\. "
    r"Leave long_text = 'error' out, and it is "
)


def among(short: list[str], long: str) -> list[str]:
    return [*short[:13], long, *short[13:]]


def assert_only_the_long_one_failed(answers: pd.DataFrame, becomes: str) -> None:
    errors = list(answers.prediction_error)
    assert re.fullmatch(TOO_LONG + becomes, errors[13]) and answers.prediction[13] is None
    assert [error for error in errors if error] == [errors[13]]


@pytest.mark.parametrize("base", ["/models", f"/models/{MINILM}"], ids=["many models", "one model"])
def test_a_vector_is_never_that_of_a_text_that_was_cut(
    url: str, tmp_path: Path, all_documents: list[str], base: str
) -> None:
    short = [f"A short text about the number {number}." for number in range(30)]
    frame = pd.DataFrame({"text": among(short, all_documents[60])})
    using = {"column": "text", "task": "feature-extraction", "model": MINILM, **ERROR}
    engine = {"endpoint": f"{url}{base}", "cache_dir": str(tmp_path)}
    own = alone(url, MINILM, short)
    with Session() as session:
        for requests in (30, 1):  # what was refused is asked again, alone
            answers = predict(frame, using, engine, session=session)
            assert_only_the_long_one_failed(answers, "asked in parts")
            assert np.array(list(answers.prediction.drop(13))) == pytest.approx(np.array(own), abs=1e-6)
            assert answers.attrs["usage"]["requests"] <= requests


def test_a_likeness_is_never_that_of_a_text_that_was_cut(url: str, tmp_path: Path, all_documents: list[str]) -> None:
    short = [f"A short text about the number {number}." for number in range(30)]
    frame = pd.DataFrame({"text": among(short, all_documents[60]), "about": "numbers"})
    using = {"column": "about", "column2": "text", "task": "sentence-similarity", "model": MINILM}
    engine = {"endpoint": f"{url}/models", "cache_dir": str(tmp_path)}
    with Session() as session:
        cut = predict(frame, {**using, "max_chunks": 1}, engine, session=session)
        answers = predict(frame, {**using, **ERROR}, engine, session=session)
        assert_only_the_long_one_failed(answers, "cut to what the model reads")
        assert list(answers.prediction.drop(13)) == pytest.approx(list(cut.prediction.drop(13)), abs=1e-6)
        assert answers.attrs["usage"]["stored"] == 0, "of what was asked before it is not known whether it was cut"


@pytest.mark.parametrize(
    ("task", "model", "more"),
    [
        ("text-classification", SENTIMENT, {}),
        ("zero-shot-classification", "local/zero-shot-minilm", {"candidate_labels": ["numbers", "cars"]}),
        ("translation", TRANSLATION, {}),
        ("token-classification", ENTITIES, {}),
    ],
)
def test_no_other_model_cuts_what_it_must_not(
    ask: Predict, all_documents: list[str], task: str, model: str, more: dict[str, Any]
) -> None:
    texts = among([f"This is the number {number}." for number in range(20)], all_documents[60])
    answers = ask(texts, task=task, model=model, **more, **ERROR)
    if task == "token-classification":  # it reads all of it
        assert_all_answered(answers)
    else:
        assert_only_the_long_one_failed(answers, "asked in parts")


def test_a_language_model_cuts_nothing_and_says_how_long_a_text_may_be(ask: Predict, all_documents: list[str]) -> None:
    texts = [all_documents[-1], "The capital of France is", all_documents[0]]
    answers = ask(texts, task="text-generation", model=LANGUAGE_MODEL, max_new_tokens=4)
    assert "must have less than 4096 tokens. Given:" in answers.prediction_error[0]
    assert answers.prediction[0] is None
    assert "Paris" in answers.prediction[1] and answers.prediction[2]
