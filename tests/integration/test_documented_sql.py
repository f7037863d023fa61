"""The SQL of MindsDB's own pages on this engine keeps working, its former names included.

The pages: docs/integrations/ai-engines/huggingface_inference_api and
docs/sql/tutorials/hugging-face-inference-api-examples. Answers come from a service that speaks as the recordings do, with
answers made for these rows, since most of these models have no weights that a package index carries.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.conftest import Reply, Service

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
BOX = {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}
ROWS = pd.DataFrame(
    {
        "text_spammy": ["WINNER!! Claim now", "I live around here"],
        "text_short": ["I hate tacos", "I want to dance"],
        "text_long": ["A taco is a dish. It is folded.", "Dance is an art. It is old."],
        "text": ["Paris is the [MASK].", "I like you."],
        "question": ["Where is it?", "Who is it?"],
        "context": ["It is in Paris.", "It is Ann."],
        "image_url": [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] * 2,
        "audio_url": [f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"] * 2,
    }
)


def two(first: str, second: str, share: float) -> list[list[dict[str, Any]]]:
    return [[{"label": first, "score": share}, {"label": second, "score": 1 - share}]]


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    model = path.removeprefix("/models/").partition("/pipeline/")[0]
    inputs = body["inputs"] if isinstance(body, dict) and "inputs" in body else body
    answers: dict[str, Callable[[], Any]] = {
        "mrm8488/bert-tiny-finetuned-sms-spam-detection": lambda: two(
            "LABEL_1", "LABEL_0", 0.9 if "WINNER" in inputs else 0.1
        ),
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english": lambda: two(
            "NEGATIVE", "POSITIVE", 0.95 if "hate" in inputs else 0.1
        ),
        "facebook/bart-large-mnli": lambda: {
            "sequence": inputs,
            "labels": body["parameters"]["candidate_labels"],
            "scores": [0.7, 0.2, 0.1],
        },
        "facebook/bart-large-cnn": lambda: [{"summary_text": inputs.split(".")[0]}],
        "google-bert/bert-base-uncased": lambda: [
            {"sequence": inputs.replace("[MASK]", "best"), "score": 0.6, "token_str": "best"}
        ],
        "deepset/roberta-base-squad2": lambda: {
            "answer": inputs["context"].split()[-1].strip("."),
            "score": 0.9,
            "start": 0,
            "end": 5,
        },
        "sentence-transformers/all-MiniLM-L6-v2": lambda: [len(sentence) / 100 for sentence in inputs["sentences"]],
        "google/vit-base-patch16-224": lambda: [{"label": "cat", "score": 0.9}],
        "facebook/detr-resnet-50": lambda: [{"label": "cat", "score": 0.9, "box": BOX}],
        "openai/whisper-large-v3": lambda: {"text": "hello"},
        "MIT/ast-finetuned-audioset-10-10-0.4593": lambda: [{"label": "Speech", "score": 0.8}],
        "meta-llama/Llama-3.1-8B-Instruct": lambda: [{"generated_text": f"{inputs} And so on."}],
    }
    return answers[model]() if model in answers else Reply({"error": f"Model {model} does not exist"}, 404)


@pytest.fixture(scope="module")
def engine_of_pages(mindsdb: MindsDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service()
    service.answer = answer
    file = tmp_path_factory.mktemp("pages") / "hf_test.csv"
    ROWS.to_csv(file, index=False)
    mindsdb.upload(file, "hf_test")
    for name, key in (
        ("huggingface_api_engine", "huggingface_api_api_key"),
        ("hf_inference_api", "api_key"),
        ("hf_pages", "api_key"),
    ):
        mindsdb.sql(
            f"CREATE ML_ENGINE {name} FROM huggingface_api USING {key} = 'api-key-value', endpoint = '{service.url}/models'"
        )
    yield service
    service.close()


PAGES: list[tuple[str, str, str, list[Any]]] = [
    ("spam_classifier", "is_spam", "engine = 'huggingface_api_engine', task = 'text-classification', column = 'text'", ["POSITIVE", "POSITIVE"]),
    ("spam_by_labels", "PRED", "engine = 'hf_inference_api', task = 'text-classification', model_name = 'mrm8488/bert-tiny-finetuned-sms-spam-detection', input_column = 'text_spammy', labels = ['ham', 'spam']", ["spam", "ham"]),
    ("sentiment_classifier", "sentiment", "engine = 'hf_inference_api', task = 'text-classification', column = 'text_short', labels = ['negative', 'neutral', 'positive']", ["negative", "positive"]),
    ("zero_shot_tcd", "topic", "engine = 'hf_inference_api', task = 'zero-shot-classification', candidate_labels = ['travel', 'cooking', 'dancing'], column = 'text_short'", ["travel", "travel"]),
    ("summarizer_10_20", "text_summary", "engine = 'hf_inference_api', task = 'summarization', column = 'text_long', min_output_length = 10, max_output_length = 20", ["A taco is a dish", "Dance is an art"]),
    ("hf_fill_mask", "sequence", "task = 'fill-mask', engine = 'hf_pages', input_column = 'text'", ["Paris is the best.", "I like you."]),
    ("hf_text_generator", "generated_text", "task = 'text-generation', engine = 'hf_pages', input_column = 'text'", ["Paris is the [MASK]. And so on.", "I like you. And so on."]),
    ("hf_question_answerer", "answer", "task = 'question-answering', engine = 'hf_pages', input_column = 'question', context_column = 'context'", ["Paris", "Ann"]),
    ("hf_sentence_similarity", "similarity", "task = 'sentence-similarity', engine = 'hf_pages', input_column = 'text', input_column2 = 'text_short'", [0.12, 0.15]),
    ("hf_image_classifier", "label", "task = 'image-classification', engine = 'hf_pages', input_column = 'image_url'", ["cat", "cat"]),
    ("hf_object_detector", "objects", "task = 'object-detection', engine = 'hf_pages', input_column = 'image_url'", [json.dumps([{"label": "cat", "score": 0.9, "box": BOX}], separators=(",", ":"))] * 2),
    ("hf_speech_recognizer", "transcription", "task = 'automatic-speech-recognition', engine = 'hf_pages', input_column = 'audio_url'", ["hello", "hello"]),
    ("hf_audio_classifier", "label", "task = 'audio-classification', engine = 'hf_pages', input_column = 'audio_url'", ["Speech", "Speech"]),
    ("with_parameters", "topic", "engine = 'hf_pages', task = 'zero-shot-classification', input_column = 'text_short', candidate_labels = ['a', 'b', 'c'], parameters = {'multi_label': true}, options = {'wait_for_model': true, 'use_cache': true}", ['["a"]', '["a"]']),
]  # fmt: skip


@pytest.mark.parametrize(("name", "target", "using", "expected"), PAGES, ids=[page[0] for page in PAGES])
def test_documented_statements_work(
    mindsdb: MindsDB, engine_of_pages: Service, name: str, target: str, using: str, expected: list[Any]
) -> None:
    mindsdb.sql(f"CREATE MODEL mindsdb.{name} PREDICT {target} USING {using}")
    mindsdb.wait_for_model(name)
    found = mindsdb.sql(f"SELECT h.*, t.text_short AS input_text FROM files.hf_test AS t JOIN mindsdb.{name} AS h")
    values = [row[found.columns.index(target)] for row in found.rows]
    assert values == expected
    assert all(row[found.columns.index(f"{target}_error")] is None for row in found.rows)


def test_former_lengths_reach_the_service(engine_of_pages: Service) -> None:
    bodies = [
        body
        for path, body in zip(engine_of_pages.paths, engine_of_pages.asked, strict=True)
        if path.endswith("bart-large-cnn")
    ]
    assert bodies
    assert all(body["parameters"] == {"min_length": 10, "max_length": 20} for body in bodies)


def test_the_documented_shape_of_explain(mindsdb: MindsDB, engine_of_pages: Service) -> None:
    found = mindsdb.sql("SELECT PRED_explain FROM mindsdb.spam_by_labels WHERE text_spammy = 'WINNER!! Claim now'")
    assert json.loads(str(found.rows[0][0])) == pytest.approx({"spam": 0.9, "ham": 0.1})
