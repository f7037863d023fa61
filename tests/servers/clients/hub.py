"""huggingface_hub's InferenceClient, 1.x and 2.x: ``hub.py BASE FOLDER``. The models' names are in test_clients.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from huggingface_hub import InferenceClient
from results import tell

BASE, FOLDER = sys.argv[1], Path(sys.argv[2])
TEXT = "Wolfgang Schmidt moved from Berlin to London and loves it."
MESSAGES = [{"role": "user", "content": "Say hello to Anna."}]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def at(model: str) -> InferenceClient:
    """A client whose model is an address."""
    return InferenceClient(model=f"{BASE}/models/{model}", timeout=300)


def best(found: Any) -> list[Any]:
    """Label and score of the best."""
    return [found[0].label, found[0].score]


minilm, smol = at("local/minilm-l6-v2-int8"), at("local/smollm2-135m-instruct")
openai = InferenceClient(base_url=f"{BASE}/v1", timeout=300)
NAME = "local/smollm2-135m-instruct"
FORM: Any = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}

tell({
    "sentiment": lambda: best(at("local/sentiment").text_classification(TEXT)),
    "zero_shot": lambda: [[one.label, one.score] for one in at("local/zero-shot-minilm").zero_shot_classification(TEXT, ["travel", "cooking"])],
    "entities": lambda: [[one.word, one.entity_group] for one in at("local/entities-spacy-sm").token_classification(TEXT)],
    "vector": lambda: minilm.feature_extraction(TEXT).reshape(-1).tolist(),
    "vectors": lambda: minilm.feature_extraction([TEXT, "Hello"]).tolist(),
    "similarity": lambda: minilm.sentence_similarity(TEXT, ["Hello", "He moved"]),
    "translation": lambda: at("local/translation-en-pt").translation("The house is small.").translation_text,
    "speech": lambda: at("local/piper-joe").text_to_speech("Hello").hex()[:8],
    "transcript": lambda: at("local/whisper-base").automatic_speech_recognition(FOLDER / "speech.wav").text,
    "transcript_of_bytes": lambda: at("local/whisper-base").automatic_speech_recognition((FOLDER / "speech.wav").read_bytes()).text,
    "image": lambda: best(at("local/efficientnet-lite0").image_classification(str(FOLDER / "photo.jpg"))),
    "image_of_bytes": lambda: best(at("local/efficientnet-lite0").image_classification((FOLDER / "photo.jpg").read_bytes())),
    "print": lambda: at("local/ocr-rapid").image_to_text((FOLDER / "line.png").read_bytes()).generated_text,
    "generation": lambda: smol.text_generation("Once upon", max_new_tokens=6, do_sample=False),
    "generation_details": lambda: smol.text_generation("Once upon", max_new_tokens=6, do_sample=False, details=True).generated_text,
    "generation_stream": lambda: "".join(smol.text_generation("Once upon", max_new_tokens=6, do_sample=False, stream=True)),
    "chat": lambda: smol.chat_completion(MESSAGES, max_tokens=6, temperature=0).choices[0].message.content,
    "chat_v1": lambda: openai.chat_completion(MESSAGES, model=NAME, max_tokens=6, temperature=0).choices[0].message.content,
    "chat_stream": lambda: "".join(
        part.choices[0].delta.content or "" for part in smol.chat_completion(MESSAGES, max_tokens=6, temperature=0, stream=True) if part.choices
    ),
    "chat_schema": lambda: smol.chat_completion(MESSAGES, max_tokens=30, temperature=0, response_format=FORM).choices[0].message.content,
    "unknown_model": lambda: at("no/such").text_classification(TEXT),
})  # fmt: skip
