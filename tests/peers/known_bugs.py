"""Where hugging-py-face 0.5.3 and ``predict`` differ, as a table: what it does, what ours does, and why.

``test_known_bugs.py`` runs every row of it, so that a bug which is mended fails there, and its row is then taken out.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import Answer, Reply
from tests.peers.conftest import sent

P, N = {"label": "POSITIVE", "score": 0.9}, {"label": "NEGATIVE", "score": 0.1}
LOADING = Reply({"error": "Model any is currently loading", "estimated_time": 0.01}, 503)
TOO_MANY_REQUESTS = Reply({"error": "Too many requests"}, 429, {"Retry-After": "0"})
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"


@dataclass(frozen=True)
class Bug:
    """One call on one server. ``its`` is what hugging-py-face answers, or the name of what it raises.

    ``frame`` is the table of a ``*_in_df`` method and None for the others; ``rows`` is ours where it is another one.
    ``server`` makes the server's behaviour anew for each of the two; None stands for the local inference server.
    ``ours`` is our target column, with NULL as None.
    """

    input: str
    why: str
    method: str
    arguments: Mapping[str, Any]
    its: Any
    using: Mapping[str, Any]
    ours: list[Any]
    server: Callable[[], Answer] | None = None
    frame: Mapping[str, list[Any]] | None = None
    rows: Mapping[str, list[Any]] = field(default_factory=dict)
    client: str = "NLP"


def always(body: Any) -> Callable[[], Answer]:
    return lambda: lambda *_: body


def each(part: Callable[[str], Any], alone: Callable[[Any], Any] = lambda part: part) -> Callable[[], Answer]:
    """A server that answers one text with ``alone(part(text))`` and a list of texts with the list of their parts."""

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        inputs = sent(body)["inputs"]
        if isinstance(inputs, str):
            return alone(part(inputs))
        if all(isinstance(text, str) for text in inputs):
            return [part(text) for text in inputs]
        return Reply({"error": ["Error in `inputs`: str type expected"]}, 400)

    return lambda: answer


def refusing(test: Callable[[Any, dict[str, str], str], bool], status: int, otherwise: Callable[[], Answer]) -> Callable[[], Answer]:  # fmt: skip
    """A server that refuses what ``test`` says, and behaves as ``otherwise`` does with the rest."""

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        return Reply({"error": "refused"}, status) if test(body, headers, path) else otherwise()(body, headers, path)

    return lambda: answer


def first_then(refusal: Reply, otherwise: Callable[[], Answer]) -> Callable[[], Answer]:
    """A server whose first answer is ``refusal``."""

    def start() -> Answer:
        asked: list[Any] = []

        def answer(body: Any, headers: dict[str, str], path: str) -> Any:
            asked.append(body)
            return refusal if len(asked) == 1 else otherwise()(body, headers, path)

        return answer

    return start


def sentiment(text: str) -> list[dict[str, Any]]:
    return [P, N] if "good" in text else [{**N, "score": 0.8}, {**P, "score": 0.2}]


def on(task: str, **arguments: Any) -> dict[str, Any]:
    return {"column": "t", "model": f"any/{task}", **arguments}


def task(name: str, **using: Any) -> dict[str, Any]:
    return {"task": name, "column": "t", "model": f"any/{name}", **using}


CLASSIFIER = each(sentiment, lambda labels: [labels])
TEXTS = {"t": ["good", "bad"]}
MANY = {"t": [f"{'good' if number % 3 else 'bad'} {number}" for number in range(12)]}
"""Rows enough that ours tries a list."""
SIGNS = ["POSITIVE" if number % 3 else "NEGATIVE" for number in range(12)]
LOCAL = {"column": "t", "model": "local/sentiment"}

BUGS = (
    Bug("the best label is not the first", "it takes the first label, whatever the scores say",
        "text_classification_in_df", on("text-classification"), ["NEGATIVE", "NEGATIVE"],
        task("text-classification"), ["POSITIVE", "POSITIVE"], each(lambda _: [N, P]), TEXTS),
    Bug("the best label of an image is not the first", "it takes the first label, whatever the scores say",
        "image_classification_in_df", on("image-classification"), ["NEGATIVE"],
        task("image-classification"), ["POSITIVE"], always([N, P]), {"t": ["{folder}/icon.png"]}, {}, "ComputerVision"),
    Bug("the best label of a sound is not the first", "it takes the first label, whatever the scores say",
        "audio_classification_in_df", on("audio-classification"), ["NEGATIVE"],
        task("audio-classification"), ["POSITIVE"], always([N, P]), {"t": ["{folder}/sound.wav"]}, {}, "AudioProcessing"),
    Bug("the best word for a mask is not the first", "it takes the first sequence, whatever the scores say",
        "fill_mask_in_df", on("fill-mask"), ["a dog", "a dog"], task("fill-mask"), ["a cat", "a cat"],
        each(lambda _: [{"sequence": "a dog", "score": 0.1}, {"sequence": "a cat", "score": 0.9}]),
        {"t": ["a [MASK]", "one [MASK]"]}),
    Bug("a NULL among the rows", "it sends null, for which the server refuses the whole list",
        "text_classification_in_df", LOCAL, "APICallException", {**LOCAL, "task": "text-classification"},
        ["POSITIVE", None], None, {"t": ["I love it", None]}),
    Bug("a NaN among the rows", "it sends NaN, which is no JSON",
        "text_classification_in_df", LOCAL, "APICallException", {**LOCAL, "task": "text-classification"},
        ["POSITIVE", None], None, {"t": ["I love it", float("nan")]}),
    Bug("a NULL question", "one NULL loses the answers of all rows",
        "question_answering_in_df", {"question_column": "t", "context_column": "c", "model": "any/question-answering"},
        "APICallException", task("question-answering", context_column="c"), ["42", None],
        refusing(lambda body, *_: not isinstance(sent(body)["inputs"]["question"], str), 400, always({"answer": "42", "score": 0.9})),
        {"t": ["why?", None], "c": ["42", "42"]}),
    Bug("a NULL sentence", "one NULL loses the scores of all rows",
        "sentence_similarity_in_df",
        {"source_sentence_column": "t", "sentence_column": "u", "model": "any/sentence-similarity"},
        "APICallException", task("sentence-similarity", column2="u"), [0.5, None],
        refusing(lambda body, *_: not isinstance(sent(body)["inputs"]["sentences"][0], str), 400, always([0.5])),
        {"t": ["a", "a"], "u": ["b", None]}),
    Bug("a blank text", "it pays for a label on nothing",
        "text_classification_in_df", LOCAL, ["POSITIVE", "POSITIVE", "POSITIVE"],
        {**LOCAL, "task": "text-classification"}, ["POSITIVE", None, None], None, {"t": ["I love it", "", " \n"]}),
    Bug("no rows", "it sends an empty list, which servers refuse",
        "text_classification_in_df", LOCAL, "APICallException", {**LOCAL, "task": "text-classification"}, [], None,
        {"t": []}),
    Bug("more rows than the server takes in one list", "it sends every row in one request",
        "text_classification_in_df", LOCAL, "APICallException", {**LOCAL, "task": "text-classification"},
        ["POSITIVE"] * 129, None, {"t": [f"I love it {number}" for number in range(129)]}),
    Bug("one row that the server refuses", "one refused row loses the answers of all rows",
        "text_classification_in_df", on("text-classification"), "APICallException", task("text-classification"),
        ["POSITIVE", None, "NEGATIVE"], refusing(lambda body, *_: "too long" in str(sent(body)), 400, CLASSIFIER),
        {"t": ["good", "too long", "bad"]}),
    Bug("a server without lists", "it only ever sends a table as a list",
        "text_classification_in_df", on("text-classification"), "APICallException", task("text-classification"),
        SIGNS, refusing(lambda body, *_: isinstance(sent(body)["inputs"], list), 400, CLASSIFIER), MANY),
    Bug("a server that reads two texts as one pair", "it trusts that a list is answered row by row",
        "text_classification_in_df", on("text-classification"), "ValueError", task("text-classification"),
        SIGNS,
        lambda: lambda body, *_: [sentiment(str(sent(body)["inputs"]))], MANY),
    Bug("a server that wants JSON to be called so", "it sends JSON without a content type",
        "text_classification_in_df", on("text-classification"), "APICallException", task("text-classification"),
        ["POSITIVE", "NEGATIVE"],
        refusing(lambda body, headers, _: headers.get("content-type") != "application/json", 415, CLASSIFIER), TEXTS),
    Bug("a server that wants to know what an image is", "it sends media without a content type",
        "image_classification", {"inputs": ["{folder}/icon.png"], "model": "any/image-classification"},
        "APICallException", task("image-classification"), ["POSITIVE"],
        refusing(lambda body, headers, _: headers.get("content-type") != "image/png", 400, always([P, N])),
        None, {"t": ["{folder}/icon.png"]}, "ComputerVision"),
    Bug("a rate limit", "it gives up at 429, with every row",
        "text_classification_in_df", on("text-classification"), "APICallException", task("text-classification"),
        ["POSITIVE", "NEGATIVE"], first_then(TOO_MANY_REQUESTS, CLASSIFIER), TEXTS),
    Bug("a gateway's error in passing", "it gives up at 502, with every row",
        "text_classification_in_df", on("text-classification"), "APICallException", task("text-classification"),
        ["POSITIVE", "NEGATIVE"], first_then(Reply({"error": "bad gateway"}, 502), CLASSIFIER), TEXTS),
    Bug("a model of images that still loads", "its loop of retries for media ends before the request, so it asks once",
        "image_classification", {"inputs": ["{folder}/icon.png"], "model": "any/image-classification"},
        "HTTPServiceUnavailableException", task("image-classification"), ["POSITIVE"],
        first_then(LOADING, always([P, N])), None, {"t": ["{folder}/icon.png"]}, "ComputerVision"),
    Bug("labels and scores as a list of objects", "it knows only the form {labels, scores}",
        "zero_shot_classification_in_df", on("zero-shot-classification", candidate_labels=["POSITIVE", "NEGATIVE"]),
        "TypeError", task("zero-shot-classification", candidate_labels=["POSITIVE", "NEGATIVE"]),
        ["POSITIVE", "NEGATIVE"], CLASSIFIER, TEXTS),
    Bug("a summary as an object", "it reads the object's keys as rows",
        "summarization_in_df", on("summarization"), "TypeError", task("summarization"), ["short"],
        always({"summary_text": "short"}), {"t": ["long"]}),
    Bug("one row to go on from", "it looks for a list in a list, and the answer to one text is one list",
        "text_generation_in_df", on("text-generation"), "KeyError", task("text-generation"), ["three"],
        always([{"generated_text": "three"}]), {"t": ["one plus two equals"]}),
    Bug("several answers to a question", "it reads a list of answers as one",
        "question_answering_in_df", {"question_column": "t", "context_column": "c", "model": "any/question-answering"},
        "TypeError", task("question-answering", context_column="c"), ["Paris"],
        always([{"answer": "France", "score": 0.1}, {"answer": "Paris", "score": 0.9}]),
        {"t": ["Which city?"], "c": ["Paris is in France"]}),
    Bug("one question on a table", "it reads the answer's keys as answers, where the question is no list",
        "table_question_answering_task_in_df", {"question": "how many?", "model": "any/table-question-answering"},
        "TypeError", task("table-question-answering", table_columns=["n"]), ["2"],
        always({"answer": "2", "cells": ["2"]}), {"n": ["2"]}, {"t": ["how many?"], "n": ["2"]}),
    Bug("a table with numbers", "it sends numbers in tables, which models take as texts alone",
        "table_question_answering_task_in_df", {"question": ["how many?"], "model": "any/table-question-answering"},
        "APICallException", task("table-question-answering", table_columns=["n"]), ["2"],
        refusing(lambda body, *_: not isinstance(sent(body)["inputs"]["table"]["n"][0], str), 400,
                 lambda: lambda body, *_: [{"answer": "2"}] if isinstance(sent(body)["inputs"]["query"], list) else {"answer": "2"}),
        {"n": [2]}, {"t": ["how many?"], "n": [2]}),
    Bug("several masks in a text", "it knows one mask alone",
        "fill_mask_in_df", on("fill-mask"), "TypeError", task("fill-mask"), ["big dog"],
        lambda: lambda body, *_: (lambda one: [one] if isinstance(sent(body)["inputs"], list) else one)(
            [[{"token_str": "big", "sequence": "big [MASK]", "score": 0.9}], [{"token_str": "dog", "sequence": "[MASK] dog", "score": 0.9}]]),
        {"t": ["[MASK] [MASK]"]}),
    Bug("another model's mask", "it sends <mask> to a model that knows [MASK]",
        "fill_mask", {"text": "a <mask>", "model": "any/fill-mask"}, "APICallException", task("fill-mask"), ["a cat"],
        refusing(lambda body, *_: "[MASK]" not in str(sent(body)), 400, always([{"sequence": "a cat", "score": 0.9}])),
        None, {"t": ["a <mask>"]}),
    Bug("a translation without languages", "it makes an error and does not raise it, and asks for opus-mt-None-None",
        "translation_in_df", {"column": "t"}, "RepositoryNotFoundError",
        {"task": "translation", "column": "t"}, ["Hallo"], always([{"translation_text": "Hallo"}]), {"t": ["Hello"]}),
    Bug("vectors of a model that the Hub lists under another task", "it refuses what the model can do",
        "feature_extraction", {"text": "a", "model": "sentence-transformers/all-MiniLM-L6-v2"},
        "TaskModelMismatchException",
        {"task": "feature-extraction", "column": "t", "model": "sentence-transformers/all-MiniLM-L6-v2"}, [[0.5, 0.5]],
        always([0.5, 0.5]), None, {"t": ["a"]}),
    Bug("a model of one's own that the Hub does not know", "it asks the Hub before every call, whatever the server",
        "text_classification_in_df", {"column": "t", "model": "my/own"}, "RepositoryNotFoundError",
        task("text-classification", model="my/own"), ["POSITIVE", "NEGATIVE"], CLASSIFIER, TEXTS),
    Bug("an image as a data: URI", "it knows paths and URLs alone",
        "image_classification_in_df", on("image-classification"), "FileNotFoundError", task("image-classification"),
        ["POSITIVE"], always([P, N]), {"t": [f"data:image/png;base64,{b64encode(PNG).decode()}"]}, {}, "ComputerVision"),
    Bug("a file outside the folder for media", "it reads any file that a cell names, and sends it",
        "image_classification_in_df", on("image-classification"), ["POSITIVE", "POSITIVE"],
        task("image-classification"), ["POSITIVE", None], always([P, N]),
        {"t": ["{folder}/icon.png", "{folder}/../outside.png"]}, {}, "ComputerVision"),
    Bug("a conversation", "it speaks a form that servers no longer have; ours is chat",
        "conversational", {"text": "Hello", "model": "any/conversational"}, "APICallException",
        task("conversational", model="any/conversational"), ["Hi"],
        refusing(lambda body, headers, path: not path.endswith("/v1/chat/completions"), 404,
                 always({"choices": [{"message": {"content": "Hi"}}]})), None, {"t": ["Hello"]}),
    Bug("entities", "it has no such method",
        "token_classification_in_df", {"column": "t"}, "AttributeError",
        {"task": "token-classification", "column": "t", "model": "dslim/bert-base-NER"}, [[]], always([]), {"t": ["Ann"]}),
)  # fmt: skip
